"""Demonstrations are real episodes, and imitation makes them likelier."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from empo2_agent.errors import UsageError
from empo2_agent.interfaces import Demonstrating
from empo2_agent.memory.chroma import ChromaTips
from empo2_agent.memory.recall import recaller
from empo2_agent.needs import Rules
from empo2_agent.policies.transformers import TransformersPolicy, load
from empo2_agent.prompts import RECAP_ACTIONS, recap, tip_request
from empo2_agent.stage import Stage
from empo2_agent.train.demonstrate import Script, demonstrate, told
from empo2_agent.train.learner import LossOptions
from empo2_agent.train.warmstart import (
    Demonstrations,
    collect_demonstrations,
    imitate,
    imitation_samples,
)
from empo2_agent.transcript import tokens
from empo2_agent.types import Episode, Status, Step, Task
from empo2_agent.worlds import Deadlines, Worlds
from empo2_toy import PLUGIN
from tests.train.learning import make_learner
from tests.train.played import WordCounts, exact_policy

TASKS = tuple(Task("toy", "red-lamp", n, "train") for n in (0, 1))


def solutions() -> dict[Task, Sequence[str]]:
    world = PLUGIN.make({})
    assert isinstance(world, Demonstrating)
    return {task: world.demonstration(task, seed=0) for task in TASKS}


@contextmanager
def a_stage(policy: TransformersPolicy, memory: ChromaTips | None) -> Iterator[Stage]:
    rules = Rules(
        max_steps=9, max_prompt_tokens=3000, max_reply_tokens=32, max_score=1.0,
        style="constrained", temperature=1.0, max_tip_tokens=16,
    )  # fmt: skip
    recall = None
    if memory is not None:
        recall = recaller(
            memory, lambda t: len(policy.chat.world(t)[1]), per_turn=400, per_episode=900
        )
    with Worlds(lambda: PLUGIN.make({}), Deadlines(step=9, reset=9)) as worlds:
        yield Stage(policy, worlds, rules, PLUGIN.instructions, recall, concurrency=2)


def finish(playing: Iterator[object]) -> object:
    while True:
        try:
            next(playing)
        except StopIteration as stop:
            return stop.value


@pytest.fixture(scope="module")
def policy(tiny_model_dir: Path) -> TransformersPolicy:
    return load(tiny_model_dir, name="tiny")


@pytest.fixture(scope="module")
def found(policy: TransformersPolicy, tmp_path_factory: pytest.TempPathFactory) -> Demonstrations:
    place = tmp_path_factory.mktemp("tips")
    with (
        ChromaTips(place, WordCounts(), scope="variation", threshold=0.0) as memory,
        a_stage(policy, memory) as stage,
    ):
        result = finish(collect_demonstrations(stage, solutions(), memory, max_score=1.0, seed=0))
    assert isinstance(result, Demonstrations)
    return result


def test_solutions_are_played_alone_and_with_the_tips_of_the_ones_before(
    found: Demonstrations,
) -> None:
    known = solutions()
    assert [episode.status for episode in found.solved] == [Status.SUCCESS] * 6
    for episode in found.solved:
        assert tuple(step.action for step in episode.steps) == tuple(known[episode.task])
        assert episode.tip == f"Do: {'; '.join(known[episode.task])}."
    shown = [sum(len(step.tips) for step in episode.steps) for episode in found.solved]
    assert shown[:2] == [0, 0]
    assert all(a >= 1 for a in shown[2:4])
    assert all(b > a for a, b in zip(shown[2:4], shown[4:], strict=True))
    best = [max(tip.score for step in e.steps for tip in step.tips) for e in found.solved[4:]]
    assert best == [1.0, 1.0]


def test_what_was_only_begun_leaves_the_solution_at_some_point(found: Demonstrations) -> None:
    known = solutions()
    assert len(found.begun) == 2
    for episode in found.begun:
        played = [step.action for step in episode.steps]
        assert tuple(played) != tuple(known[episode.task])
        same = 0
        while same < len(played) and played[same] == known[episode.task][same]:
            same += 1
        assert same < len(known[episode.task])


def test_every_token_of_a_demonstrated_action_was_allowed(found: Demonstrations) -> None:
    for episode in (*found.solved, *found.begun):
        for segment in episode.segments:
            if segment.kind == "action":
                assert all(
                    ids is not None and token in ids
                    for token, ids in zip(segment.token_ids, segment.allowed, strict=True)
                )


def test_a_sample_ends_with_the_tip_and_only_whole_solutions_are_acted(
    found: Demonstrations, policy: TransformersPolicy
) -> None:
    samples = imitation_samples(found, policy.chat, max_score=1.0, max_tokens=3000)
    everything = [*found.solved, *found.begun]
    assert [sample.sequence for sample in samples] == list(range(len(everything)))
    for sample, episode in zip(samples, everything, strict=True):
        tip = (*policy.chat.world(episode.tip)[1], *policy.chat.end_ids)
        assert sample.targets[-len(tip) :] == tip
        acted = sum(
            len(ids) > 1
            for segment in episode.segments
            for ids in segment.allowed
            if ids is not None
        )
        whole = sample.sequence < len(found.solved)
        assert len(sample.targets) == len(tip) + (acted if whole else 0)
        assert sample.update.token_ids[: len(tokens(episode.segments))] == tokens(episode.segments)
        following = (*sample.update.token_ids, tip[-1])
        assert tuple(following[place + 1] for place in sample.update.places) == sample.targets


def test_a_tip_behind_too_long_a_row_is_left_out(
    found: Demonstrations, policy: TransformersPolicy
) -> None:
    samples = imitation_samples(found, policy.chat, max_score=1.0, max_tokens=10)
    assert [sample.sequence for sample in samples] == list(range(len(found.solved)))
    assert all(None not in sample.allowed for sample in samples)


def test_imitation_makes_them_likelier_and_repeats_itself(
    found: Demonstrations, tiny_model_dir: Path
) -> None:
    curves = []
    for _ in range(2):
        policy = exact_policy(tiny_model_dir)
        samples = imitation_samples(found, policy.chat, max_score=1.0, max_tokens=3000)
        learner, _ = make_learner(
            policy.model, LossOptions(), lora=False, learning_rate=3e-3, moved=0.0
        )
        curves.append(list(imitate(learner, samples, epochs=6, batch=4, seed=0)))
    assert curves[0] == curves[1]
    shares, losses = zip(*curves[0], strict=True)
    assert shares == pytest.approx([(n + 1) / 12 for n in range(12)])
    assert losses[-1] < 0.8 * losses[0]


def test_without_memory_each_solution_is_played_once(policy: TransformersPolicy) -> None:
    with a_stage(policy, None) as stage:
        result = finish(collect_demonstrations(stage, solutions(), None, max_score=1.0, seed=0))
    assert isinstance(result, Demonstrations)
    assert (len(result.solved), len(result.begun)) == (2, 2)


def test_an_action_the_world_does_not_list_is_input_only(policy: TransformersPolicy) -> None:
    with a_stage(policy, None) as stage:
        episodes = finish(demonstrate(stage, [Script(TASKS[0], ("look",), 3)], memory=False))
    assert isinstance(episodes, list)
    first = next(s for s in episodes[0].segments if s.kind == "action")
    assert episodes[0].steps[0].action == "look"
    assert first.allowed == tuple((token,) for token in first.token_ids)


def an_episode(*steps: tuple[str, float]) -> Episode:
    return Episode(
        task=TASKS[0], seed=0, memory=False, status=Status.FAILED, segments=(),
        steps=tuple(Step("o", 0, (), action, "", 0.0, reward, "") for action, reward in steps),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "tip"),
    [
        ([("a", 0), ("b", 5), ("c", 0)], "Do: a; b."),
        ([(f"a{n}", 0) for n in range(8)] + [("b", 5)], "Do: b."),
        ([("a", 0), ("b", -100)], "Do not: b."),
        ([("a", 0), ("a", 0), ("b", 0)], "Nothing gained by: a; b."),
    ],
)
def test_what_a_demonstration_tells(steps: list[tuple[str, float]], tip: str) -> None:
    assert told(an_episode(*steps)) == tip


def test_the_request_for_a_tip_repeats_what_was_done() -> None:
    assert (
        recap([("go", 0.0), ("take\nit", 8.0), ("drop", -2.5)]) == "go; take it (+8); drop (-2.5)"
    )
    many = [(str(n), 0.0) for n in range(40)]
    assert recap(many).split("; ") == [str(n) for n in range(40 - RECAP_ACTIONS, 40)]
    request = tip_request("The end.", 8.0, 100.0, [("take it", 8.0)])
    assert request.startswith("The end.\n\nYou did: take it (+8).\n")
    assert request.endswith("The score was 8 out of 100.")


def test_a_run_without_success_cannot_be_imitated(tmp_path: Path) -> None:
    from empo2_agent.cli.train_warm import recorded_demonstrations
    from empo2_agent.runs import create_run

    run = create_run("adapt", "x", settings={}, origins={}, seed=0, run_dir=tmp_path / "r")
    run.add_episode(an_episode(("a", 0.0)))
    with pytest.raises(UsageError, match="no successful episode"):
        recorded_demonstrations(run.path)
