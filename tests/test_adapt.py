"""Adaptation on real parts but for the model: the red lamp, Chroma on disk, MiniLM."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from empo2_agent.adapt import Plan, Trial, TrialOver, adapt, summary
from empo2_agent.memory.chroma import ChromaTips, open_memory
from empo2_agent.memory.recall import recaller
from empo2_agent.needs import Rules
from empo2_agent.runs import Run, create_run, open_run
from empo2_agent.stage import Stage
from empo2_agent.testing import ScriptedPolicy
from empo2_agent.transcript import tokens
from empo2_agent.types import Episode, Request, Task
from empo2_agent.worlds import Deadlines, Worlds
from empo2_toy import PLUGIN

TASK = Task("toy", "red-lamp", 15, "test")
HEADING = b"Tips from earlier episodes:"
RULES = Rules(
    max_steps=15,
    max_prompt_tokens=8000,
    max_reply_tokens=40,
    max_score=1.0,
    style="constrained",
    temperature=1.0,
    max_tip_tokens=200,
)


def explorer(request: Request) -> str:
    """Explores by chance; its tip is what it did, and a tip of a success is done again.

    So whoever reads tips wins once somebody has won, and whoever does not wins by luck alone.
    """
    taken = [message.content for message in request.messages if message.role == "assistant"]
    if request.choices is None:
        return f"Do {'; '.join(taken)}."
    recipe = re.search(r"- Do (.*?)\. \(action.*final score: 1 of 1\)", said(request))
    steps = recipe[1].split("; ")[len(taken) :] if recipe else []
    if steps and steps[0] in request.choices:
        return steps[0]
    lamp = [choice for choice in request.choices if "red lamp" in choice]
    fresh = [choice for choice in request.choices if choice.startswith("open ")]
    return random.Random(request.seed).choice(lamp or fresh or list(request.choices))


def said(request: Request) -> str:
    return "\n".join(message.content for message in request.messages)


def make_plan(**changes: object) -> Plan:
    arguments: dict[str, object] = {
        "task": TASK, "variations": (15,), "trials": 3, "episodes_per_trial": 2, "control": True,
        "seed": 3, "key": "final",
    }  # fmt: skip
    return Plan(**{**arguments, **changes})  # type: ignore[arg-type] # changes name the same arguments


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[ChromaTips]:
    opened = open_memory(tmp_path / "memory")
    assert opened is not None
    with opened:
        yield opened


@pytest.fixture
def worlds() -> Iterator[Worlds]:
    with Worlds(lambda: PLUGIN.make({}), Deadlines(step=10, reset=10)) as opened:
        yield opened


def make_stage(memory: ChromaTips | None, worlds: Worlds, policy: ScriptedPolicy) -> Stage:
    def cost(text: str) -> int:
        return len(policy.chat.world(text)[1])

    recall = recaller(memory, cost, per_turn=2000, per_episode=6000) if memory else None
    return Stage(policy, worlds, RULES, PLUGIN.instructions, recall, concurrency=4)


def make_run(folder: Path) -> Run:
    return create_run("adapt", "x", settings={}, origins={}, seed=3, run_dir=folder)


def carry_out(
    plan: Plan, stage: Stage, memory: ChromaTips | None, run: Run, done: object = ()
) -> list[TrialOver]:
    events = adapt(plan, stage, memory, run, 1.0, done)  # type: ignore[arg-type] # recorded episodes
    return [event for event in events if isinstance(event, TrialOver)]


def test_it_learns_from_its_own_tips_and_the_control_arm_does_not(
    memory: ChromaTips, worlds: Worlds, tmp_path: Path
) -> None:
    policy, run = ScriptedPolicy(explorer), make_run(tmp_path / "run")
    overs = carry_out(make_plan(trials=4), make_stage(memory, worlds, policy), memory, run)
    episodes = list(run.episodes())
    texts = {tip.id: tip.text for tip in run.tips()}
    _assert_tips_reached_the_model(episodes_of(episodes, "memory", later=True), policy, texts)
    for episode in [
        *episodes_of(episodes, "control"),
        *episodes_of(episodes, "memory", later=False),
    ]:
        assert not episode.memory
        assert all(not step.tips for step in episode.steps)
        assert not any(HEADING in prompt for prompt in _prompts(episode))
    _, last3, gain = summary([o.trial for o in overs], [o.control for o in overs if o.control])
    assert last3 == 1.0
    assert gain is not None
    assert gain.mean > 0.3
    assert len(list(run.tips())) == sum(o.trial.tips_written for o in overs) == memory.count()
    assert {tip.run for tip in run.tips()} == {run.name}


def episodes_of(recorded: list, arm: str, later: bool | None = None) -> list[Episode]:  # type: ignore[type-arg] # named tuples
    return [
        e
        for e, place in recorded
        if place["arm"] == arm and (later is None or (place["trial"] > 0) == later)
    ]


def _prompts(episode: Episode) -> list[bytes]:
    """The text of each request, read from the recorded tokens alone."""
    ledger = tokens(episode.segments)
    return [bytes(i for i in ledger[: step.prompt_tokens] if i < 256) for step in episode.steps]


def _assert_tips_reached_the_model(
    episodes: list[Episode], policy: ScriptedPolicy, texts: dict[str, str]
) -> None:
    """Every tip recorded as shown stands in the very tokens the policy was asked with."""
    requests = {request.token_ids for request in policy.requests}
    shown = 0
    for episode in episodes:
        ledger = tokens(episode.segments)
        for step, prompt in zip(episode.steps, _prompts(episode), strict=True):
            assert ledger[: step.prompt_tokens] in requests
            for tip in step.tips:
                assert prompt.count(texts[tip.id].encode()) == 1
                shown += 1
            assert prompt.count(HEADING) == sum(
                bool(earlier.tips) for earlier in episode.steps[: episode.steps.index(step) + 1]
            )
    assert shown > 0


def test_where_no_tip_is_similar_enough_both_arms_are_the_same(
    worlds: Worlds, tmp_path: Path
) -> None:
    opened = open_memory(tmp_path / "memory", threshold=1.0)
    assert opened is not None
    with opened as memory:
        run = make_run(tmp_path / "run")
        carry_out(make_plan(), make_stage(memory, worlds, ScriptedPolicy(explorer)), memory, run)
    arms = {(p["trial"], p["index"], p["arm"]): episode for episode, p in run.episodes()}
    assert len(arms) == 14
    for (trial, index, arm), episode in arms.items():
        if arm == "control":
            assert episode.segments == arms[trial, index, "memory"].segments
    assert len({episode.segments for episode in arms.values()}) > 4  # trials are not all alike


def test_both_arms_play_on_the_same_seeds_and_variations(
    memory: ChromaTips, worlds: Worlds, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    plan = make_plan(variations=(15, 16, 17))
    carry_out(plan, make_stage(memory, worlds, ScriptedPolicy(explorer)), memory, run)
    places = {
        (place["trial"], place["index"], place["arm"]): (e.seed, e.task.variation)
        for e, place in run.episodes()
    }
    for (trial, index, arm), found in places.items():
        if arm == "control":
            assert places[trial, index, "memory"] == found
    assert [places[t, k, "memory"][1] for t in range(2) for k in range(2)] == [15, 16, 17, 15]
    assert len({seed for seed, _ in places.values()}) == 8


def test_interrupted_and_resumed_it_ends_as_if_it_had_not_been(
    worlds: Worlds, tmp_path: Path
) -> None:
    plan, results = make_plan(trials=2), []
    for name, stop_after in (("whole", None), *((f"at-{n}", n) for n in range(1, 62, 6))):
        folder = tmp_path / name
        opened = open_memory(folder / "memory")
        assert opened is not None
        with opened as memory:
            calls = 0

            def maybe_stop(request: Request, limit: int | None = stop_after) -> str:
                nonlocal calls
                calls += 1
                if calls == limit:
                    raise KeyboardInterrupt
                return explorer(request)

            run = make_run(folder / "run")
            policy = ScriptedPolicy(maybe_stop)
            if stop_after is not None:
                with pytest.raises(KeyboardInterrupt), run:
                    carry_out(plan, make_stage(memory, worlds, policy), memory, run)
                run = open_run(folder / "run", resume=True)
            done = list(run.episodes())
            overs = carry_out(plan, make_stage(memory, worlds, policy), memory, run, done)
            rows = [(o.trial.score, o.trial.steps, o.control and o.control.score) for o in overs]
            texts = sorted((tip.text, tip.key, tip.score) for tip in memory.tips())
            results.append((rows, texts, len(list(run.tips()))))
    assert all(result == results[0] for result in results)


def test_with_the_key_step_every_state_of_an_episode_gets_its_tip(
    memory: ChromaTips, worlds: Worlds, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    plan = make_plan(trials=1, control=False, episodes_per_trial=1, key="step")
    carry_out(plan, make_stage(memory, worlds, ScriptedPolicy(explorer)), memory, run)
    first = next(run.episodes()).episode
    tips = [tip for tip in run.tips() if tip.episode == 0]
    visited = {step.state: (step.action, n) for n, step in reversed([*enumerate(first.steps)])}
    assert len(visited) > 1
    assert {tip.key: (tip.action, tip.step) for tip in tips} == visited
    assert len(tips) == len(visited)


def test_without_a_memory_nothing_is_asked_for_or_written(worlds: Worlds, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    policy = ScriptedPolicy(explorer)
    overs = carry_out(make_plan(control=False), make_stage(None, worlds, policy), None, run)
    assert all(request.choices for request in policy.requests)
    assert [over.trial.tips_written for over in overs] == [0] * 4


def row(trial: int, score: float) -> Trial:
    return Trial(trial, trial > 0, score, 0.0, 1.0, 0, 0, 0.0, {})


def test_the_summary_by_hand() -> None:
    trials = [row(0, 10.0), row(1, 20.0), row(2, 40.0), row(3, 60.0), row(4, 80.0)]
    controls = [row(t, 10.0) for t in range(1, 5)]
    baseline, last3, gain = summary(trials, controls)
    assert (baseline, last3) == (10.0, 60.0)
    assert gain is not None
    assert gain.mean == 40.0  # 10, 30, 50, 70; s = 25.82, t(3) = 3.182: 40 -+ 41.08
    assert gain.low == pytest.approx(-1.085, abs=1e-3)
    assert gain.kind == "paired t"
    assert summary(trials[:1], []) == (10.0, 10.0, None)
