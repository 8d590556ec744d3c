"""Which of the stored tips are shown: scope, similarity floor, order, copies, budget.

One rule: nothing here touches a store or a model. What `search` returns and what `--explain` prints
come out of the same function (`judge`), so the explanation cannot differ from the choice.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from empo2_agent.prompts import tip_block
from empo2_agent.text import overlap, words
from empo2_agent.types import Recalled, Tip

Scope = Literal["variation", "task", "environment"]


class Outcome(StrEnum):
    """What became of a candidate."""

    KEPT = "kept"
    BELOW_FLOOR = "below the similarity floor"
    COPY = "near-duplicate"
    OVER_LIMIT = "over the limit of tips"
    OVER_BUDGET = "over the token budget"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a tip was chosen or dropped."""

    tip: Tip
    similarity: float
    rank: int | None
    """Place by score among the tips above the floor, from 1; None below the floor."""
    outcome: Outcome
    copy_of: str = ""
    """Id of the better tip that says the same."""

    @property
    def reason(self) -> str:
        """The outcome in words."""
        return f"{self.outcome} of {self.copy_of}" if self.copy_of else str(self.outcome)


def scope_key(scope: Scope, environment: str, task: str, variation: int) -> str:
    """The name of one scope: tips with the same name are searched and capped together."""
    match scope:
        case "environment":
            return environment
        case "task":
            return f"{environment}/{task}"
        case "variation":
            return f"{environment}/{task}/{variation}"


def tie_order(tips: Sequence[Tip]) -> NDArray[np.int64]:
    """Places of `tips` where score and similarity are equal: newest first, then the higher id."""
    ordered = sorted(range(len(tips)), key=lambda i: (tips[i].created, tips[i].id), reverse=True)
    places = np.empty(len(tips), np.int64)
    places[ordered] = np.arange(len(tips))
    return places


def in_order(
    similarities: NDArray[Any],
    scores: NDArray[Any],
    ties: NDArray[Any],
    threshold: float,
) -> NDArray[np.int64]:
    """Indices of the tips with a similarity above `threshold`, best first.

    By score (higher first), then similarity (higher first), then `ties`. All arrays are (tips,).
    """
    above = np.flatnonzero(similarities > threshold)
    order = np.lexsort((ties[above], -similarities[above], -scores[above]))
    return above[order]


def judge(
    ranked: Iterable[Recalled],
    *,
    max_tips: int,
    near_duplicate: float,
    words_of: Callable[[str], frozenset[str]] = words,
) -> Iterator[Verdict]:
    """Go through tips, best first: keep at most `max_tips`, and of tips that say the same the best.

    Args:
        ranked: In the order of `in_order`; read only as far as the caller reads the verdicts.
        max_tips: Most tips kept.
        near_duplicate: Word overlap, 0..1, from which on a tip is a copy of a better one.
        words_of: `words`, or a cached form of it.
    """
    kept: dict[frozenset[str], str] = {}
    for rank, recalled in enumerate(ranked, start=1):
        outcome, copy_of = Outcome.OVER_LIMIT, ""
        if len(kept) < max_tips:
            wording = words_of(recalled.tip.text)
            copy_of = _original(wording, kept, near_duplicate)
            outcome = Outcome.COPY if copy_of else Outcome.KEPT
            if outcome is Outcome.KEPT:
                kept[wording] = recalled.tip.id
        yield Verdict(recalled.tip, recalled.similarity, rank, outcome, copy_of)


def select(
    ranked: Iterable[Recalled],
    *,
    max_tips: int,
    near_duplicate: float,
    words_of: Callable[[str], frozenset[str]] = words,
) -> list[Recalled]:
    """The tips that `judge` keeps; stops reading as soon as there are enough."""
    chosen: list[Recalled] = []
    verdicts = judge(ranked, max_tips=max_tips, near_duplicate=near_duplicate, words_of=words_of)
    for verdict in verdicts:
        if verdict.outcome is Outcome.KEPT:
            chosen.append(Recalled(verdict.tip, verdict.similarity))
        if len(chosen) == max_tips:
            break
    return chosen


def within_budget(
    recalled: Iterable[Recalled],
    cost: Callable[[str], int],
    *,
    per_turn: int,
    left_for_episode: int,
) -> list[Recalled]:
    """The tips, in order, that are shown without going over either budget.

    A tip that does not fit is passed over, so that one long tip does not silence the rest.

    Args:
        recalled: Best first.
        cost: Tokens of a text; asked for the whole block as the prompt would hold it.
        per_turn: Most tokens the block may cost.
        left_for_episode: What is left of the episode's budget.
    """
    budget = min(per_turn, left_for_episode)
    chosen: list[Recalled] = []
    for one in recalled:
        if cost(tip_block([*chosen, one])) <= budget:
            chosen.append(one)
    return chosen


def charge(verdicts: Iterable[Verdict], cost: Callable[[str], int], budget: int) -> list[Verdict]:
    """`within_budget` for verdicts: kept tips that do not fit become OVER_BUDGET."""
    verdicts = list(verdicts)
    kept = [Recalled(v.tip, v.similarity) for v in verdicts if v.outcome is Outcome.KEPT]
    shown = within_budget(kept, cost, per_turn=budget, left_for_episode=budget)
    ids = {one.tip.id for one in shown}
    return [
        replace(verdict, outcome=Outcome.OVER_BUDGET)
        if verdict.outcome is Outcome.KEPT and verdict.tip.id not in ids
        else verdict
        for verdict in verdicts
    ]


def _original(
    wording: frozenset[str], kept: Mapping[frozenset[str], str], near_duplicate: float
) -> str:
    """Id of the kept tip that `wording` repeats; empty for none."""
    if wording in kept:  # spares the comparisons for the common case, word-for-word copies
        return kept[wording]
    return next(
        (id_ for other, id_ in kept.items() if overlap(wording, other) >= near_duplicate), ""
    )
