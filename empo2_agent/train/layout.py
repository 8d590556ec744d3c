"""Where the tokens of many rows stand in one pass of the model.

Rows are laid end to end without padding. Neighbours that begin with the same tokens (the episodes
of a group share instructions and first observation) have that beginning computed once: the rest of
each attends to it where it stands, and gradients of all flow into it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from empo2_agent.policies.flat import Cache, Shared

WORTH_SHARING = 32
"""Fewest common tokens for which rows are put together."""


@dataclass(slots=True)
class Layout:
    """One pass of the model over many rows."""

    token_ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    """For each token its place in its own row."""
    parts: list[tuple[Cache | Shared | None, int]] = field(default_factory=list)
    """See `policies.flat.attention`."""
    places: list[Callable[[int], int]] = field(default_factory=list)
    """For each row: from a place in it to the place of that token here."""


def lay_out(rows: Sequence[Sequence[int]]) -> Layout:
    """Lay rows end to end, what neighbours begin with alike only once."""
    layout = Layout()
    for family, common in _families(rows):
        start = len(layout.token_ids)
        held = None
        if common:
            _append(layout, family[0][:common], 0, None)
            held = Shared(start, common)
        for row in family:
            own = len(layout.token_ids)
            _append(layout, row[common:], common, held)
            layout.places.append(_mover(start, common, own))
    return layout


def _append(layout: Layout, token_ids: Sequence[int], first: int, held: Shared | None) -> None:
    if not token_ids:
        return
    layout.token_ids += token_ids
    layout.positions += range(first, first + len(token_ids))
    layout.parts.append((held, len(token_ids)))


def _mover(start: int, common: int, own: int) -> Callable[[int], int]:
    return lambda place: start + place if place < common else own + place - common


def _families(rows: Sequence[Sequence[int]]) -> Iterator[tuple[list[Sequence[int]], int]]:
    """Neighbours that begin alike, and with how many tokens; 0 for a row on its own."""
    family: list[Sequence[int]] = []
    common = 0
    for row in rows:
        shared = shared_beginning(family[0], row, common) if family else 0
        if family and shared < WORTH_SHARING:
            yield family, common if len(family) > 1 else 0
            family = []
        common = shared if family else len(row)
        family.append(row)
    if family:
        yield family, common if len(family) > 1 else 0


def shared_beginning(one: Sequence[int], other: Sequence[int], most: int) -> int:
    """How many tokens both begin with alike, at most `most`."""
    limit = min(len(one), len(other), most)
    differ = (n for n in range(limit) if one[n] != other[n])
    return next(differ, limit)
