"""The choice of tips, as pure functions."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from empo2_agent.memory.tips import (
    Outcome,
    charge,
    in_order,
    judge,
    scope_key,
    select,
    tie_order,
    within_budget,
)
from empo2_agent.prompts import tip_block
from empo2_agent.text import overlap, words
from empo2_agent.types import Recalled
from tests.memory.helpers import make_tip, recalled

VOCABULARY = ["lamp", "cellar", "go", "east", "west", "red", "open", "door", "never", "Kitchen."]
texts = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=8).map(" ".join)
small = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])  # few values, so that ties are common


@st.composite
def candidates(draw: st.DrawFn) -> list[Recalled]:
    rows = draw(st.lists(st.tuples(texts, small, small, st.integers(0, 3)), max_size=20))
    return [
        recalled(f"run/{i}", similarity, text=text, score=score, created=f"2026-01-0{day + 1}")
        for i, (text, similarity, score, day) in enumerate(rows)
    ]


def order(found: Sequence[Recalled], threshold: float) -> list[Recalled]:
    tips = [one.tip for one in found]
    indices = in_order(
        np.array([one.similarity for one in found]),
        np.array([tip.score for tip in tips]),
        tie_order(tips),
        threshold,
    )
    return [found[i] for i in indices]


@given(candidates(), small)
def test_order_is_score_then_similarity_then_newest(
    found: list[Recalled], threshold: float
) -> None:
    expected = sorted(
        (one for one in found if one.similarity > threshold),
        key=lambda one: (one.tip.score, one.similarity, one.tip.created, one.tip.id),
        reverse=True,
    )
    assert order(found, threshold) == expected


@given(candidates(), small, st.randoms(use_true_random=False))
def test_order_does_not_depend_on_how_the_tips_were_stored(
    found: list[Recalled], threshold: float, random: st.DataObject
) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis types st.randoms loosely
    assert order(shuffled, threshold) == order(found, threshold)


def test_a_similarity_at_the_floor_is_not_above_it() -> None:
    at, above = recalled("a", 0.5), recalled("b", 0.500001)
    assert order([at, above], 0.5) == [above]


@given(candidates(), st.integers(1, 6), st.sampled_from([0.0, 0.5, 0.9, 1.0]))
def test_judge_keeps_the_best_of_each_saying_up_to_the_limit(
    found: list[Recalled], max_tips: int, near_duplicate: float
) -> None:
    verdicts = list(judge(found, max_tips=max_tips, near_duplicate=near_duplicate))
    kept = [one for one in verdicts if one.outcome is Outcome.KEPT]
    assert [one.tip for one in verdicts] == [one.tip for one in found]
    assert [one.rank for one in verdicts] == list(range(1, len(found) + 1))
    assert len(kept) <= max_tips
    assert bool(kept) == bool(found)
    said = [words(one.tip.text) for one in kept]
    assert all(overlap(a, b) < near_duplicate for i, a in enumerate(said) for b in said[i + 1 :])
    ranks = {one.tip.id: one.rank for one in kept}
    for one in verdicts:
        if one.outcome is Outcome.COPY:
            original = next(v for v in kept if v.tip.id == one.copy_of)
            assert ranks[one.copy_of] < one.rank  # type: ignore[operator] # ranks above the floor
            assert overlap(words(original.tip.text), words(one.tip.text)) >= near_duplicate
            assert one.copy_of in one.reason
        if one.outcome is Outcome.OVER_LIMIT:
            assert len(kept) == max_tips
    chosen = select(found, max_tips=max_tips, near_duplicate=near_duplicate)
    assert chosen == [Recalled(one.tip, one.similarity) for one in kept]


def test_select_reads_no_further_than_it_must() -> None:
    found = iter([recalled(f"run/{i}") for i in range(5)])
    assert len(select(found, max_tips=2, near_duplicate=0.9)) == 2
    assert len(list(found)) == 3


def test_copies_of_one_episode_take_one_place() -> None:
    steps = [
        recalled(
            f"run/0/7/{i}", text="The lamp is red.", key=f"angle {i}", step=i, action=f"go {i}"
        )
        for i in range(9)
    ]
    other = recalled("run/0/8", text="Open the door first.", score=0.0)
    chosen = select([*steps, other], max_tips=3, near_duplicate=0.9)
    assert chosen == [steps[0], other]


def test_a_tip_of_one_word_silences_no_tip_that_contains_it() -> None:
    short = recalled("a", text="Lamp")
    long = recalled("b", text="The lamp is in the cellar, under the stairs.")
    assert select([short, long], max_tips=10, near_duplicate=0.9) == [short, long]


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("The lamp is red.", "the LAMP, is red", 1.0),
        ("a b c", "b c d", 0.5),
        ("a b", "c", 0.0),
        ("?!", "...", 1.0),
        ("?!", "word", 0.0),
        ("go go go", "go", 1.0),
    ],
)
def test_overlap(one: str, other: str, shared: float) -> None:
    assert overlap(words(one), words(other)) == shared


def characters(text: str) -> int:
    return len(text)


def uneven(text: str) -> int:
    """Not additive: what a text costs depends on what stands before, as with real tokenizers."""
    return len(text.split()) + len(text) % 7


@given(
    candidates(),
    st.integers(-5, 300),
    st.integers(-5, 300),
    st.sampled_from([characters, uneven]),
)
def test_the_block_of_tips_never_costs_more_than_either_budget(
    found: list[Recalled], per_turn: int, left: int, cost: object
) -> None:
    assert callable(cost)
    chosen = within_budget(found, cost, per_turn=per_turn, left_for_episode=left)
    assert chosen == [one for one in found if one in chosen]
    if chosen:
        assert cost(tip_block(chosen)) <= min(per_turn, left)
    for i, one in enumerate(found):
        if one not in chosen:
            before = [other for other in found[:i] if other in chosen]
            assert cost(tip_block([*before, one])) > min(per_turn, left)


def test_a_tip_too_long_is_passed_over() -> None:
    long, short = recalled("a", text="word " * 200), recalled("b", text="Short.")
    chosen = within_budget([long, short], characters, per_turn=200, left_for_episode=999)
    assert chosen == [short]
    assert within_budget([short], characters, per_turn=200, left_for_episode=0) == []


@given(candidates(), st.integers(0, 300))
def test_charge_says_what_within_budget_does(found: list[Recalled], budget: int) -> None:
    verdicts = list(judge(found, max_tips=5, near_duplicate=0.9))
    charged = charge(verdicts, characters, budget)
    kept = select(found, max_tips=5, near_duplicate=0.9)
    shown = within_budget(kept, characters, per_turn=budget, left_for_episode=budget)
    assert [one.tip for one in charged if one.outcome is Outcome.KEPT] == [s.tip for s in shown]
    changed = [(a, b) for a, b in zip(verdicts, charged, strict=True) if a != b]
    assert all(a.outcome is Outcome.KEPT and b.outcome is Outcome.OVER_BUDGET for a, b in changed)


def test_scope_keys() -> None:
    tip = make_tip()
    place = (tip.environment, tip.task, tip.variation)
    assert scope_key("environment", *place) == "toy"
    assert scope_key("task", *place) == "toy/red-lamp"
    assert scope_key("variation", *place) == "toy/red-lamp/3"
