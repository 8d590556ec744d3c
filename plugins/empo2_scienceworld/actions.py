"""Actions as text: which reach the engine, and which are listed. Nothing here changes the world."""

from collections.abc import Collection, Iterable, Sequence

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
    return without_stop_words(line.lower()) == "reset task"


def without_stop_words(line: str) -> str:
    """A normalised line in lower case as the engine's parser reads it: without articles."""
    return " ".join(word for word in line.split() if word not in _STOP_WORDS)


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


_FOCUS = "focus on "
_BETWEEN = ("to", "into", "on", "in")


def names_in(actions: Iterable[str]) -> list[str]:
    """The things actions are about: each of them can be focused on."""
    return [action.removeprefix(_FOCUS) for action in actions if action.startswith(_FOCUS)]


def about(action: str, names: Collection[str]) -> tuple[str, ...]:
    """Which of `names` an action is about: `move X to Y` about X and Y; none where that is unclear.

    The longest name wins: `pick up cup in cupboard` is not about the cupboard.
    """
    words = action.split(" ")
    for start in range(1, len(words)):
        whole = " ".join(words[start:])
        if whole in names:
            return (whole,)
        for middle in range(start + 1, len(words) - 1):
            pair = " ".join(words[start:middle]), " ".join(words[middle + 1 :])
            if words[middle] in _BETWEEN and pair[0] in names and pair[1] in names:
                return pair
    return ()


def reachable(
    actions: Sequence[str], names: Collection[str], nameable: Collection[str]
) -> list[str]:
    """Actions without those about a thing that has a name but cannot be reached by it."""
    return [action for action in actions if all(name in nameable for name in about(action, names))]
