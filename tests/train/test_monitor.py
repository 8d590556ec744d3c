import re
from collections.abc import Iterable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empo2_agent.train.metrics import StepMetrics
from empo2_agent.train.monitor import CALM_STEPS, REPEAT_STEPS, Monitor, standing
from tests.train.measured import make_metrics


def rows(field: str, values: Iterable[object], **others: object) -> list[StepMetrics]:
    """A step for each value of `field`, numbered from 1."""
    return [
        make_metrics(step=step, **{field: value}, **others) for step, value in enumerate(values, 1)
    ]


def raised(steps: Iterable[StepMetrics]) -> list[tuple[int, str]]:
    """(step, kind) of every alarm."""
    monitor = Monitor()
    return [(row.step, alarm.kind) for row in steps for alarm in monitor.add(row)]


def message(steps: Iterable[StepMetrics]) -> str:
    """That of the only alarm."""
    monitor = Monitor()
    (alarm,) = [alarm for row in steps for alarm in monitor.add(row)]
    return alarm.message


@pytest.mark.parametrize(
    ("field", "values", "at"),
    [
        # means of five: first 1.0; (3 * 1 + 2 * 0) / 5 ... 0.2, then 0: below 0.1 at step 10
        ("entropy", [1.0] * 5 + [0.0] * 5, 10),
        ("entropy", [1.0] * 5 + [0.0] * 4, None),
        ("entropy", [1.0] * 5 + [0.101] * 9, None),
        ("entropy", [1.0] * 5 + [0.099] * 5, 10),
        ("entropy", [float("nan")] * 12, None),
        ("entropy", [0.0] * 12, None),
        ("flat_groups", [1.0] * 6 + [0.0] * 4, 10),
        ("flat_groups", [1.0] * 5 + [0.0] * 9, None),
        ("flat_groups", [1.0] * 9, None),
        ("tip_gap", [None, 2.0], None),
        ("tip_gap", [None, 2.1], 2),
        ("tip_gap", [1.0, None, 2.1], 3),
        ("tip_gap", [-9.0], None),
        ("mismatch_mean", [0.05], None),
        ("mismatch_mean", [0.051], 1),
        ("mismatch_max", [1.0], None),
        ("mismatch_max", [1.01], 1),
        ("mismatch_max", [float("inf")], 1),
        ("repeated", [1.0] * 4, None),
        ("repeated", [1.0] * 5, 5),
        ("repeated", [0.5] * 9, None),
        ("repeated", [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.6], None),
        ("skipped", [0, 0, 1], 3),
        # means of eight: 1.0, and then 1/8 less every step. After four, one fall of 1 among 19
        # differences: variance 1 / 38, standard error of a difference sqrt(2 / 38 / 8) = 0.081,
        # five of them 0.41; 0.5 lost is more than that, 0.375 (of 18: 0.42) is not.
        ("score", [1.0] * 16 + [0.0] * 4, 20),
        ("score", [1.0] * 16 + [0.0] * 3, None),
        ("score", [1.0] * 16 + [0.89] * 20, 24),  # more than a tenth of the best, at 8 steps
        ("score", [1.0] * 16 + [0.91] * 20, None),
        # learnt 0..1 (means 0.09..0.91, halfway 0.5) and lost some of it, or more than half
        ("score", [*(n / 40 for n in range(41)), *[0.55] * 12], None),
        ("score", [*(n / 40 for n in range(41)), *[0.45] * 8], 49),
        ("score", [1.0] * 16 + [float("nan")] + [0.0] * 4, 21),
        ("score", [0.0] * 30, None),
        ("score", [float(n) for n in range(60)], None),
        ("score", [-100.0] * 8 + [float("nan")] * 4, None),
    ],
)
def test_thresholds_by_hand(field: str, values: list[object], at: int | None) -> None:
    kinds = {
        "flat_groups": "flat-groups",
        "tip_gap": "tip-gap",
        "mismatch_mean": "mismatch",
        "mismatch_max": "mismatch",
        "skipped": "non-finite",
        "score": "collapse",
    }
    found = raised(rows(field, values))
    assert found == ([] if at is None else [(at, kinds.get(field, field))])


def test_groups_are_counted_not_steps() -> None:
    """Nine steps of one group that varied, and one of sixteen that did not."""
    steps = rows("flat_groups", [0.0] * 9)
    last = make_metrics(step=10, flat_groups=1.0, tasks=("t",) * 16)
    assert message([*steps, last]).startswith("16 of the last 25 groups taught nothing")


def test_a_solved_task_is_told_from_one_too_hard() -> None:
    assert "is solved" in message(rows("flat_groups", [1.0] * 10, success=1.0))
    assert "train.group_size" in message(rows("flat_groups", [1.0] * 10, success=0.0))


def test_messages_are_one_line_with_numbers_and_a_setting_that_exists() -> None:
    from empo2_agent.config import Settings
    from empo2_agent.config.schema import flatten

    known = {key for key, _ in flatten(Settings())}
    wrong = {
        "entropy": rows("entropy", [1.0] * 5 + [0.0] * 5),
        "flat_groups": rows("flat_groups", [1.0] * 10),
        "tip_gap": rows("tip_gap", [3.0]),
        "mismatch": rows("mismatch_mean", [0.5]),
        "repeated": rows("repeated", [1.0] * 5),
        "skipped": rows("skipped", [2]),
        "score": rows("score", [1.0] * 16 + [0.0] * 4),
    }
    for name, steps in wrong.items():
        said = message(steps)
        assert "\n" not in said, name
        assert len(said) < 240, name
        named = set(re.findall(r"[a-z_]+\.[a-z_]+", said))
        assert named, f"{name} names no setting: {said}"
        assert named <= known, name
        assert any(character.isdigit() for character in said), name


