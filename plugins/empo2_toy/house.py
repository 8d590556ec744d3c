"""The red-lamp house: where things are in each variation, and what an action does there."""

import random
from collections import deque
from dataclasses import dataclass, field

from empo2_agent.errors import UsageError
from empo2_agent.types import Status, StepResult, Task

VARIATIONS = 20
GOAL = "find the red lamp and turn it on"

DOORS = {
    "hall": ("kitchen", "study", "garden"),
    "kitchen": ("hall", "cellar"),
    "study": ("hall", "attic"),
    "garden": ("hall",),
    "cellar": ("kitchen",),
    "attic": ("study",),
}
CONTAINERS = {
    "hall": ("wardrobe",),
    "kitchen": ("cupboard", "oven"),
    "study": ("desk", "safe"),
    "garden": ("shed", "bin"),
    "cellar": ("chest", "barrel"),
    "attic": ("suitcase", "box"),
}
CLUTTER = ("blue lamp", "green lamp", "book", "rope", "hat")
PLACES = tuple(name for room in CONTAINERS if room != "hall" for name in CONTAINERS[room])
LAMP = "red lamp"


@dataclass
class House:
    """The state of one episode."""

    room: str
    inside: dict[str, list[str]]
    """What lies in each container."""
    opened: set[str] = field(default_factory=set)
    carried: list[str] = field(default_factory=list)
    lit: bool = False

    @classmethod
    def of(cls, variation: int) -> "House":
        """The house of a variation: each place holds the lamp in two of the 20."""
        draw = random.Random(variation)
        inside: dict[str, list[str]] = {name: [] for names in CONTAINERS.values() for name in names}
        hidden_in = PLACES[variation * 3 % len(PLACES)]
        inside[hidden_in].append(LAMP)
        others = [name for name in inside if name != hidden_in]
        for thing, name in zip(CLUTTER, draw.sample(others, len(CLUTTER)), strict=True):
            inside[name].append(thing)
        return cls(draw.choice(("hall", "kitchen", "study")), inside)

    def here(self) -> list[str]:
        """Things in open containers of this room."""
        return [
            thing
            for name in CONTAINERS[self.room]
            if name in self.opened
            for thing in self.inside[name]
        ]

    def actions(self) -> list[str]:
        """Everything that does something now."""
        closed = [name for name in CONTAINERS[self.room] if name not in self.opened]
        return [
            *(f"go to {room}" for room in DOORS[self.room]),
            *(f"open {name}" for name in closed),
            *(f"take {thing}" for thing in self.here()),
            *(f"turn on {thing}" for thing in self.carried if thing.endswith("lamp")),
        ]

    def act(self, action: str) -> str:
        """Do one action; returns what is to be seen. What cannot be done changes nothing."""
        if action == "look":
            return self.view()
        if action not in self.actions():
            return "You cannot do that here."
        verb, thing = action.removeprefix("turn ").split(" ", 1)
        if verb == "go":
            self.room = thing.removeprefix("to ")
            return self.view()
        if verb == "open":
            self.opened.add(thing)
            return f"In the {thing}: {', '.join(self.inside[thing]) or 'nothing'}."
        if verb == "take":
            for things in self.inside.values():
                if thing in things:
                    things.remove(thing)
            self.carried.append(thing)
            return f"You take the {thing}."
        self.lit = thing == LAMP
        return f"The {thing} shines."

    def way(self, goal: str) -> list[str]:
        """The fewest actions that lead to a room."""
        ways: dict[str, list[str]] = {self.room: []}
        todo = deque([self.room])
        while goal not in ways:
            room = todo.popleft()
            for door in DOORS[room]:
                if door not in ways:
                    ways[door] = [*ways[room], f"go to {door}"]
                    todo.append(door)
        return ways[goal]

    def solution(self) -> list[str]:
        """The fewest actions that light the lamp of a house in which nothing was done yet."""
        place = next(name for name, things in self.inside.items() if LAMP in things)
        room = next(room for room, names in CONTAINERS.items() if place in names)
        return [*self.way(room), f"open {place}", f"take {LAMP}", f"turn on {LAMP}"]

    def view(self) -> str:
        """The room, its containers and its doors."""
        seen = [
            f"{name} ({', '.join(self.inside[name]) or 'empty'})"
            if name in self.opened
            else f"{name} (closed)"
            for name in CONTAINERS[self.room]
        ]
        doors = ", ".join(DOORS[self.room])
        return f"You are in the {self.room}. You see: {', '.join(seen)}. Doors: {doors}."


class LampWorld:
    """See Environment. Nothing is ever left running: there is no process."""

    def __init__(self) -> None:
        """Nothing is loaded."""
        self._house: House | None = None
        self._last = StepResult("")

    def reset(self, task: Task, *, seed: int) -> StepResult:
        """Start a variation afresh; nothing here is random, so `seed` changes nothing."""
        if task.name != "red-lamp":
            raise UsageError(f"The toy environment has no task '{task.name}', only red-lamp.")
        if not 0 <= task.variation < VARIATIONS:
            raise UsageError(
                f"red-lamp has no variation {task.variation}. Choose one of 0 to {VARIATIONS - 1}."
            )
        self._house = House.of(task.variation)
        self._last = self._result(f"Your task: {GOAL}.\n{self._house.view()}", 0.0)
        return self._last

    def step(self, action: str) -> StepResult:
        """See Environment.step."""
        if self._house is None:
            raise RuntimeError("step() before reset()")
        if self._last.done:
            return StepResult(self._last.observation, 0.0, self._last.status, self._last.state)
        text = self._house.act(" ".join(action.lower().split()))
        self._last = self._result(text, 1.0 if self._house.lit else 0.0)
        return self._last

    def _result(self, text: str, reward: float) -> StepResult:
        house = self._house
        assert house is not None
        carried = ", ".join(house.carried) or "nothing"
        state = f"{house.view()} You carry: {carried}. Task: {GOAL}."
        return StepResult(text, reward, Status.SUCCESS if house.lit else None, state)

    def actions(self) -> list[str]:
        """Everything that does something now; nothing after the end."""
        return [] if self._house is None or self._last.done else self._house.actions()

    def demonstration(self, task: Task, *, seed: int) -> list[str]:
        """See Demonstrating: the shortest solution."""
        self.reset(task, seed=seed)
        assert self._house is not None
        return self._house.solution()

    def close(self) -> None:
        """There is nothing to close."""

    def kill(self) -> None:
        """There is nothing that could hang."""
