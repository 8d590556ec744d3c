"""The part of the contract that needs no running world: tasks, splits, instructions."""

from collections.abc import Callable

from empo2_agent.errors import UsageError
from empo2_agent.interfaces import EnvironmentPlugin
from empo2_agent.types import Task


def check_catalogue(plugin: EnvironmentPlugin) -> None:
    """Assert what a plugin promises about itself; raises AssertionError."""
    assert plugin.name, "plugin.name is empty"
    assert plugin.max_score > 0, f"max_score must be positive, is {plugin.max_score}"
    assert plugin.step_limit >= 1, f"step_limit must be at least 1, is {plugin.step_limit}"
    for key, value in plugin.defaults.items():
        plain = isinstance(value, str | int | float | bool)
        assert plain, f"the default of {key!r} must be text, a number or a boolean, is {value!r}"
    tasks = plugin.tasks()
    assert tasks, "tasks() is empty"
    assert list(tasks) == list(plugin.tasks()), "tasks() differs from call to call"
    names = [info.name for info in tasks]
    assert len(set(names)) == len(names), "two tasks have the same name"
    for info in tasks:
        _check_splits(plugin, info.name, info.variations)
        text = plugin.instructions(Task(plugin.name, info.name))
        assert text.strip(), f"instructions() for {info.name} is empty"
    _refused(lambda: plugin.variations("no such task", "all"), "an unknown task")
    _refused(lambda: plugin.variations(names[0], "no such split"), "an unknown split")
    for name, there, text in plugin.check():
        assert name, "check() names nothing"
        assert isinstance(there, bool), f"check() must say true or false of {name}"
        assert text, f"check() says nothing of {name}"


def _check_splits(plugin: EnvironmentPlugin, name: str, count: int) -> None:
    assert count >= 1, f"{name} has no variation"
    everything = list(plugin.variations(name, "all"))
    assert everything == list(range(count)), f"{name}: the split 'all' is not 0 to {count - 1}"
    parts = [v for split in ("train", "dev", "test") for v in plugin.variations(name, split)]
    assert len(set(parts)) == len(parts), f"{name}: train, dev and test overlap"
    assert set(parts) <= set(everything), f"{name}: a split has variations that do not exist"


def _refused(call: Callable[[], object], what: str) -> None:
    try:
        call()
    except UsageError:
        return
    except Exception as error:  # whatever else is raised is the breach reported
        raise AssertionError(f"{what} must raise UsageError, raised {error!r}") from error
    raise AssertionError(f"{what} must raise UsageError")
