"""The lean path into the engine: a handful of small calls a step, and nothing it did not ask for.

Listing the admissible actions draws from the engine's one random stream. The stream is therefore
set anew before every step, from the episode's seed and the step's number: what happens does not
depend on whether somebody looked at the list.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from empo2_agent.errors import EnvironmentUnavailableError
from empo2_scienceworld.actions import without_stop_words
from empo2_scienceworld.jvm import Jvm

ACTIONS_PER_CALL = 100
"""Replies above 8 kB arrive in two packets and stall 40 ms on a delayed acknowledgement."""

_SERVER_WORDS = ("help", "objects", "task")

# What the server says where an action has nothing to say.
_SILENCE = (
    "Unknown action.  Type 'help' for a list of actions, and 'objects' for a list of possible "
    "object referents. "
)

_SHORTER = (("go to ", "go "), ("focus on ", "focus "), ("teleport to ", "teleport "))

_SEED_FACTOR = 1_000_003  # a prime, so that seeds and step numbers do not meet soon


Meaning = tuple[str, tuple[tuple[str, int], ...]]
"""A kind of action and the things in its roles, by the engine's numbers: equal where two texts are
the same action."""

_MUTUAL = "ActionConnectElectrical"  # it does not matter which end is named first


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
        java = jvm.gateway.jvm
        self._server = jvm.call(lambda: java.scienceworld.runtime.pythonapi.PythonInterface())
        self._join = jvm.call(lambda: java.java.lang.String.join)
        self._random = jvm.call(lambda: getattr(getattr(java.scala.util, "Random$"), "MODULE$"))
        self._seed = 0
        self._inputs = 0
        self._valid: list[str] | None = None  # the list of this state, once it was asked for
        self._agent: Any = None  # the engine's AgentInterface, new with every load
        self._score, self._completed = 0.0, False

    def gold_path(self, task: str, variation: int, simplifications: str) -> list[str]:
        """The engine's own solution, empty where it knows none. `load` before the next step."""
        self._jvm.call(self._server.load, task, variation, simplifications, True)
        path = self._jvm.call(self._server.getGoldActionSequence)
        return str(self._jvm.call(self._join, "\n", path)).splitlines()

    def load(self, task: str, variation: int, simplifications: str, seed: int) -> Reply:
        """Start an episode. The first input is `look around`, which costs no tick."""
        error = self._jvm.call(self._server.load, task, variation, simplifications, False)
        if error:
            raise EnvironmentUnavailableError(f"ScienceWorld cannot load {task}: {error}")
        self._seed, self._inputs = seed, 0
        self._agent = self._jvm.call(lambda: self._server.agentInterface().get())
        return self.step("look around")

    def step(self, line: str) -> Reply:
        """Send one input.

        Raises:
            EnvironmentUnavailableError: The JVM has ended or the engine broke.
        """
        call, server = self._jvm.call, self._server
        self._inputs += 1
        self._valid = None
        call(self._random.setSeed, stream_seed(self._seed, self._inputs))
        text, part, completed = self._send(line)
        score = round(100 * part)
        if score < 0 and call(self._agent.isInErrorState):
            # From then on the engine answers -1 for ever, as after a wrong focus.
            message = call(self._agent.getErrorStateMessage)
            raise EnvironmentUnavailableError(f"ScienceWorld's engine broke: {message}")
        return Reply(
            text=text,
            score=score,
            completed=completed,
            moves=call(server.getNumMoves),
            look=call(server.freeActionLook),
            inventory=call(server.freeActionInventory),
        )

    def _send(self, line: str) -> tuple[str, float, bool]:
        """(what the engine says, score 0 to 1, completed).

        `server.step` looks, takes inventory, lists all names for its log, and then does this. It
        also knows three words of its own, which change nothing.
        """
        if line.lower() in _SERVER_WORDS:
            text = self._jvm.call(self._server.step, line)
            return text, self._score, self._completed
        # One call instead of three: `(text,score,completed)`, where only the text has commas.
        answer = self._jvm.call(lambda: self._agent.step(_shorter(line)).toString())
        text, score, completed = answer[1:-1].rsplit(",", 2)
        self._score, self._completed = float(score), completed == "true"
        return text or _SILENCE, self._score, self._completed

    def task_description(self) -> str:
        """The task in the engine's words."""
        return str(self._jvm.call(self._server.getTaskDescription))

    def open_question(self) -> int:
        """How many numbered answers an open "Ambiguous request" has; 0 where there is none."""
        return int(self._jvm.call(self._parser().getNumAmbiguousMatches))

    def cancel_question(self) -> None:
        """Drop an open question. Unlike any typed answer this costs no tick."""
        self._jvm.call(self._parser().clearAmbiguousState)
        self._valid = None

    def _parser(self) -> Any:
        return self._jvm.call(self._agent.inputParser)

    def meanings(self, line: str) -> list[Meaning]:
        """What the parser takes a line for: nothing, one thing, or as many as it would ask about.

        Nothing is done or drawn from the random stream, and an open question is dropped.
        """
        call, agent, parser = self._jvm.call, self._agent, self._parser()
        body, monitor, goals, place = call(
            lambda: (
                agent.agent(),
                agent.objMonitor(),
                agent.task().goalSequence(),
                agent.agent().getContainer().get(),
            )
        )
        parsed = call(parser.parse, line, place, agent.universe(), body, monitor, goals, place)
        if call(lambda: parsed._4().isDefined()):
            return [self._meaning(call(lambda: parsed._4().get()))]
        if not self.open_question():
            return []
        matches = call(lambda: parser.lastAmbiguousMatches().get())
        java = self._jvm.gateway.jvm
        cast = call(lambda: java.scienceworld.input.ActionTypecaster.typecastAction)
        meant = [self._meaning(call(cast, match, monitor, goals, body)) for match in matches]
        call(parser.clearAmbiguousState)
        return meant

    def _meaning(self, action: Any) -> Meaning:
        """`pick up` and `put down` are moves to the engine too."""
        call = self._jvm.call
        kind = str(call(lambda: action.getClass().getSimpleName()))
        pairs = call(lambda: action.assignments().toSeq())
        roles = [call(pairs.apply, index) for index in range(call(pairs.size))]
        things = [call(lambda role=role: (role._1(), role._2().uuid())) for role in roles]
        if kind == _MUTUAL:
            return kind, tuple(sorted(("", number) for _, number in things))
        return kind, tuple(sorted(things))

    def nameable(self, names: Iterable[str]) -> set[str]:
        """Those of `names` that the parser would take for a thing the agent can reach.

        The engine's list of valid actions also has what is shut away (bees in a closed hive, cups
        in a closed cupboard), and then does not know such an action. Asks what the parser asks:
        does the whole name match one of the things around, or carried.
        """
        call, java = self._jvm.call, self._jvm.gateway.jvm
        collect = call(lambda: java.scienceworld.input.InputParser.collectAccessibleObjects)
        place = call(
            lambda: self._agent.agent().getContainer().get()
        )  # names depend on where one is
        around, carried = call(collect, place, True), call(collect, self._agent.agent(), True)
        both = call(lambda: getattr(around, "$plus$plus")(carried))
        kind = call(lambda: java.java.lang.Class.forName("scienceworld.struct.EnvObject"))
        things = call(lambda: both.toArray(java.scala.reflect.ClassTag.apply(kind)))
        parser = self._parser()
        wrap = call(lambda: java.scala.Predef.genericWrapArray)

        def matches(name: str) -> bool:
            # Pairs of (what is left of the name, the thing); nothing left is the whole name.
            read = without_stop_words(name)
            pairs = call(lambda: parser.matchObj(read, things, place)._2())
            return "\n(," in "\n" + call(lambda: wrap(pairs).mkString("\n"))

        return {name for name in names if matches(name)}

    def actions(self) -> list[str]:
        """The valid actions, one canonical text each, in the engine's alphabetical order.

        Asked again in the same state, the engine may choose other names for the same things: it
        is asked once.
        """
        if self._valid is None:
            self._valid = self._list_actions()
        return list(self._valid)

    def _list_actions(self) -> list[str]:
        call = self._jvm.call
        valid = call(self._server.getValidActionObjectCombinations)
        count = call(valid.size)
        lines: list[str] = []
        for start in range(0, count, ACTIONS_PER_CALL):
            part = call(valid.subList, start, min(count, start + ACTIONS_PER_CALL))
            lines += call(self._join, "\n", part).split("\n")
        return lines


def stream_seed(seed: int, number: int) -> int:
    """What the engine's random stream is set to before input `number` (from 1) of an episode."""
    return (seed * _SEED_FACTOR + number) % 2**63


def _shorter(line: str) -> str:
    """The same action in words that match one pattern of the parser instead of two.

    For each pattern that matches, it goes through the names of everything around.
    """
    for long, short in _SHORTER:
        if line.lower().startswith(long):
            return short + line[len(long) :]
    return line
