"""One test for each mistake of the authors' release: it fails on that mistake."""

from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from empo2_agent.actions import nearest
from empo2_agent.adapt import tips_of
from empo2_agent.config import LossSettings, MemorySettings
from empo2_agent.memory.embedding import MiniLM
from empo2_agent.memory.novelty import Novelty
from empo2_agent.needs import Rules
from empo2_agent.rollout import Finished
from empo2_agent.stage import Stage, Wanted, play_all
from empo2_agent.testing import ScriptedPolicy
from empo2_agent.train.keeping import restore
from empo2_agent.train.learner import LossOptions
from empo2_agent.train.samples import samples_of
from empo2_agent.transcript import tokens
from empo2_agent.types import Status, Task
from empo2_agent.worlds import Deadlines, Worlds
from empo2_toy import PLUGIN
from tests import reference
from tests.train.conftest import Plays
from tests.train.learning import learn, make_learner, samples_in
from tests.train.one_row_per_turn import logprobs, turns_of
from tests.train.played import TEMPERATURE, exact_policy, uneven
from tests.train.small_worlds import (
    BreaksOnce,
    SmallWorld,
    fails_at_eighty,
    pays_late,
    stands_still,
    succeeds_at_half,
)
from tests.train.training import Saying, training

HEADING = "Tips from earlier episodes:"


