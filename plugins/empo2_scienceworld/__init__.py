"""ScienceWorld (30 science tasks in a text world) as an environment of empo2-agent.

Importing this starts nothing: Java runs only between `make` and `close`, one JVM an environment.
"""

from collections.abc import Mapping, Sequence
from importlib import metadata

from empo2_agent.errors import EnvironmentUnavailableError, UsageError
from empo2_agent.interfaces import Environment
from empo2_agent.types import Task, TaskInfo
from empo2_scienceworld.tasks import (
    TASKS,
    is_electrical,
    parse_simplifications,
    split_variations,
)

_WORLD = """\
You are in a house with several rooms and an outside, and solve one science task.
Actions: go to PLACE; teleport to PLACE; open X; close X; pick up X; put down X; move X to Y; \
pour X into Y; dunk X into Y; mix X; use X on Y; activate X; deactivate X; read X; eat X; \
flush X; wait; wait1; look around; look at X; look in X; inventory; focus on X."""
_WIRES = (
    "Circuits: connect X to Y; disconnect X. Terminals: anode, cathode, terminal 1, terminal 2."
)
_RULES = """\
X and Y are things you see or carry. "wait" lets 10 moments pass, "wait1" one.
Focus only on what the task tells you to: any other focus fails it at once.
Reply with one action on one line and nothing else."""


class ScienceWorldPlugin:
    """See EnvironmentPlugin."""

    name = "scienceworld"
    max_score = 100.0
    step_limit = 30
    defaults: Mapping[str, str | int | float | bool] = {
        "simplifications": "easy",
        "max_ticks": 100,
        "hide_actions": True,
        "compact": True,
    }
    """simplifications: see tasks.parse_simplifications. max_ticks: moments of the world's clock
    before it ends the episode. hide_actions: leave look, inventory and task out of the admissible
    actions. compact: shorten room descriptions and show changes, instead of the engine's texts."""

    def tasks(self) -> Sequence[TaskInfo]:
        """The 30 tasks, in their usual numbering."""
        return TASKS

    def variations(self, task: str, split: str) -> Sequence[int]:
        """See tasks.split_variations."""
        return split_variations(task, split)

    def instructions(self, task: Task) -> str:
        """What the model is told once. The task itself is in the first observation."""
        parts = (_WORLD, _WIRES, _RULES) if is_electrical(task.name) else (_WORLD, _RULES)
        return "\n".join(parts)

    def make(self, settings: Mapping[str, str | int | float | bool]) -> Environment:
        """Start one JVM.

        Raises:
            UsageError: A setting has a value that cannot be used.
            EnvironmentUnavailableError: No Java, or the package scienceworld is missing.
        """
        from empo2_scienceworld.world import World

        max_ticks = int(settings["max_ticks"])
        if max_ticks < 1:
            raise UsageError(f"environment.max_ticks must be at least 1 (got {max_ticks}).")
        return World(
            simplifications=parse_simplifications(str(settings["simplifications"])),
            max_ticks=max_ticks,
            hide_actions=bool(settings["hide_actions"]),
            compact=bool(settings["compact"]),
        )

    def check(self) -> Sequence[tuple[str, bool, str]]:
        """The package and Java, for `empo2 doctor`."""
        from empo2_scienceworld.java import working_java

        try:
            package = ("scienceworld", True, metadata.version("scienceworld"))
        except metadata.PackageNotFoundError:
            package = ("scienceworld", False, "type: pip install scienceworld==1.2.3")
        try:
            source, path, version = working_java()
        except EnvironmentUnavailableError as error:
            return package, ("Java", False, str(error))
        return package, ("Java", True, f"{version} ({source}: {path})")

    def versions(self) -> Mapping[str, str]:
        """Package, jar (start of its SHA-256) and Java; results differ between jars."""
        from empo2_scienceworld.java import jar_digest, working_java

        return {
            "scienceworld": metadata.version("scienceworld"),
            "scienceworld_jar": jar_digest(),
            "java": working_java()[2],
        }


PLUGIN = ScienceWorldPlugin()
