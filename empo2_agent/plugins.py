"""Environment plugins, found by entry point. One is imported only when it is asked for by name."""

from importlib.metadata import EntryPoint, entry_points

from empo2_agent.errors import EnvironmentUnavailableError, UsageError, did_you_mean
from empo2_agent.interfaces import EnvironmentPlugin

GROUP = "empo2_agent.environments"
_MEMBERS = (
    *("name", "max_score", "step_limit", "defaults", "tasks", "variations"),
    *("instructions", "make", "check", "versions"),
)


def plugin_names() -> list[str]:
    """Names of all installed environments, sorted. Imports none of them."""
    return sorted(entry_points(group=GROUP).names)


def plugin_package(name: str) -> str:
    """The installed package and version that offer the environment `name`, for people to read."""
    entry = _find(name)
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def load_plugin(name: str) -> EnvironmentPlugin:
    """Import the environment called `name`.

    Raises:
        UsageError: There is none of that name, or there are two.
        EnvironmentUnavailableError: It cannot be imported, or is no environment plugin.
    """
    entry = _find(name)
    package = entry.dist.name if entry.dist else entry.module
    try:
        plugin = entry.load()
    except Exception as error:  # a plugin may fail in any way: it is named, and re-raised as ours
        raise EnvironmentUnavailableError(
            f"environment {name} (package {package}) cannot be imported: "
            f"{type(error).__name__}: {error}.\n"
            f"Type: pip install --upgrade {package}"
        ) from error
    return _checked(plugin, name, package)


def _find(name: str) -> EntryPoint:
    found = list(entry_points(group=GROUP, name=name))
    if not found:
        known = plugin_names()
        hint = did_you_mean(name, known) or f" Installed: {', '.join(known) or 'none'}."
        raise UsageError(f"there is no environment {name!r}.{hint}")
    if len({entry.value for entry in found}) > 1:
        packages = ", ".join(entry.dist.name if entry.dist else entry.value for entry in found)
        raise UsageError(
            f"several packages offer an environment called {name}: {packages}. Uninstall all but one."
        )
    return found[0]


def _checked(plugin: object, name: str, package: str) -> EnvironmentPlugin:
    missing = [member for member in _MEMBERS if not hasattr(plugin, member)]
    if missing:
        raise EnvironmentUnavailableError(
            f"what package {package} offers as environment {name} is no plugin: "
            f"it lacks {', '.join(missing)}."
        )
    if getattr(plugin, "name", None) != name:
        raise EnvironmentUnavailableError(
            f"package {package} registers environment {name}, but its plugin is called "
            f"{getattr(plugin, 'name', None)!r}: both must be the same."
        )
    return plugin  # type: ignore[return-value]  # every member of the Protocol was checked above