def test_mistake_01_the_newest_tip_survives_the_off_policy_removal(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    with training(
        tmp_path, tiny_model_dir, steps=2, tips_share=1.0, off_policy_share=1.0,
        tasks=(Task("toy", "red-lamp", 3, "train"),), wrap=lambda policy: Saying(policy, "Look up."),
    ) as opened:  # fmt: skip
        first, second = opened.go()
        assert (first.tips_shown, second.mode) == (0, "off-policy")
        assert second.tips_shown >= 2
        decode = opened.parts.policy.tokenizer.decode
        for sample in opened.learner.seen[1]:
            assert HEADING in decode(sample.acting.token_ids)
            assert "Look up." in decode(sample.acting.token_ids)
            assert HEADING not in decode(sample.update.token_ids)
            assert "Look up." not in decode(sample.update.token_ids)
            assert sample.differs


def test_mistake_02_the_intrinsic_reward_never_reaches_the_advantage(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    learnt = {}
    for coefficient in (0.0, 1.0):
        folder = tmp_path / str(coefficient)
        folder.mkdir()
        with training(
            folder, tiny_model_dir, tips_share=0.0, intrinsic_coefficient=coefficient
        ) as opened:
            before = opened.weights()
            [metrics] = opened.go()
            assert metrics.score == 0.0, "nobody found the lamp: only what was new can teach"
            learnt[coefficient] = any(
                not torch.equal(a, b) for a, b in zip(before, opened.weights(), strict=True)
            )
            if coefficient:
                firsts = [sample.advantages[0] for sample in opened.learner.seen[0]]
                assert sorted(firsts) == pytest.approx([-(0.5**0.5), 0.5**0.5], rel=1e-4)
                assert firsts[0] > 0, "whoever came first saw more that was new"
    assert learnt == {0.0: False, 1.0: True}


def test_mistake_03_turns_over_the_length_limit_are_dropped_before_returns_are_summed(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    with training(
        tmp_path, tiny_model_dir, make=lambda: SmallWorld(pays_late), tips_share=0.0, group_size=3,
        intrinsic_coefficient=0.0, rules={"max_steps": 9, "max_prompt_tokens": 1000},
    ) as opened:  # fmt: skip
        opened.go()
        episodes = [recorded.episode for recorded in opened.run.episodes()]
        places = [recorded.extra["index"] for recorded in opened.run.episodes()]
        [samples] = opened.learner.seen
    episodes = [
        episode for _, episode in sorted(zip(places, episodes, strict=True), key=lambda p: p[0])
    ]
    assert {episode.status for episode in episodes} == {Status.TOKEN_LIMIT}
    assert {len(episode.steps) for episode in episodes} == {3}, "the limit came with the reward"
    returns = [float(episode.seed % 97) for episode in episodes]
    assert [episode.score for episode in episodes] == returns
    assert len(set(returns)) == 3
    for sample, advantage in zip(
        samples, reference.group_advantages(returns, scale_by_std=True), strict=True
    ):
        assert set(sample.turns) == {0, 1, 2}
        assert sample.advantages == pytest.approx([advantage] * len(sample.targets), abs=1e-9)


def test_mistake_04_masking_is_off_and_masks_rows_by_what_was_acted_on(
    plays: Plays, tiny_model_dir: Path
) -> None:
    assert LossOptions().mask_by == LossSettings().mask_by == "token"
    assert LossOptions().mask_log_delta == LossSettings().mask_log_delta == -5.0
    episodes = plays("free", True)
    learner, optimizer = make_learner(exact_policy(tiny_model_dir).model, LossOptions(), lora=False)
    update = learn(learner, samples_in(episodes, "off-policy"))
    low_without, low_with, of_low_turns = 0, 0, 0
    for turn in turns_of(episodes, uneven(episodes), off_policy=True):
        with torch.no_grad():
            without = logprobs(optimizer.models[0], turn.update, turn, TEMPERATURE)
            with_tips = logprobs(optimizer.models[0], turn.acting, turn, TEMPERATURE)
        low_without += sum(x.item() < -5 for x in without)
        low_with += sum(x.item() < -5 for x in with_tips)
        of_low_turns += len(without) * any(x.item() < -5 for x in without)
    assert len({0, low_without, low_with, of_low_turns}) == 4, "the mistakes can be told apart"
    assert update.masked == low_without


def test_mistake_05_an_episode_writes_one_tip_a_step_and_the_bonus_saturates(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    assert MemorySettings().key == "final"
    with training(
        tmp_path, tiny_model_dir, make=lambda: SmallWorld(stands_still), rules={"max_steps": 8}
    ) as opened:
        [metrics] = opened.go()
        assert metrics.tips_written == opened.memory.count() == metrics.episodes == 2
    harmonic = sum(1 / n for n in range(1, 17))  # 16 visits to one state
    assert metrics.novel_states == 1
    assert metrics.intrinsic == pytest.approx(harmonic / 2)


def test_mistake_06_the_key_is_cut_to_the_text_of_the_task(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    with training(tmp_path, tiny_model_dir) as opened:
        opened.go()
        ended = {recorded.episode.final_state for recorded in opened.run.episodes()}
        keys = {tip.key for tip in opened.memory.tips()}
    assert keys == ended
    assert all(key.startswith("You are in the ") for key in keys)
    task = " Your task is to find the lamp, take it, and turn it on." * 40  # over 256 word pieces
    here, there = "You are in the attic, among boxes.", "In the garden it rains on the shed."
    novelty = Novelty(MiniLM(), 0.95)
    assert novelty.rewards("state first", [[here + task, there + task]]) == [[1.0, 1.0]]
    assert novelty.rewards("task first", [[task + here, task + there]]) == [[1.0, 1 / 2]]


def test_mistake_07_memory_has_five_slots_and_is_in_no_checkpoint(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    with training(folders[0], tiny_model_dir, tasks_per_step=6) as opened:
        opened.go()
        tips, scopes = opened.memory.tips(), opened.parts.novelty.scopes
        checkpoint = opened.run.path / "checkpoints"
    assert len({tip.variation for tip in tips}) == len(scopes) == 6
    with training(folders[1], tiny_model_dir) as opened:
        checkpoint.rename(opened.run.path / "checkpoints")
        restore(opened.parts, 1)
        assert opened.memory.tips() == tips
        assert opened.parts.novelty.scopes.keys() == scopes.keys()
        for scope, visits in opened.parts.novelty.scopes.items():
            assert visits.counts.tolist() == scopes[scope].counts.tolist()
            assert (visits.vectors == scopes[scope].vectors).all()


def test_mistake_08_every_turn_is_a_training_row_of_its_own(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    with training(tmp_path, tiny_model_dir, tips_share=0.0, rules={"max_steps": 10}) as opened:
        [metrics] = opened.go()
        episodes = [recorded.episode for recorded in opened.run.episodes()]
        assert [len(samples) for samples in opened.learner.seen] == [len(episodes)]
    assert 0 < metrics.tokens < sum(len(tokens(episode.segments)) for episode in episodes)
    rows = sum(step.prompt_tokens for episode in episodes for step in episode.steps)
    assert rows > 5 * metrics.tokens


def test_mistake_09_a_failed_episode_writes_a_tip_and_is_learnt_from(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    with training(tmp_path, tiny_model_dir, make=BreaksOnce().make) as opened:
        [metrics] = opened.go()
        recorded = [one.episode for one in opened.run.episodes()]
        tips = opened.memory.tips()
        visits = [one.counts.sum() for one in opened.parts.novelty.scopes.values()]
    broken = [n for n, one in enumerate(recorded) if one.status is Status.ENV_ERROR]
    assert (len(broken), len(recorded)) == (1, 3)
    assert recorded[broken[0]].steps, "it had begun"
    assert (metrics.dropped, metrics.episodes) == ({"env_error": 1}, 2)
    assert {tip.episode for tip in tips} == {0, 1, 2} - set(broken)
    usable = [one for n, one in enumerate(recorded) if n not in broken]
    assert visits == [sum(len(one.steps) for one in usable)]
    [samples] = opened.learner.seen
    assert {sample.sequence for sample in samples} == {0, 1}
    played = {tokens(one.segments)[: len(s.acting.token_ids)] for one in usable for s in samples}
    assert {sample.acting.token_ids for sample in samples} <= played


def test_mistake_10_a_tip_that_says_reset_wipes_the_memory(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    with training(
        tmp_path, tiny_model_dir, steps=3, tasks=(Task("toy", "red-lamp", 3, "train"),),
        wrap=lambda policy: Saying(policy, "Reset"),
    ) as opened:  # fmt: skip
        before = next(
            tips_of(
                next(iter(_played(opened.parts.stage))), key="final", line=0, run="earlier",
                model="tiny", max_score=1.0, created="2026-11-22T10:00:00+00:00",
            )
        )  # fmt: skip
        opened.memory.add([before])
        sizes = [1, *(metrics.memory_size for metrics in opened.go())]
        assert all(a <= b for a, b in pairwise(sizes))
        assert sizes[-1] > 1
        assert before in opened.memory.tips()
        assert {tip.text for tip in opened.memory.tips()} == {"Reset"}


def _played(stage: Stage) -> list:  # type: ignore[type-arg] # of episodes
    task = Task("toy", "red-lamp", 3, "train")
    wanted = [Wanted(task, 1, memory=False, tip=True)]
    return [event.episode for event in play_all(stage, wanted) if isinstance(event, Finished)]


def test_mistake_11_success_is_being_over_with_a_score_above_70(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    success = {}
    for end in (fails_at_eighty, succeeds_at_half):
        folder = tmp_path / end.__name__
        folder.mkdir()
        with training(
            folder, tiny_model_dir, make=partial(SmallWorld, end), rules={"max_score": 100.0}
        ) as opened:
            [metrics] = opened.go()
            success[metrics.score] = metrics.success
    assert success == {80.0: 0.0, 50.0: 1.0}


def test_mistake_12_correction_is_a_bag_of_words_and_swaps_source_and_target() -> None:
    """And what is learnt from is what was said, not what was made of it."""
    ways = ("pour cup into jug", "pour jug into cup")
    said = ["pour the cup into the jug", "pour the jug into the cup"]
    assert [nearest(one, ways) for one in said] == list(ways)
    assert [nearest(one, ways[::-1]) for one in said] == list(ways)
    policy, world = ScriptedPolicy(said), SmallWorld(stands_still, ways)
    rules = Rules(
        max_steps=2, max_prompt_tokens=9000, max_reply_tokens=90, max_score=1.0, style="correct",
        temperature=1.0,
    )  # fmt: skip
    task = Task("toy", "red-lamp", 3, "train")
    with Worlds(lambda: world, Deadlines(step=30, reset=30)) as worlds:
        stage = Stage(policy, worlds, rules, PLUGIN.instructions, None, 1)
        [event] = [
            event
            for event in play_all(stage, [Wanted(task, 1, memory=False, tip=False)])
            if isinstance(event, Finished)
        ]
    assert world.taken == list(ways)
    samples = samples_of(event.episode, [1.0, 1.0], off_policy=False, sequence=0)
    assert [policy.chat.decode(sample.targets) for sample in samples] == [
        one + "<|end|>" for one in said
    ]
