"""The red lamp: a house of six rooms, milliseconds a step, for tests, tutorials and training.

The lamp lies in a closed container that depends on the variation. Nothing hints at it, so an
agent must explore, and whoever was told where it is needs a third of the steps.
"""

from collections.abc import Mapping, Sequence

from empo2_agent.errors import UsageError
from empo2_agent.interfaces import Environment
from empo2_agent.types import Task, TaskInfo
from empo2_toy.house import DOORS, GOAL, VARIATIONS, LampWorld

TASK = TaskInfo("red-lamp", VARIATIONS, GOAL)

_SPLITS = {
    "train": range(VARIATIONS // 2),
    "dev": range(VARIATIONS // 2, VARIATIONS * 3 // 4),
    "test": range(VARIATIONS * 3 // 4, VARIATIONS),
    "all": range(VARIATIONS),
}


class ToyPlugin:
    """See EnvironmentPlugin."""

    name = "toy"
    max_score = 1.0
    step_limit = 15
    defaults: Mapping[str, str | int | float | bool] = {}

    def tasks(self) -> Sequence[TaskInfo]:
        """One: red-lamp."""
        return (TASK,)

    def variations(self, task: str, split: str) -> Sequence[int]:
        """First half train, next quarter dev, the rest test."""
        if task != TASK.name:
            raise UsageError(f"The toy environment has no task '{task}', only {TASK.name}.")
        if split not in _SPLITS:
            raise UsageError(f"There is no split '{split}'. Choose one of {', '.join(_SPLITS)}.")
        return _SPLITS[split]

    def instructions(self, task: Task) -> str:
        """What the model is told once."""
        return (
            f"You are in a house with these rooms: {', '.join(DOORS)}. Your task: {GOAL}.\n"
            "Actions: go to ROOM; open X; take X; turn on X; look.\n"
            "Reply with one action on one line and nothing else."
        )

    def make(self, settings: Mapping[str, str | int | float | bool]) -> Environment:
        """Build one house; it has no settings and needs nothing."""
        return LampWorld()

    def check(self) -> Sequence[tuple[str, bool, str]]:
        """Always there."""
        return (("red lamp", True, "built in"),)

    def versions(self) -> Mapping[str, str]:
        """Nothing outside this package."""
        return {}


PLUGIN = ToyPlugin()
