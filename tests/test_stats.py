"""Hand-worked values; and a plain restatement of each formula, compared on random input."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empo2_agent.stats import (
    Interval,
    bootstrap_interval,
    paired_difference,
    t_interval,
    t_quantile,
    wilson_interval,
)

FLOATS = st.floats(-1000, 1000)

T_TABLE = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 5: 2.5706, 9: 2.2622, 10: 2.2281,
           30: 2.0423, 100: 1.9840, 1000: 1.9623}  # fmt: skip


@pytest.mark.parametrize(("dof", "expected"), T_TABLE.items())
def test_t_quantile_is_the_printed_table(dof: int, expected: float) -> None:
    assert t_quantile(0.975, dof) == pytest.approx(expected, abs=5e-5)  # the table has 4 decimals


def test_t_quantile_other_levels() -> None:
    assert t_quantile(0.5, 7) == pytest.approx(0, abs=1e-12)
    assert t_quantile(0.95, 1) == pytest.approx(math.tan(0.45 * math.pi), abs=1e-9)  # Cauchy
    assert t_quantile(0.995, 2) == pytest.approx(9.9248, abs=5e-5)
    with pytest.raises(ValueError, match="dof=0"):
        t_quantile(0.975, 0)
    with pytest.raises(ValueError, match="p=1"):
        t_quantile(1.0, 3)


@given(st.integers(1, 60), st.floats(0.1, 8))
def test_t_distribution_agrees_with_numerical_integration(dof: int, t: float) -> None:
    norm = math.gamma((dof + 1) / 2) / math.gamma(dof / 2) / math.sqrt(dof * math.pi)
    steps = 2000
    width = t / steps  # Simpson's rule over 0..t
    weights = [1, *([4, 2] * (steps // 2))[:-1], 1]
    points = (norm * (1 + (i * width) ** 2 / dof) ** (-(dof + 1) / 2) for i in range(steps + 1))
    inside = width / 3 * sum(w * p for w, p in zip(weights, points, strict=True))
    if inside < 0.49:  # the quantile asks for p < 1
        assert t_quantile(0.5 + inside, dof) == pytest.approx(t, rel=1e-6)  # Simpson's own error


def test_t_interval_by_hand() -> None:
    # mean 3, s = sqrt(10/4) = 1.5811, half width 2.7764 * 1.5811 / sqrt(5) = 1.9632
    found = t_interval([1, 2, 3, 4, 5])
    assert (found.mean, found.kind, found.n) == (3, "t", 5)
    assert found.ci95 == pytest.approx([3 - 1.96324, 4.96324], abs=1e-4)


def test_paired_difference_by_hand() -> None:
    # differences 1, 3: mean 2, s = sqrt(2), half width 12.7062 * sqrt(2) / sqrt(2)
    found = paired_difference([4, 5], [3, 2])
    assert (found.mean, found.kind, found.n) == (2, "paired t", 2)
    assert found.ci95 == pytest.approx([-10.7062, 14.7062], abs=1e-4)


def test_pairing_removes_what_the_arms_share() -> None:
    baseline = [0.0, 100.0, 20.0, 70.0]
    found = paired_difference([b + 5 for b in baseline], baseline)
    assert found.ci95 == pytest.approx([5, 5])
    with pytest.raises(ValueError, match="shorter"):
        paired_difference([1, 2], [1])


def test_wilson_by_hand() -> None:
    # 8 of 10, z = 1.96: centre (0.8 + 3.8415/20) / 1.38415 = 0.71674, half 0.22658
    found = wilson_interval(8, 10)
    assert (found.mean, found.kind) == (0.8, "Wilson")
    assert found.ci95 == pytest.approx([0.49016, 0.94332], abs=1e-5)


def test_wilson_has_a_width_at_the_ends() -> None:
    # 0 of 10: high = z^2 / (n + z^2) = 3.8415 / 13.8415
    assert wilson_interval(0, 10).ci95 == [0, pytest.approx(0.27753, abs=1e-5)]
    assert wilson_interval(10, 10).ci95 == [pytest.approx(0.72247, abs=1e-5), 1]
    assert wilson_interval(1, 1).ci95 == [pytest.approx(1 / 4.8415, abs=1e-4), 1]
    for successes, n in ((1, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="successes of"):
            wilson_interval(successes, n)


@given(st.integers(1, 200), st.data())
def test_wilson_ends_solve_its_equation(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    found = wilson_interval(successes, n)
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.mean <= found.high <= 1
    for end in (found.low, found.high):  # |rate - p| = z sqrt(p (1 - p) / n)
        distance = abs(found.mean - end)
        assert distance == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / n), abs=1e-6)


def reference_bootstrap(values: list[float], seed: int, resamples: int) -> tuple[float, float]:
    rng = random.Random(seed)
    means = []
    for _ in range(resamples):
        drawn = rng.choices(values, k=len(values))
        means.append(sum(drawn) / len(drawn))
    means.sort()
    ends = []
    for share in (0.025, 0.975):
        rank = share * (resamples - 1)
        i = int(rank)
        ends.append(means[i] * (1 - (rank - i)) + means[i + 1] * (rank - i))
    return ends[0], ends[1]


@given(st.lists(FLOATS, min_size=2, max_size=6), st.integers(0, 99))
def test_bootstrap_agrees_with_the_reference(values: list[float], seed: int) -> None:
    found = bootstrap_interval(values, seed=seed, resamples=200)
    assert found.kind == "bootstrap"
    expected = reference_bootstrap(values, seed, 200)
    assert found.ci95 == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_bootstrap_of_a_coin_is_near_the_binomial() -> None:
    # 100 values, half of them 1: the mean's standard error is 0.05, so about 0.5 -+ 0.098
    found = bootstrap_interval([0.0, 1.0] * 50, seed=1)
    assert found.ci95 == pytest.approx([0.402, 0.598], abs=0.011)
    assert found == bootstrap_interval([0.0, 1.0] * 50, seed=1)
    assert found != bootstrap_interval([0.0, 1.0] * 50, seed=2, resamples=999)


@pytest.mark.parametrize("found", [t_interval([7.5]), bootstrap_interval([7.5], seed=0),
                                   paired_difference([9.5], [2.0])])  # fmt: skip
def test_one_value_has_no_interval(found: Interval) -> None:
    assert found == Interval(7.5, None, None, "none", 1)
    assert found.ci95 is None
    assert str(found) == "7.50 (n=1, no interval)"


def test_values_that_do_not_differ_are_said_to_be_alike() -> None:
    for found in (t_interval([0.3, 0.3]), bootstrap_interval([0.0, 0.0], seed=0)):
        assert found.all_alike
        assert str(found).endswith("(n=2, all alike: no interval)")
    rounded = paired_difference([0.3, 0.8], [0.1, 0.6])
    assert rounded.low != rounded.high
    assert rounded.all_alike
    assert not t_interval([0.0, 1.0]).all_alike
    assert not wilson_interval(0, 10).all_alike


def test_no_values_are_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        t_interval([])
    with pytest.raises(ValueError, match="no values"):
        bootstrap_interval([], seed=0)


def test_text_says_the_kind() -> None:
    assert str(t_interval([1, 2, 3, 4, 5])) == "3.00 [1.04, 4.96] (95 % t, n=5)"


@given(st.lists(FLOATS, min_size=2, max_size=9), FLOATS)
def test_shifting_the_values_shifts_the_interval(values: list[float], shift: float) -> None:
    before, after = t_interval(values), t_interval([value + shift for value in values])
    assert before.low is not None
    assert after.low is not None
    assert after.low == pytest.approx(
        before.low + shift, abs=1e-7
    )  # values up to 2000: 1e-12 x 1e4
