"""The copy of one scope."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from empo2_agent.memory.shelf import Shelf
from empo2_agent.types import Tip
from tests.memory.helpers import Angles, make_tip

rows = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 180), st.integers(0, 3)), max_size=30)


def put(shelf: Shelf, tips: list[Tip]) -> None:
    shelf.put([tip.id for tip in tips], tips, Angles().embed([tip.key for tip in tips]))


@given(rows, st.sets(st.integers(0, 15)), rows, st.integers(0, 180))
def test_it_finds_what_going_through_all_tips_finds(
    first: list[tuple[int, int, int]],
    dropped: set[int],
    second: list[tuple[int, int, int]],
    angle: int,
) -> None:
    shelf, expected = Shelf(), dict[str, Tip]()
    for batch, gone in ((first, dropped), (second, set[int]())):
        tips = {f"{n}": make_tip(f"{n}", key=f"angle {a}", score=s) for n, a, s in reversed(batch)}
        put(shelf, list(tips.values()))
        expected = {**tips, **expected}
        shelf.drop({str(n) for n in gone})
        expected = {id_: tip for id_, tip in expected.items() if int(id_) not in gone}
    assert dict(zip(shelf.ids, shelf.tips, strict=True)) == expected
    [row] = shelf.similarities(Angles().embed([f"angle {angle}"]))
    cosines = {
        id_: round(math.cos(math.radians(int(tip.key.split()[1]) - angle)), 4)
        for id_, tip in expected.items()
    }
    found = list(shelf.ranked(row, 0.12345))  # no cosine of whole degrees is that near to it
    assert {one.tip.id: round(one.similarity, 4) for one in found} == {
        id_: cosine for id_, cosine in cosines.items() if cosine > 0.12345
    }
    scores = [one.tip.score for one in found]
    assert scores == sorted(scores, reverse=True)
    below = [one.tip.id for one in shelf.rest(row, 0.12345)]
    assert sorted(below + [one.tip.id for one in found]) == sorted(expected)


@given(st.integers(0, 2**32), st.integers(1, 1003))
def test_equal_keys_tie_wherever_they_stand(seed: int, number: int) -> None:
    rng = np.random.default_rng(seed)
    stored, searched = rng.normal(size=(2, 384)) / 20
    shelf = Shelf()
    shelf.put(
        [str(i) for i in range(number)],
        [make_tip(f"{i}") for i in range(number)],
        [stored.tolist()] * number,
    )
    [row] = shelf.similarities([searched.tolist()])
    assert set(row.tolist()) == {row[0]}
    assert row[0] == pytest.approx(float(stored @ searched), abs=1e-5)


def test_the_last_bit_of_a_vector_does_not_decide_between_equal_keys() -> None:
    shelf = Shelf()
    one = np.float32(0.6)
    for n, bit in enumerate([one, np.nextafter(one, np.float32(1)), np.nextafter(one, -one)]):
        shelf.put(
            [f"{n}", f"{n}b"],
            [make_tip(f"{n}"), make_tip(f"{n}b")],
            [[float(one), 0.8], [float(bit), 0.8]],
        )
    [row] = shelf.similarities([[0.8, 0.6]])
    assert set(row.tolist()) == {row[0]}


def test_oldest_first() -> None:
    shelf = Shelf()
    put(shelf, [make_tip(f"{i}", created=f"2026-01-0{day}") for i, day in enumerate([3, 1, 2, 1])])
    assert shelf.oldest(3) == ["1", "3", "2"]
    assert shelf.oldest(-5) == []
    assert shelf.oldest(99) == ["1", "3", "2", "0"]
