import pytest
from hypothesis import given
from hypothesis import strategies as st

from empo2_agent.train.advantages import (
    discounted_returns,
    group_advantages,
    has_variance,
    step_advantages,
)
from tests import reference

RETURNS = st.lists(st.floats(-100, 100), min_size=2, max_size=8)


def test_by_hand() -> None:
    assert group_advantages([1.0, 0.0, 0.0, 1.0], scale_by_std=False) == [0.5, -0.5, -0.5, 0.5]
    # mean 4; deviations -4 0 4; Bessel: 32 / 2 = 16, std 4
    assert group_advantages([0.0, 4.0, 8.0], scale_by_std=True) == pytest.approx(
        [-4 / (4 + 1e-6), 0.0, 4 / (4 + 1e-6)], abs=1e-12
    )


@given(RETURNS, st.booleans())
def test_equals_the_reference(returns: list[float], scale: bool) -> None:
    found = group_advantages(returns, scale_by_std=scale)
    assert found == pytest.approx(reference.group_advantages(returns, scale), abs=1e-6)


@given(RETURNS, st.booleans())
def test_sums_to_zero(returns: list[float], scale: bool) -> None:
    assert sum(group_advantages(returns, scale_by_std=scale)) == pytest.approx(0.0, abs=1e-6)


@given(RETURNS, st.floats(-50, 50))
def test_a_shift_changes_nothing(returns: list[float], shift: float) -> None:
    moved = group_advantages([r + shift for r in returns], scale_by_std=False)
    assert moved == pytest.approx(group_advantages(returns, scale_by_std=False), abs=1e-9)


def test_equal_returns_teach_nothing() -> None:
    assert group_advantages([0.3, 0.3, 0.3], scale_by_std=True) == [0.0, 0.0, 0.0]
    assert not has_variance([0.3, 0.3])
    assert has_variance([0.3, 0.4])


def test_groups_of_one_are_refused() -> None:
    with pytest.raises(ValueError, match="at least two"):
        group_advantages([1.0], scale_by_std=False)


def test_discounted_returns_by_hand() -> None:
    assert discounted_returns([1.0, 0.0, 4.0], 0.5) == [2.0, 2.0, 4.0]


def test_steps_from_the_same_state_are_compared() -> None:
    anchors = [["hall", "kitchen"], ["hall", "cellar"]]
    rewards = [[0.0, 1.0], [0.0, 0.0]]
    found = step_advantages(anchors, rewards, discount=0.5, scale_by_std=False)
    assert found == [[0.25, 0.0], [-0.25, 0.0]]  # returns 0.5 and 0 in the hall; the rest are alone


STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.floats(-5, 5)), min_size=1, max_size=4)


@given(st.lists(STEPS, min_size=1, max_size=4), st.floats(0, 1))
def test_step_advantages_equal_the_reference(
    episodes: list[list[tuple[str, float]]], discount: float
) -> None:
    anchors = [[anchor for anchor, _ in episode] for episode in episodes]
    rewards = [[reward for _, reward in episode] for episode in episodes]
    found = step_advantages(anchors, rewards, discount=discount, scale_by_std=False)
    for row, expected in zip(
        found, reference.step_advantages(anchors, rewards, discount), strict=True
    ):
        assert row == pytest.approx(expected, abs=1e-9)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="same steps"):
        step_advantages([["a"]], [[1.0, 2.0]], discount=1.0, scale_by_std=False)
