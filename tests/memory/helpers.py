"""Tips and an embedder to test with. Its cosines are chosen by the test instead of by a model."""

import math
from collections.abc import Sequence
from typing import Any

from empo2_agent.types import Recalled, Task, Tip

TASK = Task("toy", "red-lamp", 3)


def make_tip(id_: str = "run/0/0", **overrides: Any) -> Tip:
    """A tip; what is not given is the same for all."""
    values: dict[str, Any] = {
        "text": f"The lamp of {id_} is in the cellar.",
        "key": "angle 0",
        "action": "go east",
        "score": 1.0,
        "max_score": 1.0,
        "environment": "toy",
        "task": "red-lamp",
        "variation": 3,
        "run": "run",
        "episode": 0,
        "step": 4,
        "model": "scripted",
        "created": "2026-11-22T10:00:00+00:00",
    }
    return Tip(id=id_, **{**values, **overrides})


def recalled(id_: str, similarity: float = 0.9, **overrides: Any) -> Recalled:
    """A tip as it is found."""
    return Recalled(make_tip(id_, **overrides), similarity)


class Angles:
    """An `Embedder` for keys such as `angle 60 whatever`: a unit vector in that direction, degrees.

    The cosine of two keys is then the cosine of the difference of their angles.
    """

    def __init__(self, name: str = "angles") -> None:
        self.name = name
        self.calls: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """See `Embedder.embed`."""
        self.calls.append(list(texts))
        radians = [math.radians(float(text.split()[1])) for text in texts]
        return [[math.cos(one), math.sin(one)] for one in radians]
