"""The lean path into the engine: a handful of small calls a step, and nothing it did not ask for.

Listing the admissible actions draws from the engine's one random stream. The stream is therefore
set anew before every step, from the episode's seed and the step's number: what happens does not
depend on whether somebody looked at the list.
"""

from dataclasses import dataclass
from typing import Any

from empo2_agent.errors import EnvironmentUnavailableError
from empo2_scienceworld.jvm import Jvm

ACTIONS_PER_CALL = 100
"""Replies above 8 kB arrive in two packets and stall 40 ms on a delayed acknowledgement."""

_SEED_FACTOR = 1_000_003  # a prime, so that seeds and step numbers do not meet soon


@dataclass(frozen=True, slots=True)
class Reply:
    """What the engine says after one input."""

    text: str
    score: int
    """0 to 100, or -100 after a wrong focus."""
    completed: bool
    moves: int
    """Ticks that have passed."""
    look: str
    inventory: str


class Engine:
    """One ScienceWorld server in one JVM. Not thread-safe, but for the JVM's `kill`."""

    def __init__(self, jvm: Jvm) -> None:
        """`jvm` is owned by the caller."""
        self._jvm = jvm
        self._server = jvm.call(jvm.interface)
        java = jvm.gateway.jvm
        self._join = jvm.call(lambda: java.java.lang.String.join)
        self._random = jvm.call(lambda: getattr(getattr(java.scala.util, "Random$"), "MODULE$"))
        self._seed = 0
        self._inputs = 0

    def load(self, task: str, variation: int, simplifications: str, seed: int) -> Reply:
        """Start an episode. The first input is `look around`, which costs no tick.

        It is needed: until the first input the engine still holds the last episode's score.
        """
        error = self._jvm.call(self._server.load, task, variation, simplifications, False)
        if error:
            raise EnvironmentUnavailableError(f"ScienceWorld cannot load {task}: {error}")
        self._seed, self._inputs = seed, 0
        return self.step("look around")

    def step(self, line: str) -> Reply:
        """Send one input.

        Raises:
            EnvironmentUnavailableError: The JVM has ended or the engine broke.
        """
        call, server = self._jvm.call, self._server
        self._inputs += 1
        call(self._random.setSeed, self._seed * _SEED_FACTOR + self._inputs)
        text = call(server.step, line)
        score = round(100 * call(server.getScore))
        if score < 0:
            self._refuse_broken_engine()
        return Reply(
            text=text,
            score=score,
            completed=call(server.getCompleted),
            moves=call(server.getNumMoves),
            look=call(server.freeActionLook),
            inventory=call(server.freeActionInventory),
        )

    def _refuse_broken_engine(self) -> None:
        """After an internal error the engine reports -1 for ever: that is no wrong focus."""
        agent = self._jvm.call(lambda: self._server.agentInterface().get())
        if self._jvm.call(agent.isInErrorState):
            message = self._jvm.call(agent.getErrorStateMessage)
            raise EnvironmentUnavailableError(f"ScienceWorld's engine broke: {message}")

    def task_description(self) -> str:
        """The task in the engine's words."""
        return str(self._jvm.call(self._server.getTaskDescription))

    def open_question(self) -> int:
        """How many numbered answers an open "Ambiguous request" has; 0 where there is none."""
        return int(self._jvm.call(self._parser().getNumAmbiguousMatches))

    def cancel_question(self) -> None:
        """Drop an open question. Unlike any typed answer this costs no tick."""
        self._jvm.call(self._parser().clearAmbiguousState)

    def _parser(self) -> Any:
        return self._jvm.call(lambda: self._server.agentInterface().get().inputParser())

    def actions(self) -> list[str]:
        """The valid actions, one canonical text each, in the engine's alphabetical order."""
        call = self._jvm.call
        valid = call(self._server.getValidActionObjectCombinations)
        count = call(valid.size)
        lines: list[str] = []
        for start in range(0, count, ACTIONS_PER_CALL):
            part = call(valid.subList, start, min(count, start + ACTIONS_PER_CALL))
            lines += call(self._join, "\n", part).split("\n")
        return lines
