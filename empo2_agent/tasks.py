"""From what the user types after `--task` to one concrete task."""

from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from empo2_agent.errors import EnvironmentUnavailableError, UsageError, did_you_mean
from empo2_agent.interfaces import EnvironmentPlugin
from empo2_agent.plugins import load_plugin, plugin_names
from empo2_agent.types import Task, TaskInfo

DEFAULT_SPLIT = "test"


class FoundTask(NamedTuple):
    """A task and the environment it is played in."""

    task: Task
    plugin: EnvironmentPlugin


def resolve_task(text: str, *, variation: int | None = None, split: str | None = None) -> FoundTask:
    """Resolve `NAME`, `ENVIRONMENT/NAME` or `ENVIRONMENT/NAME/VARIATION`.

    A bare name is looked up in all installed environments. With neither a variation nor a split
    it is the first variation of the split `test`; with a split, the first of that split.

    Raises:
        UsageError: Unknown or ambiguous, with the nearest matches; or no such variation or split.
        EnvironmentUnavailableError: The environment named cannot be imported; or nothing like
            the name was found, and an environment that might have it cannot be imported.
    """
    environment, name, number = _parts(text)
    if number is not None and variation is not None and number != variation:
        raise UsageError(f"--task {text} and --variation {variation} name two variations.")
    plugin, info = _in_environment(environment, name) if environment else _anywhere(name)
    wanted = number if number is not None else variation
    chosen = _variation(plugin, info, wanted, split)
    kept = split or ("all" if wanted is not None else DEFAULT_SPLIT)
    return FoundTask(Task(plugin.name, info.name, chosen, kept), plugin)


def _parts(text: str) -> tuple[str | None, str, int | None]:
    parts = text.strip().split("/")
    if len(parts) > 3 or not all(parts):
        raise UsageError(
            f"cannot read the task {text!r}: NAME, ENVIRONMENT/NAME or ENVIRONMENT/NAME/VARIATION."
        )
    if len(parts) == 1:
        return None, parts[0], None
    if len(parts) == 2:
        return parts[0], parts[1], None
    if not (parts[2].isascii() and parts[2].isdigit()):
        raise UsageError(f"cannot read the task {text!r}: {parts[2]!r} is no variation number.")
    return parts[0], parts[1], int(parts[2])


def _in_environment(environment: str, name: str) -> tuple[EnvironmentPlugin, TaskInfo]:
    plugin = load_plugin(environment)
    infos = {info.name: info for info in plugin.tasks()}
    if name not in infos:
        hint = did_you_mean(name, infos) or f" Type: empo2 envs tasks {environment}"
        raise UsageError(f"{environment} has no task {name!r}.{hint}")
    return plugin, infos[name]


def _anywhere(name: str) -> tuple[EnvironmentPlugin, TaskInfo]:
    found: list[tuple[EnvironmentPlugin, TaskInfo]] = []
    seen: set[str] = set()
    broken: list[EnvironmentUnavailableError] = []
    for environment in plugin_names():
        try:
            plugin = load_plugin(environment)
            infos = plugin.tasks()
        except EnvironmentUnavailableError as error:
            broken.append(error)
            continue
        seen.update(info.name for info in infos)
        found += [(plugin, info) for info in infos if info.name == name]
    if not found:
        _give_up(name, seen, broken)
    if len(found) > 1:
        matches = ", ".join(f"{plugin.name}/{info.name}" for plugin, info in found)
        raise UsageError(f"the task {name!r} is in several environments: {matches}.")
    return found[0]


def _give_up(name: str, seen: set[str], broken: Sequence[EnvironmentUnavailableError]) -> NoReturn:
    near = did_you_mean(name, sorted(seen))
    message = f"no installed environment has a task {name!r}.{near or ' Type: empo2 envs tasks'}"
    if broken and not near:
        raise EnvironmentUnavailableError(f"{message}\nNot looked into: {broken[0]}")
    raise UsageError(message)


def _variation(
    plugin: EnvironmentPlugin, info: TaskInfo, wanted: int | None, split: str | None
) -> int:
    label = f"{plugin.name}/{info.name}"
    if wanted is not None and not 0 <= wanted < info.variations:
        raise UsageError(
            f"{label} has variations 0 to {info.variations - 1}, there is no {wanted}."
        )
    if wanted is not None and split is None:
        return wanted
    members = plugin.variations(info.name, split or DEFAULT_SPLIT)
    if not members:
        raise UsageError(f"the split {split or DEFAULT_SPLIT} of {label} is empty.")
    if wanted is None:
        return members[0]
    if wanted not in members:
        raise UsageError(
            f"variation {wanted} of {label} is not in the split {split}, "
            f"which has {len(members)} between {min(members)} and {max(members)}."
        )
    return wanted