def test_only_plain_steps_count_for_the_collapse() -> None:
    """Tips help, and their steps come and go: their scores are not the policy's own."""
    assert raised(rows("score", [1.0] * 16 + [0.0] * 8, mode="off-policy")) == []
    assert raised(rows("score", [1.0] * 16 + [0.0] * 8, mode="plain+with-tips")) == []


def test_noise_is_no_collapse_but_a_collapse_in_noise_is() -> None:
    """Groups of eight episodes that succeed or fail, over 150 steps."""
    false_alarms = 0
    for seed in range(40):
        rng = Random(seed)
        steady = [sum(rng.random() < 0.5 for _ in range(8)) / 8 for _ in range(150)]
        lost = [sum(rng.random() < 0.05 for _ in range(8)) / 8 for _ in range(8)]
        steps = [step for step, _ in raised(rows("score", steady + lost))]
        false_alarms += any(step <= 150 for step in steps)
        assert any(step > 150 for step in steps), seed
    assert false_alarms <= 1


def test_a_lasting_alarm_is_repeated_every_fifty_steps() -> None:
    steps = rows("mismatch_mean", [0.5] * (2 * REPEAT_STEPS + 1))
    assert [step for step, _ in raised(steps)] == [1, 1 + REPEAT_STEPS, 1 + 2 * REPEAT_STEPS]


def test_an_alarm_that_flickers_is_raised_once_and_one_that_was_over_again() -> None:
    flicker = [0.5, 0.0] * 10
    assert raised(rows("mismatch_mean", flicker)) == [(1, "mismatch")]
    short = [0.5, *[0.0] * (CALM_STEPS - 1), 0.5]
    assert raised(rows("mismatch_mean", short)) == [(1, "mismatch")]
    over = [0.5, *[0.0] * CALM_STEPS, 0.5]
    assert raised(rows("mismatch_mean", over)) == [(1, "mismatch"), (7, "mismatch")]


def test_active_ones_are_as_last_seen_until_they_are_over() -> None:
    monitor = Monitor()
    steps = rows("skipped", [1, 2, 0, 0, 0, 0, 0])
    seen = []
    for row in steps:
        monitor.add(row)
        seen.append([re.findall("step .*: [0-9]", alarm.message)[0] for alarm in monitor.active])
    assert seen == [["step 1: 1"], *[["step 2: 2"]] * 5, []]


def test_a_gap_holds_until_another_is_measured() -> None:
    """Most steps measure none: that is no sign that it closed."""
    monitor = Monitor()
    for row in rows("tip_gap", [3.0, *[None] * 20]):
        monitor.add(row)
    assert [alarm.kind for alarm in monitor.active] == ["tip-gap"]


def test_rolled_back_steps_are_forgotten() -> None:
    steps = rows("score", [1.0] * 16 + [0.0] * 4)
    monitor = Monitor(steps)
    assert [alarm.kind for alarm in monitor.active] == ["collapse"]
    monitor.forget(16)
    assert monitor.active == []
    found = [monitor.add(make_metrics(step=step, score=0.0)) for step in range(21, 25)]
    assert [[alarm.kind for alarm in alarms] for alarms in found] == [[], [], [], ["collapse"]]


def test_a_resumed_run_forgets_what_was_rolled_back_before() -> None:
    steps = rows("score", [1.0] * 16 + [0.0] * 4)
    steps[-1] = make_metrics(step=20, score=0.0, rolled_back_to=16)
    monitor = Monitor(steps)
    assert monitor.active == []
    assert monitor.add(make_metrics(step=21, score=0.0)) == []
    assert [row.step for row in standing(steps)] == list(range(1, 17))


def test_a_step_without_episodes_says_nothing() -> None:
    """Its means are of nothing, and must not stand for a policy that changed."""
    broken = make_metrics(step=9, episodes=0, repeated=1.0, mismatch_max=9.0, entropy=0.0)
    monitor = Monitor()
    assert [monitor.add(broken) for _ in range(30)] == [[]] * 30


@given(st.lists(st.booleans(), max_size=40), st.randoms(use_true_random=False))
def test_what_stands_was_never_undone(back: list[bool], rng: Random) -> None:
    steps = [
        make_metrics(step=n, rolled_back_to=rng.randrange(n) if there else None)
        for n, there in enumerate(back, 1)
    ]
    undone = {
        row.step
        for later in steps
        for row in steps
        if later.rolled_back_to is not None and later.rolled_back_to < row.step <= later.step
    }
    assert [row.step for row in standing(steps)] == [
        row.step for row in steps if row.step not in undone
    ]


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0, 1), st.integers(0, 1)), max_size=120))
def test_the_same_steps_give_the_same_alarms_and_never_a_kind_twice_at_once(
    values: list[tuple[float, float, int]],
) -> None:
    steps = [
        make_metrics(step=n, entropy=entropy, repeated=share, score=share, skipped=skipped)
        for n, (entropy, share, skipped) in enumerate(values, 1)
    ]
    found = raised(steps)
    assert found == raised(steps)
    assert len(found) == len(set(found))
    for kind in {kind for _, kind in found}:
        at = [step for step, other in found if other == kind]
        assert all(b - a > CALM_STEPS for a, b in pairwise(at))
