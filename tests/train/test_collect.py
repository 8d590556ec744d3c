"""From the episodes of a group to their returns, and from these to advantages of samples."""

from collections.abc import Sequence
from typing import Any

import pytest

from empo2_agent.memory.novelty import Novelty
from empo2_agent.train.collect import (
    Draw,
    Group,
    Scored,
    samples_of_group,
    score,
    tasks_of_step,
)
from empo2_agent.train.samples import Sample
from empo2_agent.train.schedule import Mode
from empo2_agent.types import Episode, Task
from tests import reference
from tests.memory.helpers import Angles
from tests.train.ledgers import TASK, action, episode, prompt, tip

PLAIN = Mode(tips=False, off_policy=False)
OPTIONS: dict[str, Any] = {
    "scale_by_std": False, "step_weight": 0.0, "discount": 0.5,
}  # fmt: skip


def played(rewards: Sequence[float], states: Sequence[int], *, tips: bool = False) -> Episode:
    """An episode through these states, directions in degrees, one more than there are rewards."""
    ledger = []
    prompts = []
    for n in range(len(rewards)):
        shown = (tip(90 + n),) if tips else ()
        ledger += [prompt(1, 2), *shown, prompt(3), action((10 + n, -0.5, None))]
        prompts.append(sum(len(part.token_ids) for part in ledger) - 1)
    names = [f"angle {degrees}" for degrees in states]
    return episode(ledger, prompts, rewards=rewards, states=names, final_state=names[-1])


def group(*episodes: Episode, mode: Mode = PLAIN) -> Group:
    return Group(Draw(TASK, mode), episodes, tuple(range(len(episodes))))


def advantages(scored: Scored, **changes: Any) -> list[list[float]]:
    found: dict[int, list[float]] = {}
    for sample in samples_of_group(scored, 0, **{**OPTIONS, **changes}):
        found.setdefault(sample.sequence, []).extend(sample.advantages)
    return [found.get(n, []) for n in range(len(scored.group.episodes))]


def test_all_rewards_count_the_last_one_too() -> None:
    scored = score(group(played([1.0, 0.0, 5.0], [0] * 4), played([0.0], [0, 0])), None, 1.0)
    assert scored.returns == [6.0, 0.0]
    assert scored.intrinsic == (0.0, 0.0)
    assert advantages(scored) == [[3.0] * 3, [-3.0]]


def test_the_bonus_reaches_the_advantage() -> None:
    """First visits: 120 and 240 degrees by the first episode, none by the second."""
    both = group(played([0.0, 0.0], [0, 120, 240]), played([0.0, 0.0], [0, 120, 240]))
    scored = score(both, Novelty(Angles(), 0.5), 2.0)
    assert scored.rewards == ((2.0, 2.0), (1.0, 1.0))
    assert scored.intrinsic == (2.0, 1.0)
    assert advantages(scored) == [[1.0, 1.0], [-1.0, -1.0]]
    assert score(both, Novelty(Angles(), 0.5), 0.5).returns == [1.0, 0.5]
    assert score(both, None, 2.0).flat


def test_visits_of_other_tasks_do_not_count() -> None:
    novelty = Novelty(Angles(), 0.5)
    one = group(played([0.0], [0, 0]), played([0.0], [0, 0]))
    score(one, novelty, 1.0)
    other = Group(Draw(Task("toy", "red-lamp", 4), PLAIN), one.episodes, one.lines)
    assert score(other, novelty, 1.0).intrinsic == (1.0, 1 / 2)
    assert score(one, novelty, 1.0).intrinsic == (1 / 3, 1 / 4)


@pytest.mark.parametrize("scale", [True, False])
def test_advantages_are_those_of_the_group(scale: bool) -> None:
    returns = [0.0, 2.0, 7.0]
    scored = score(group(*(played([r], [0, 0]) for r in returns)), None, 1.0)
    expected = [[a] for a in reference.group_advantages(returns, scale)]
    for found, wanted in zip(advantages(scored, scale_by_std=scale), expected, strict=True):
        assert found == pytest.approx(wanted, abs=1e-9)


def test_steps_from_the_same_state_count_what_they_are_weighted_with() -> None:
    episodes = (played([0.0, 1.0], [0, 90, 0]), played([0.0, 0.0], [0, 180, 0]))
    scored = score(group(*episodes), None, 1.0)
    # episode: 0.5 and -0.5; from state 0, discounted: 0.5 and 0, so 0.25 and -0.25
    assert advantages(scored, step_weight=2.0) == [[1.0, 0.5], [-1.0, -0.5]]
    assert advantages(scored, step_weight=2.0, discount=1.0) == [[1.5, 0.5], [-1.5, -0.5]]
    assert advantages(scored) == [[0.5, 0.5], [-0.5, -0.5]]


def test_a_group_without_variance_teaches_nothing() -> None:
    scored = score(group(played([0.1, 0.2], [0] * 3), played([0.3, 0.0], [0] * 3)), None, 1.0)
    assert scored.returns[0] != scored.returns[1], "rounding"
    assert scored.flat
    assert advantages(scored, scale_by_std=True) == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(("mode", "differs"), [("with-tips", False), ("off-policy", True)])
def test_the_mode_says_what_is_learnt_on(mode: str, differs: bool) -> None:
    played_with = [played([float(n)], [0, 0], tips=True) for n in range(2)]
    chosen = Mode(tips=True, off_policy=mode == "off-policy")
    scored = score(group(*played_with, mode=chosen), None, 1.0)
    samples: list[Sample] = samples_of_group(scored, 8, **OPTIONS)
    assert [sample.sequence for sample in samples] == [8, 9]
    assert {sample.differs for sample in samples} == {differs}


def test_every_task_is_played_before_any_is_played_again() -> None:
    tasks = [Task("toy", "red-lamp", n) for n in range(5)]
    drawn = [task for step in range(1, 6) for task in tasks_of_step(tasks, step, 3, seed=1)]
    for start in (0, 5, 10):
        assert {task.id for task in drawn[start : start + 5]} == {task.id for task in tasks}
    assert drawn[:5] != drawn[5:10]
    assert drawn != [task for n in range(1, 6) for task in tasks_of_step(tasks, n, 3, seed=2)]
