"""The 30 tasks, their variations and splits, known without starting Java.

Names and counts are those of the jar of scienceworld 1.2.3; a test compares them with it.
"""

from empo2_agent.errors import UsageError, did_you_mean
from empo2_agent.types import Task, TaskInfo

TASKS = (
    TaskInfo("boil", 30, "bring a substance to a boil"),
    TaskInfo("change-the-state-of-matter-of", 30, "change the state of matter of a substance"),
    TaskInfo("chemistry-mix", 32, "mix a substance after a recipe"),
    TaskInfo("chemistry-mix-paint-secondary-color", 36, "mix a secondary colour of paint"),
    TaskInfo("chemistry-mix-paint-tertiary-color", 36, "mix a tertiary colour of paint"),
    TaskInfo("find-animal", 300, "find an animal and put it into a box"),
    TaskInfo("find-living-thing", 300, "find a living thing and put it into a box"),
    TaskInfo("find-non-living-thing", 300, "find a non-living thing and put it into a box"),
    TaskInfo("find-plant", 300, "find a plant and put it into a box"),
    TaskInfo("freeze", 30, "freeze a substance"),
    TaskInfo("grow-fruit", 126, "grow a fruit by cross-pollination"),
    TaskInfo("grow-plant", 126, "grow a plant from seed"),
    TaskInfo("identify-life-stages-1", 14, "focus on the life stages of an animal in order"),
    TaskInfo("identify-life-stages-2", 10, "focus on the life stages of a plant in order"),
    TaskInfo("inclined-plane-determine-angle", 168, "find the steeper or shallower plane"),
    TaskInfo("inclined-plane-friction-named-surfaces", 1386, "compare friction of known surfaces"),
    TaskInfo("inclined-plane-friction-unnamed-surfaces", 162, "compare unknown surfaces"),
    TaskInfo("lifespan-longest-lived", 125, "focus on the longest-lived animal"),
    TaskInfo("lifespan-longest-lived-then-shortest-lived", 125, "focus on both, in order"),
    TaskInfo("lifespan-shortest-lived", 125, "focus on the shortest-lived animal"),
    TaskInfo("measure-melting-point-known-substance", 436, "measure a known melting point"),
    TaskInfo("measure-melting-point-unknown-substance", 300, "measure an unknown melting point"),
    TaskInfo("melt", 30, "melt a substance"),
    TaskInfo("mendelian-genetics-known-plant", 120, "tell dominant from recessive traits"),
    TaskInfo("mendelian-genetics-unknown-plant", 480, "the same with an unknown plant"),
    TaskInfo("power-component", 20, "power an electrical component"),
    TaskInfo("power-component-renewable-vs-nonrenewable-energy", 20, "choose the power source"),
    TaskInfo("test-conductivity", 900, "test whether a thing conducts electricity"),
    TaskInfo("test-conductivity-of-unknown-substances", 600, "the same with unknown substances"),
    TaskInfo("use-thermometer", 540, "measure a temperature and act on it"),
)
"""In alphabetical order: the position is the task's number in the literature (0 boil)."""

SPLITS = ("train", "dev", "test", "all")

SIMPLIFICATIONS = {
    name.lower(): name
    for name in (
        "openContainers",
        "openDoors",
        "noElectricalAction",
        "selfWateringFlowerPots",
        "teleportAction",
    )
}


def find_task(name: str) -> TaskInfo:
    """The task of that name; raises UsageError with the nearest names."""
    for task in TASKS:
        if task.name == name:
            return task
    near = did_you_mean(name, [task.name for task in TASKS])
    raise UsageError(f"ScienceWorld has no task '{name}'.{near}")


def split_variations(name: str, split: str) -> range:
    """The variations of a split, by index as the jar divides them.

    Neighbours are nearly the same world, so splits are whole ranges: two quarters train, one
    quarter dev, the rest test (a quarter is rounded down).

    Raises:
        UsageError: No such task or split.
    """
    count = find_task(name).variations
    quarter = count // 4
    parts = {
        "train": range(2 * quarter),
        "dev": range(2 * quarter, 3 * quarter),
        "test": range(3 * quarter, count),
        "all": range(count),
    }
    if split not in parts:
        raise UsageError(f"There is no split '{split}'. Choose one of {', '.join(SPLITS)}.")
    return parts[split]


def check_variation(task: Task) -> None:
    """Raise UsageError unless the task exists and its variation is in range."""
    count = find_task(task.name).variations
    if not 0 <= task.variation < count:
        raise UsageError(
            f"{task.name} has no variation {task.variation}. Choose one of 0 to {count - 1}."
        )


def is_electrical(name: str) -> bool:
    """Whether the task cannot be solved without connecting wires."""
    return "power-component" in name or "conductivity" in name


def parse_simplifications(text: str) -> str:
    """The setting as the jar reads it: empty, `easy`, or names joined by commas.

    `easy` stands for teleportAction, openDoors and selfWateringFlowerPots, and noElectricalAction
    where the task needs no wires. The jar knows it only alone: in a list it is an error there.

    Raises:
        UsageError: An unknown name, or `easy` beside others.
    """
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    if words == ["easy"]:
        return "easy"
    for word in words:
        if word not in SIMPLIFICATIONS:
            known = ", ".join(SIMPLIFICATIONS.values())
            raise UsageError(
                f"environment.simplifications: '{word}' is not known or cannot be combined. "
                f"Give 'easy' alone, nothing, or some of {known}."
            )
    return ",".join(dict.fromkeys(SIMPLIFICATIONS[word] for word in words))
