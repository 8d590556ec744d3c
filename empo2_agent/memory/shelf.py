"""The tips of one scope, held in memory and searched exactly.

One rule: it holds what the store holds and nothing else; the store decides.

A scope has at most some thousand tips, so the similarities to all of them are one small matrix
product. That is faster than asking an approximate index for many neighbours, and exact: a floor and
an order by score need every tip above the floor, not the nearest few.
"""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from empo2_agent.memory.tips import in_order, tie_order
from empo2_agent.types import Recalled, Tip


class Shelf:
    """Rows of one scope."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.tips: list[Tip] = []
        self._vectors: NDArray[np.float32] = np.empty((0, 0), np.float32)
        self._scores: NDArray[np.float64] = np.empty(0)
        self._ties: NDArray[np.int64] = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self.ids)

    def put(
        self, ids: Sequence[str], tips: Sequence[Tip], vectors: Sequence[Sequence[float]]
    ) -> None:
        """Add rows; ids that are there already are left alone.

        Rows with the same key get the same vector. Chroma returns one that differs from what it was
        given in the last bit, and that must not decide between two tips.
        """
        there = set(self.ids)
        new = [i for i, row in enumerate(ids) if row not in there]
        if not new:
            return
        rows = np.asarray(vectors, np.float32)[new]
        known = {tip.key: i for i, tip in enumerate(self.tips)}
        first: dict[str, int] = {}
        for n, i in enumerate(new):
            key = tips[i].key
            same = self._vectors[known[key]] if key in known else rows[first.setdefault(key, n)]
            rows[n] = same
        self._vectors = np.concatenate([self._vectors, rows]) if self.ids else rows
        self.ids += [ids[i] for i in new]
        self.tips += [tips[i] for i in new]
        self._index()

    def drop(self, ids: Collection[str]) -> None:
        """Remove rows; unknown ids are ignored."""
        gone = set(ids)
        kept = [i for i, row in enumerate(self.ids) if row not in gone]
        if len(kept) == len(self.ids):
            return
        self._vectors = self._vectors[kept]
        self.ids = [self.ids[i] for i in kept]
        self.tips = [self.tips[i] for i in kept]
        self._index()

    def oldest(self, count: int) -> list[str]:
        """Ids of the rows made first."""
        return [self.ids[i] for i in np.argsort(self._ties)[::-1][: max(count, 0)]]

    def similarities(self, vectors: Sequence[Sequence[float]]) -> NDArray[np.float64]:
        """Cosines of unit `vectors`, (searches, tips)."""
        if not self.ids:
            return np.empty((len(vectors), 0))
        keys = np.asarray(vectors, np.float32)
        # Not `@`: it sums in an order that depends on where a row stands, and equal keys must tie.
        products = np.stack([np.einsum("ij,j->i", self._vectors, key) for key in keys])
        return np.clip(products.astype(np.float64), -1.0, 1.0)

    def ranked(self, similarities: NDArray[np.float64], threshold: float) -> Iterator[Recalled]:
        """The tips above the floor, best first, made one by one as they are asked for."""
        for i in in_order(similarities, self._scores, self._ties, threshold):
            yield Recalled(self.tips[i], float(similarities[i]))

    def rest(self, similarities: NDArray[np.float64], threshold: float) -> Iterator[Recalled]:
        """The tips at or below the floor, most similar first."""
        below = np.flatnonzero(similarities <= threshold)
        for i in below[np.lexsort((self._ties[below], -similarities[below]))]:
            yield Recalled(self.tips[i], float(similarities[i]))

    def _index(self) -> None:
        self._scores = np.array([tip.score for tip in self.tips], np.float64)
        self._ties = tie_order(self.tips)
