import math

import pytest

from empo2_agent.memory.novelty import Novelty
from tests.memory.helpers import Angles

SIXTY = 0.5  # cosine of 60 degrees


def test_the_nth_visit_to_a_state_earns_one_nth() -> None:
    novelty = Novelty(Angles(), SIXTY)
    first = novelty.rewards("a", [["angle 0", "angle 0"], ["angle 0"]])
    assert first == [[1.0, 1 / 2], [1 / 3]]
    assert novelty.rewards("a", [["angle 0"]]) == [[1 / 4]]
    assert len(novelty) == 1


def test_it_does_not_saturate() -> None:
    novelty = Novelty(Angles(), SIXTY)
    [found] = novelty.rewards("a", [["angle 0"] * 40])
    assert found == [1 / n for n in range(1, 41)]


@pytest.mark.parametrize(
    ("degrees", "bonus", "known"), [(59, 1 / 2, 1), (60, 1 / 2, 1), (61, 1.0, 2)]
)
def test_similar_states_are_the_same_from_the_threshold_on(
    degrees: int, bonus: float, known: int
) -> None:
    novelty = Novelty(Angles(), SIXTY)
    assert novelty.rewards("a", [["angle 0", f"angle {degrees}"]]) == [[1.0, bonus]]
    assert len(novelty) == known


def test_a_state_between_two_counts_the_visits_to_both() -> None:
    novelty = Novelty(Angles(), SIXTY)
    [found] = novelty.rewards("a", [["angle 0", "angle 0", "angle 100", "angle 50"]])
    assert found == [1.0, 1 / 2, 1.0, 1 / 4]
    assert len(novelty) == 2


def test_scopes_are_apart() -> None:
    novelty = Novelty(Angles(), SIXTY)
    assert novelty.rewards("a", [["angle 0"]]) == [[1.0]]
    assert novelty.rewards("b", [["angle 0"]]) == [[1.0]]
    assert novelty.rewards("a", [["angle 0"]]) == [[1 / 2]]
    assert len(novelty) == 2


def test_the_threshold_matters() -> None:
    near = ["angle 0", "angle 20"]
    assert Novelty(Angles(), 0.9).rewards("a", [near]) == [[1.0, 1 / 2]]
    assert Novelty(Angles(), 0.99).rewards("a", [near]) == [[1.0, 1.0]]


def test_nothing_reached_earns_nothing() -> None:
    novelty = Novelty(Angles(), SIXTY)
    assert novelty.rewards("a", [[], []]) == [[], []]
    assert len(novelty) == 0


def test_the_sum_of_n_visits_is_a_harmonic_number() -> None:
    novelty = Novelty(Angles(), SIXTY)
    total = sum(sum(row) for row in novelty.rewards("a", [["angle 0"] * 5] * 4))
    assert total == pytest.approx(math.fsum(1 / n for n in range(1, 21)))
