"""The engine's long texts made short, without losing a thing an agent could act on.

Dropped: the agent itself and the air, which are everywhere; "a substance called"; a line a door.
"""

import re
from collections import Counter
from dataclasses import dataclass

_ROOM = re.compile(
    r"^This (?:room|outside location) is called the (.+?)\. (?:In it|Here), you see:|"
    r"^This outside location is called the (.+?)\. Here you see:"
)
_DOOR = re.compile(r"^A door to the (.+) \(that is (\w+)\)$")
_EVERYWHERE = {"the agent", "air"}


@dataclass(frozen=True, slots=True)
class Room:
    """What the agent can see."""

    name: str
    things: tuple[str, ...]
    doors: str
    """For example `Open doors: hallway, outside`; empty where there are none."""

    @property
    def text(self) -> str:
        """Two lines: the things, the doors."""
        things = "; ".join(self.things) or "nothing"
        return "\n".join(filter(None, (f"In the {self.name} you see: {things}.", self.doors)))


def read_room(look: str) -> Room | None:
    """Parse the engine's `look around`; None where it has another form (then show it as it is)."""
    head, _, rest = look.partition("\n")
    match = _ROOM.match(head)
    if not match:
        return None
    things, _, doors = rest.partition("You also see:")
    shown = tuple(thing for thing in map(_thing, things.splitlines()) if thing)
    return Room(match[1] or match[2], shown, _doors(doors))


def read_inventory(text: str) -> str:
    """`an orange; a stopwatch`, or `nothing`, from the engine's inventory text."""
    things = (_thing(line) for line in text.partition("\n")[2].splitlines())
    return "; ".join(thing for thing in things if thing) or "nothing"


def changes(before: Room, after: Room) -> tuple[str, ...]:
    """Things that look new or different in the same room."""
    return tuple((Counter(after.things) - Counter(before.things)).elements())


def may_focus(description: str) -> tuple[str, ...]:
    """What a task text says to focus on, in its own words and order."""
    found = re.findall(r"focus on (.+?)(?=[,.](?:\s|$)|$)", description, re.IGNORECASE)
    return tuple(dict.fromkeys(" ".join(words.split()) for words in found))


def _thing(line: str) -> str:
    text = " ".join(line.split()).replace("a substance called ", "").rstrip(". ")
    return "" if text in _EVERYWHERE else text


def _doors(text: str) -> str:
    by_state: dict[str, list[str]] = {}
    other = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if match := _DOOR.match(line):
            by_state.setdefault(match[2], []).append(match[1])
        else:
            other.append(line)
    parts = [f"{state.capitalize()} doors: {', '.join(to)}" for state, to in by_state.items()]
    return ". ".join(parts + other) + ("." if parts or other else "")
