"""The ScienceWorld environment: episodes, limits, and what the agent is told after each action.

An observation is the engine's reply and then only what is new: the room on entering it, changed
things in the same room, what is carried when that changed. Raw engine texts are in `info`.
"""

import re
from dataclasses import replace

from empo2_agent.errors import UsageError
from empo2_agent.types import Status, StepResult, Task
from empo2_scienceworld.actions import (
    FORBIDDEN,
    UNKNOWN,
    listed,
    names_in,
    normalise,
    reachable,
    resets_the_task,
)
from empo2_scienceworld.demonstration import demonstrate
from empo2_scienceworld.engine import Engine, Reply
from empo2_scienceworld.jvm import Jvm
from empo2_scienceworld.tasks import check_variation, is_electrical
from empo2_scienceworld.text import changes, may_focus, read_inventory, read_room

_QUESTION = "Ambiguous request"
_ANSWER = re.compile(r"\d{1,4}")


class World:
    """One JVM for the life of the object; `reset` as often as you like. See Environment."""

    def __init__(
        self, *, simplifications: str, max_ticks: int, hide_actions: bool, compact: bool
    ) -> None:
        """Start a JVM.

        Raises:
            EnvironmentUnavailableError: No Java, or the package is missing.
        """
        self._simplifications = simplifications
        self._max_ticks = max_ticks
        self._hide_actions = hide_actions
        self._compact = compact
        self._jvm = Jvm()
        try:
            self._engine = Engine(self._jvm)
        except BaseException:
            self._jvm.close()
            raise
        self._task = ""
        self._reply: Reply | None = None
        self._score = 0
        self._last = StepResult("")
        self._question = False

    def reset(self, task: Task, *, seed: int) -> StepResult:
        """Start `task` afresh. `seed` moves only what wanders at random (bees).

        Raises:
            UsageError: No such task or variation, or it is unsolvable without electrical actions.
        """
        check_variation(task)
        if is_electrical(task.name) and "noElectricalAction" in self._simplifications:
            raise UsageError(
                f"{task.name} cannot be solved with environment.simplifications "
                "noElectricalAction. Use 'easy', or leave it out."
            )
        reply = self._engine.load(task.name, task.variation, self._simplifications, seed)
        self._task = self._engine.task_description()
        self._reply = reply
        self._score = 0  # some worlds start above it: the first step earns that
        self._question = False
        focus = "; ".join(may_focus(self._task))
        text = "\n".join(
            filter(
                None,
                (
                    f"Task: {self._task}",
                    f"Focus only on: {focus}." if focus else "",
                    self._room_text(reply),
                    f"You carry: {read_inventory(reply.inventory)}.",
                ),
            )
        )
        self._last = self._result(text, reply, reward=0.0)
        return self._last

    def step(self, action: str) -> StepResult:
        """See Environment.step. `info` has the engine's own `reply`, `score` and `moves`."""
        if self._reply is None:
            raise RuntimeError("step() before reset()")
        if self._last.done:
            return replace(self._last, reward=0.0)
        line = normalise(action)
        note = self._settle_question(line)
        if not line:
            return self._refuse(note, UNKNOWN)
        if resets_the_task(line):
            return self._refuse(note, FORBIDDEN)
        before, reply = self._reply, self._engine.step(line)
        self._reply = reply
        self._question = reply.text.startswith(_QUESTION)
        text = "\n".join(filter(None, (note, self._tell(before, reply))))
        self._last = self._result(text, reply, reward=float(reply.score - self._score))
        self._score = reply.score
        return self._last

    def _settle_question(self, line: str) -> str:
        """After "Ambiguous request" the engine takes a number, and throws all else away."""
        if not self._question:
            return ""
        self._question = False
        if _ANSWER.fullmatch(line) and int(line) < self._engine.open_question():
            return f"You choose {line}."
        self._engine.cancel_question()
        return "The open question was cancelled."

    def _refuse(self, note: str, reason: str) -> StepResult:
        """Answer without asking the engine: nothing happened."""
        reply = self._reply
        assert reply is not None
        self._reply = replace(reply, text=reason)
        text = "\n".join(filter(None, (note, reason)))
        self._last = self._result(text, self._reply, reward=0.0)
        return self._last

    def _tell(self, before: Reply, reply: Reply) -> str:
        old, new, said = read_room(before.look), read_room(reply.look), read_room(reply.text)
        entered = old is None or new is None or old.name != new.name
        if not self._compact:
            shown = entered and reply.text.strip() != reply.look.strip()
            return "\n".join([reply.text.strip(), *[self._room_text(reply)] * shown])
        lines = [said.text if said else reply.text.strip()]
        if said and said == new:
            return lines[0]
        if old is None or new is None or entered:
            lines.append(self._room_text(reply))
        elif news := changes(old, new):
            lines.append(f"Now here: {'; '.join(news)}.")
        if reply.inventory != before.inventory:
            lines.append(f"You carry: {read_inventory(reply.inventory)}.")
        return "\n".join(lines)

    def _room_text(self, reply: Reply) -> str:
        room = read_room(reply.look) if self._compact else None
        return room.text if room else reply.look.strip()

    def _result(self, text: str, reply: Reply, *, reward: float) -> StepResult:
        room = read_room(reply.look)
        place = f"In the {room.name}" if room else "Here"
        seen = "; ".join(room.things) if room else reply.look.strip()
        carried = read_inventory(reply.inventory)
        state = f"{place}, carrying {carried}.\nYou see: {seen}.\nTask: {self._task}"
        info: dict[str, str | float] = {
            "reply": reply.text,
            "score": float(reply.score),
            "moves": float(reply.moves),
        }
        return StepResult(text, reward, self._status(reply), state, info)

    def _status(self, reply: Reply) -> Status | None:
        if reply.score < 0:
            return Status.FAILED
        if reply.completed:
            return Status.SUCCESS if reply.score >= 100 else Status.FAILED
        return Status.TICK_LIMIT if reply.moves > self._max_ticks else None

    def actions(self) -> list[str]:
        """The admissible actions; numbers while a question is open; none after the end."""
        if self._reply is None or self._last.done:
            return []
        valid = self._engine.actions()
        names = set(names_in(valid))
        if not self._question:
            valid = reachable(valid, names, self._engine.nameable(names))
        return listed(valid, hide=self._hide_actions)

    def demonstration(self, task: Task, *, seed: int) -> list[str]:
        """See Demonstrating. Takes seconds: the engine's solution is played several times.

        Raises:
            UsageError: As `reset`, or the solution does not fit into max_ticks.
        """
        self.reset(task, seed=seed)  # refuses what cannot be played
        gold = self._engine.gold_path(task.name, task.variation, self._simplifications)
        return demonstrate(self, self._engine.meanings, gold, task, seed)

    def close(self) -> None:
        """End the JVM. Safe to call twice."""
        self._jvm.close()

    def kill(self) -> None:
        """End the JVM from any thread: a call that hangs in it raises at once."""
        self._jvm.kill()
