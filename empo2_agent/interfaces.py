"""The seams of the program. Anything that fits a Protocol can be plugged in."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from empo2_agent.types import Completion, Recalled, Request, StepResult, Task, TaskInfo, Tip


class Environment(Protocol):
    """A text world. All calls come from one thread, but for `kill`."""

    def reset(self, task: Task, *, seed: int) -> StepResult:
        """Start `task` afresh; the first observation, with reward 0."""
        ...

    def step(self, action: str) -> StepResult:
        """Apply one action. What the world cannot parse is an observation, never an exception.

        After the end of the episode nothing changes any more: same status, reward 0.
        """
        ...

    def actions(self) -> Sequence[str] | None:
        """The admissible actions now, in a fixed order; None where they cannot be listed."""
        ...

    def close(self) -> None:
        """Give back processes and files. Safe to call twice."""
        ...

    def kill(self) -> None:
        """From any thread: end the processes behind a call that hangs, so that it fails."""
        ...


@runtime_checkable
class Demonstrating(Protocol):
    """What an Environment may have besides: it knows how its tasks are solved."""

    def demonstration(self, task: Task, *, seed: int) -> Sequence[str]:
        """The actions that solve `task` after `reset(task, seed=seed)`, admissible where possible.

        It may leave the environment in any state: reset before the next step.

        Raises:
            UsageError: No such task or variation, or this world cannot tell how it is solved.
        """
        ...


class EnvironmentPlugin(Protocol):
    """What a package exports under the entry-point group `empo2_agent.environments`.

    Importing it must be cheap: heavy packages are imported inside `make`.
    """

    name: str
    max_score: float
    """Score of a complete solution."""
    step_limit: int
    """Default number of steps an episode may take."""
    defaults: Mapping[str, str | int | float | bool]
    """Settings of this environment and their default values."""

    def tasks(self) -> Sequence[TaskInfo]:
        """Every task family, in a fixed order."""
        ...

    def variations(self, task: str, split: str) -> Sequence[int]:
        """The variations of one split: `train`, `dev`, `test` or `all`.

        Raises:
            UsageError: No such task or split.
        """
        ...

    def instructions(self, task: Task) -> str:
        """What the model is told once, at the start: the world, its actions, the reply format."""
        ...

    def make(self, settings: Mapping[str, str | int | float | bool]) -> Environment:
        """Build one environment. `settings` has every key of `defaults`, types already checked.

        Raises:
            EnvironmentUnavailableError: Something it needs is missing; says what to type.
        """
        ...

    def check(self) -> Sequence[tuple[str, bool, str]]:
        """What `empo2 doctor` shows: (thing, is it there, version or what to type)."""
        ...

    def versions(self) -> Mapping[str, str]:
        """Versions of the world and its data, for the run record."""
        ...


class ChatFormat(Protocol):
    """How a conversation becomes tokens. See `empo2_agent.chat`."""

    def opening(self, instructions: str) -> tuple[str, tuple[int, ...]]:
        """Text and tokens from the start of the conversation up to the first user content."""
        ...

    def world(self, text: str) -> tuple[str, tuple[int, ...]]:
        """Text of a world or a tip: cleaned, and never encoded to a special token."""
        ...

    def reply(self) -> tuple[str, tuple[int, ...]]:
        """From the end of a user's content up to where the model's reply begins."""
        ...

    def next_turn(self, *, ended: bool) -> tuple[str, tuple[int, ...]]:
        """From the end of a reply up to the next user content.

        `ended`: the reply already holds its end-of-turn token.
        """
        ...

    @property
    def end_text(self) -> str:
        """The end of a turn as text."""
        ...

    @property
    def end_ids(self) -> tuple[int, ...]:
        """The end of a turn as tokens, the last of them special."""
        ...


class Policy(Protocol):
    """Turns prompts into replies."""

    @property
    def chat(self) -> ChatFormat:
        """The chat format of this model."""
        ...

    @property
    def name(self) -> str:
        """For records: which model this is."""
        ...

    @property
    def context_limit(self) -> int:
        """The most tokens a prompt and its reply may have together."""
        ...

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion per request, in order."""
        ...

    def release(self, conversation: int) -> None:
        """The conversation is over: what was cached for it may go."""
        ...


class Embedder(Protocol):
    """Turns texts into vectors of unit length."""

    @property
    def name(self) -> str:
        """Stored beside the vectors: vectors of different embedders never mix."""
        ...

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector per text, in order."""
        ...


class TipMemory(Protocol):
    """Stores tips and finds the ones that fit the present state."""

    def add(self, tips: Iterable[Tip]) -> int:
        """Store tips; how many were new (exact duplicates of text, key and task are not)."""
        ...

    def search(self, keys: Sequence[str], task: Task) -> list[list[Recalled]]:
        """For each key the fitting tips, best first, filtered and ranked but not yet budgeted."""
        ...

    def count(self, task: Task | None = None) -> int:
        """How many tips there are in the scope of `task`, or in all."""
        ...

    def close(self) -> None:
        """Release the store. Safe to call twice."""
        ...
