"""How often states like this one were seen: the source of the intrinsic reward.

A state that is similar to one seen before counts as a visit to it; one that is similar to none is
remembered as new. Imported lazily: it needs numpy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from empo2_agent.interfaces import Embedder

_ROUNDING = 1e-5  # the same text embedded twice, in other company, may differ by as much


@dataclass
class Visits:
    """States of one scope, and how often each was visited."""

    vectors: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def visit(self, vector: NDArray[np.float32], threshold: float) -> int:
        """Count a visit; how many there were so far to similar states, this one included."""
        similarities = self.vectors @ vector if len(self.counts) else np.empty(0, np.float32)
        similar = similarities >= threshold - _ROUNDING
        visits = int(self.counts[similar].sum()) + 1
        if similar.any():
            self.counts[int(similarities.argmax())] += 1
        else:
            rows = vector[None]
            self.vectors = np.concatenate([self.vectors, rows]) if len(self.counts) else rows
            self.counts = np.append(self.counts, 1)
        return visits


class Novelty:
    """Visit counts by scope.

    Args:
        embedder: Turns states into vectors of unit length.
        threshold: States with at least this cosine similarity count as the same.
    """

    def __init__(self, embedder: Embedder, threshold: float) -> None:
        self._embedder = embedder
        self._threshold = threshold
        self.scopes: dict[str, Visits] = {}

    def __len__(self) -> int:
        return sum(len(visits.counts) for visits in self.scopes.values())

    def rewards(self, scope: str, episodes: Sequence[Sequence[str]]) -> list[list[float]]:
        """Intrinsic reward of every state: 1/n, n = visits to similar states so far with this one.

        arXiv 2602.23008, section 4. Visits are counted in the order given.

        Args:
            scope: States of other scopes do not count.
            episodes: For each episode the states it reached, in order.
        """
        states = [state for episode in episodes for state in episode]
        vectors = [np.asarray(v, np.float32) for v in self._embedder.embed(states)]
        visits = self.scopes.setdefault(scope, Visits())
        bonuses = iter([1.0 / visits.visit(vector, self._threshold) for vector in vectors])
        return [[next(bonuses) for _ in episode] for episode in episodes]
