"""How long the prompts of `empo2 train` will be: a look at the world, counted by the tokenizer.

One rule: what could not be measured is assumed, and the estimate says so. Imported lazily.
"""

from concurrent.futures import TimeoutError as Overdue
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean

import psutil

from empo2_agent.chat import TemplateChat
from empo2_agent.cli.train_job import TrainJob
from empo2_agent.config import Scalar
from empo2_agent.errors import Empo2Error
from empo2_agent.needs import Act, Admissible, Reset
from empo2_agent.types import StepResult
from empo2_agent.worlds import Deadlines, Seat, Worlds

TURNS = 8
"""Random actions that the length of a turn is a mean over."""
CHARACTERS = 4
"""A token, where there is no tokenizer yet: about what English takes."""
TEMPLATE_TOKENS = 10
"""Of the chat template in a turn, where there is no tokenizer yet."""


@dataclass(frozen=True, slots=True)
class Walk:
    """A few random steps in the first task."""

    first: str
    """What is seen at the start."""
    turns: tuple[tuple[str, str], ...]
    """Actions, and what was seen after each."""
    bytes: int
    """Memory of the processes behind the environment."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Lengths, in tokens."""

    first: int
    """Instructions, first observation and what the template adds."""
    turn: float
    """What a further turn adds: an action, what is seen after it, and the template."""
    action: float
    world_bytes: int
    basis: str
    """What was measured, and what assumed."""


def look_around(job: TrainJob, world: dict[str, Scalar]) -> Walk | None:
    """Start the first task and take some random actions; None where the world breaks.

    Raises:
        Empo2Error: The environment cannot be started at all.
    """
    limits = job.resolved.settings.episode
    deadlines = Deadlines(step=limits.step_deadline_seconds, reset=limits.reset_deadline_seconds)
    process, rng = psutil.Process(), Random(job.resolved.settings.seed)
    before = {child.pid for child in process.children(recursive=True)}
    try:
        with Worlds(lambda: job.plugin.make(world), deadlines) as worlds:
            [seat] = worlds.seats(1)
            now = _step(seat, Reset(job.tasks[0], rng.randrange(2**31)))
            first = now.observation
            turns: list[tuple[str, str]] = []
            while not now.done and len(turns) < TURNS:
                listed, _ = seat.submit(Admissible()).result(deadlines.step)
                if not isinstance(listed, tuple) or not listed:
                    break
                action = rng.choice(listed)
                now = _step(seat, Act(action))
                turns.append((action, now.observation))
            children = [c for c in process.children(recursive=True) if c.pid not in before]
            return Walk(first, tuple(turns), sum(map(_resident, children)))
    except Empo2Error:
        raise
    except (Exception, Overdue):  # noqa: BLE001 - what a world raises; the run itself deals with it
        return None


def _step(seat: Seat, need: Reset | Act) -> StepResult:
    found, _ = seat.submit(need).result(seat.deadline(need))
    assert isinstance(found, StepResult)
    return found


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it has just ended
        return 0


def count_tokens(job: TrainJob, walk: Walk | None, folder: Path | None) -> Tokens:
    """Lengths of prompts, with the tokenizer in `folder`; None: by characters.

    Raises:
        ModelError: The tokenizer or its chat template cannot be used.
    """
    counter = _Counter(folder)
    count, settings = counter.text, job.resolved.settings
    first = counter.opening(job.plugin.instructions(job.tasks[0]))
    first += (count(walk.first) if walk else 0) + counter.reply
    if walk and walk.turns:
        action = fmean(count(action) for action, _ in walk.turns)
        seen = fmean(count(seen) for _, seen in walk.turns)
        basis = f"a turn is the mean of {len(walk.turns)} random actions"
    else:
        action = float(settings.sampling.max_reply_tokens)
        seen = float(count(walk.first)) if walk else action
        basis = f"a turn is assumed to have {action:.0f} tokens of reply and {seen:.0f} to read"
    how = "counted by the tokenizer" if folder else f"at {CHARACTERS} characters a token"
    return Tokens(
        first=first,
        turn=action + counter.between + seen + counter.reply,
        action=action,
        world_bytes=walk.bytes if walk else 0,
        basis=f"{how}; {basis}",
    )


class _Counter:
    """Counts tokens, or characters where there is no tokenizer."""

    def __init__(self, folder: Path | None) -> None:
        self._chat: TemplateChat | None = None
        self.reply = self.between = TEMPLATE_TOKENS // 2
        if folder is not None:
            from transformers import AutoTokenizer  # seconds

            self._chat = TemplateChat(AutoTokenizer.from_pretrained(folder))
            self.reply = len(self._chat.reply()[1])
            self.between = len(self._chat.next_turn(ended=False)[1])

    def text(self, text: str) -> int:
        """Of a text of the world, or an action."""
        return len(self._chat.world(text)[1]) if self._chat else -(-len(text) // CHARACTERS)

    def opening(self, instructions: str) -> int:
        """From the start of the conversation up to the first observation."""
        if self._chat:
            return len(self._chat.opening(instructions)[1])
        return self.text(instructions) + TEMPLATE_TOKENS
