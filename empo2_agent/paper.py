"""The scores that the EMPO² paper published, under the names our tasks have. Data only.

Source: arXiv 2602.23008 (ICLR 2026), the tables of its experiments. Scores are out of 100.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from empo2_agent.errors import UsageError

SOURCE = "arXiv 2602.23008"


@dataclass(frozen=True, slots=True)
class Published:
    """What the paper has on one task."""

    name: str
    """As the paper calls it."""
    measure: str
    """What the scores are means of."""
    scores: Mapping[str, float]
    """By method."""
    success: Mapping[str, float] = field(default_factory=dict)
    """Per cent of episodes, by method; empty where the paper gives none."""


_METHODS = ("Naive", "Reflexion", "Retrospex", "GRPO", "EMPO²")

_SCIENCEWORLD = {
    "chemistry-mix": (-42.0, 1.2, 20.8, 12.4, 42.7),
    "paint-secondary-color": (-33.0, 0.0, 27.8, 7.1, 33.3),
    "paint-tertiary-color": (-33.9, 36.9, 7.6, 42.6, 39.2),
    "find-animal": (-58.2, 39.5, 25.9, 72.4, 100.0),
    "find-living-thing": (-65.1, 36.6, 20.6, 68.7, 100.0),
    "find-non-living-thing": (-35.9, 4.8, 89.1, 24.7, 100.0),
    "find-plant": (-47.1, 15.1, 23.0, 46.2, 100.0),
    "identify-life-stages-1": (-48.9, 9.2, 19.0, 17.9, 36.2),
    "identify-life-stages-2": (-50.7, 33.8, 11.0, 39.5, 56.3),
    "lifespan-longest-lived": (-51.8, 44.6, 55.0, 78.2, 100.0),
    "lifespan-longest-lived-then-shortest-lived": (-56.2, 34.1, 38.0, 62.3, 100.0),
    "lifespan-shortest-lived": (-56.8, 6.1, 67.0, 20.6, 100.0),
    "power-component": (-90.0, 6.3, 8.2, 15.1, 94.3),
    "power-component-renewable": (-85.0, 11.7, 10.0, 24.6, 92.6),
    "test-conductivity": (-86.9, 13.2, 60.0, 27.8, 89.5),
    "test-conductivity-unknown": (-81.7, 2.6, 65.5, 9.5, 71.4),
    "measure-melting-point-known": (-97.5, 11.4, 26.5, 19.8, 27.6),
    "use-thermometer": (-83.7, 0.9, 32.5, 7.6, 82.7),
}
"""The paper's name of a task -> mean return on 20 unseen variations, in the order of _METHODS."""

_OURS = {
    "paint-secondary-color": "chemistry-mix-paint-secondary-color",
    "paint-tertiary-color": "chemistry-mix-paint-tertiary-color",
    "power-component-renewable": "power-component-renewable-vs-nonrenewable-energy",
    "test-conductivity-unknown": "test-conductivity-of-unknown-substances",
    "measure-melting-point-known": "measure-melting-point-known-substance",
}
"""Where the paper shortens ScienceWorld's name of a task: that name."""

SCIENCEWORLD: Mapping[str, Published] = {
    _OURS.get(name, name): Published(
        name, "mean return on 20 unseen variations", dict(zip(_METHODS, scores, strict=True))
    )
    for name, scores in _SCIENCEWORLD.items()
}
"""By ScienceWorld's own name of the task."""

WEBSHOP = Published(
    "WebShop",
    "mean score on the 500 test goals",
    scores={
        "Naive": 26.4,
        "Reflexion": 58.1,
        "Retrospex": 73.1,
        "GRPO": 79.3,
        "GiGPO with std": 84.4,
        "GiGPO without std": 86.2,
        "EMPO²": 88.3,
    },
    success={
        "Naive": 7.8,
        "Reflexion": 28.8,
        "Retrospex": 60.4,
        "GRPO": 66.1,
        "GiGPO with std": 72.8,
        "GiGPO without std": 75.2,
        "EMPO²": 76.9,
    },
)
"""One number for the whole shop: its goals are not told apart."""


def published(environment: str, task: str) -> Published:
    """What the paper has on a task.

    Raises:
        UsageError: Nothing; the nearest tasks that have a score are named.
    """
    if environment == "webshop":
        return WEBSHOP
    if environment != "scienceworld":
        raise UsageError(
            f"the paper ({SOURCE}) has no score of {environment}/{task}: only of tasks of "
            "scienceworld and webshop."
        )
    if task in SCIENCEWORLD:
        return SCIENCEWORLD[task]
    near = ", ".join(get_close_matches(task, SCIENCEWORLD, n=3, cutoff=0.0))
    raise UsageError(f"the paper ({SOURCE}) has no score of {task}. The nearest it has: {near}.")
