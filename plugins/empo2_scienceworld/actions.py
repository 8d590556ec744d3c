"""Actions as text: which reach the engine, and which are listed. Nothing here changes the world."""

from collections.abc import Iterable

UNKNOWN = "No known action matches that input."
"""What the engine answers to what it cannot parse."""
FORBIDDEN = "Resetting the task is not allowed."

LONGEST = 300
"""Characters; the longest admissible actions have about 150."""

_STOP_WORDS = {"a", "an", "the"}  # the engine's parser drops these
_FREE = ("look", "inventory", "task")


def normalise(action: str) -> str:
    """One line of plain text as the engine would read it; empty where it could not be an action.

    The engine knows only ASCII words. Everything else, control characters included, is kept from
    it, because its parser drops some of them silently.
    """
    line = " ".join(action.split())
    return line if line.isascii() and line.isprintable() and len(line) <= LONGEST else ""


def resets_the_task(line: str) -> bool:
    """Whether the engine would read a normalised line as `reset task`, which undoes a failure."""
    return [w for w in line.lower().split() if w not in _STOP_WORDS] == ["reset", "task"]


def listed(actions: Iterable[str], *, hide: bool) -> list[str]:
    """The actions offered to an agent: no `reset task`, no duplicates, the engine's order.

    `hide`: leave out `look ...`, `inventory` and `task`. They change nothing, and observations
    already show the room, what changed in it and what is carried. They still work when typed.
    """
    return [
        action
        for action in dict.fromkeys(actions)
        if not resets_the_task(action) and not (hide and action.split(" ", 1)[0] in _FREE)
    ]
