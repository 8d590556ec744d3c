"""What an episode can need while it is played, and how it is answered.

The seam between `episode`, which only yields needs, and `rollout`, which only answers them.
"""

from collections.abc import Generator
from dataclasses import dataclass

from empo2_agent.errors import Empo2Error
from empo2_agent.types import ActionStyle, Completion, Episode, Recalled, Request, StepResult, Task


@dataclass(frozen=True, slots=True)
class Reset:
    """Start the task; answered with a `StepResult`."""

    task: Task
    seed: int


@dataclass(frozen=True, slots=True)
class Act:
    """Carry out an action; answered with a `StepResult`."""

    action: str


@dataclass(frozen=True, slots=True)
class Admissible:
    """List the actions possible now; answered with a tuple of texts, or None."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Find tips for a state; answered with a list of `Recalled`."""

    key: str
    task: Task
    shown: tuple[str, ...]
    """Texts of the tips that stand in the transcript already: never shown twice."""
    tokens_spent: int
    """Tokens of tips shown so far in this episode."""


SAME_TIP = 0.9
"""Share of common words from which on a tip counts as a copy of one that was shown."""

Need = Reset | Act | Admissible | Recall | Request
Value = StepResult | tuple[str, ...] | list[Recalled] | Completion | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a need was answered with, and how long that took."""

    value: Value
    milliseconds: float = 0.0


EpisodeRun = Generator[Need, Answer, Episode]


class BrokenWorldError(Empo2Error):
    """Thrown into an episode whose environment failed or passed a deadline."""


class InterruptedEpisodeError(Empo2Error):
    """Thrown into an episode that the user stopped."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How an episode is played."""

    max_steps: int
    max_prompt_tokens: int
    """Tokens a prompt may have; beyond it the episode ends with TOKEN_LIMIT."""
    max_reply_tokens: int
    max_score: float
    style: ActionStyle
    temperature: float
    max_tip_tokens: int = 0
    """Tokens of the tip asked for after the episode; 0: none is asked for."""
    seconds: float | None = None
    """Wall-clock limit, looked at before each step; None: no limit."""
