"""The values that flow through the program. Frozen, plain, without behaviour or heavy imports.

Flow: Task -> (Request -> Completion)* -> Step* -> Episode -> Tip.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

ActionStyle = Literal["free", "correct", "constrained"]
SegmentKind = Literal["prompt", "tip", "action"]


class Status(StrEnum):
    """How an episode ended."""

    SUCCESS = "success"
    """The task's own definition of complete was met."""
    FAILED = "failed"
    """The environment ended the episode without success."""
    STEP_LIMIT = "step_limit"
    """The agent used all the steps it was given."""
    TICK_LIMIT = "tick_limit"
    """The environment's own clock ran out."""
    TOKEN_LIMIT = "token_limit"
    """The transcript no longer fits the model's context."""
    TIME_LIMIT = "time_limit"
    """The wall-clock limit of the episode was reached."""
    ENV_ERROR = "env_error"
    """The environment broke or passed a deadline: the episode says nothing about the agent."""
    INTERRUPTED = "interrupted"
    """The user stopped the run during this episode."""


@dataclass(frozen=True, slots=True)
class Task:
    """One concrete problem. `id` is stable; groups and memory are keyed by it."""

    environment: str
    name: str
    variation: int = 0
    split: str = "all"

    @property
    def id(self) -> str:
        """For example `scienceworld/find-animal/7`."""
        return f"{self.environment}/{self.name}/{self.variation}"


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A task family as an environment offers it."""

    name: str
    variations: int
    """Variations are numbered 0 to variations - 1."""
    description: str = ""


@dataclass(frozen=True, slots=True)
class StepResult:
    """What the environment answered to `reset` or to one action."""

    observation: str
    reward: float = 0.0
    """Gain of this step, in the environment's own units. Rewards sum to the episode's score."""
    status: Status | None = None
    """None while the episode goes on; SUCCESS, FAILED or TICK_LIMIT where the world ended it."""
    state: str = ""
    """The present situation in words, latest first (for memory keys); empty: the observation."""
    info: Mapping[str, str | float] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether the episode is over."""
        return self.status is not None


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of a transcript, tokenised on its own.

    `logprobs` and `allowed` are empty but for kind `action`, where they have one entry a token:
    the natural log-probability under the distribution sampled from, and the ids that were
    allowed there (None: the whole vocabulary; one id: the token was forced, log-probability 0).
    """

    kind: SegmentKind
    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...] = ()
    allowed: tuple[tuple[int, ...] | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message, for engines that take text instead of tokens."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    """Everything a policy needs to produce one reply."""

    token_ids: tuple[int, ...]
    """The whole prompt, from the first token of the conversation."""
    messages: tuple[Message, ...]
    """The same prompt as chat messages."""
    conversation: int
    """Requests of one episode share this number; each prompt is a prefix of the next."""
    max_tokens: int
    temperature: float
    """0 means greedy."""
    seed: int
    choices: tuple[str, ...] | None = None
    """Constrain the reply to exactly one of these texts."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One reply, exactly as the sampler produced it.

    `token_ids` include the end-of-turn token where one was sampled or forced; `text` does not.
    `logprobs` and `allowed` are as in `Segment`.
    """

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    allowed: tuple[tuple[int, ...] | None, ...]
    ended: bool
    """Whether the last token is the end of the turn (False: cut at `max_tokens`)."""
    version: int = 0
    """Version of the weights it was sampled from."""

    def __post_init__(self) -> None:
        """Refuse lists of different lengths."""
        if not len(self.token_ids) == len(self.logprobs) == len(self.allowed):
            raise ValueError(
                f"{len(self.token_ids)} tokens, {len(self.logprobs)} log-probabilities, "
                f"{len(self.allowed)} allowed lists"
            )


@dataclass(frozen=True, slots=True)
class Tip:
    """A lesson the policy wrote after an episode, with where it came from."""

    id: str
    text: str
    """What the model wrote: one line, control characters removed."""
    key: str
    """The state it belongs to: what is embedded and searched by."""
    action: str
    """The action that led to that state, or for tips filed by step the one taken in it."""
    score: float
    max_score: float
    environment: str
    task: str
    variation: int
    run: str
    episode: int
    """Line of the run's `episodes.jsonl`, from 0."""
    step: int
    model: str
    created: str
    """ISO 8601, UTC."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """A tip found for a state. `similarity` is the cosine in -1..1."""

    tip: Tip
    similarity: float


@dataclass(frozen=True, slots=True)
class ShownTip:
    """The record of one tip that stood in a prompt."""

    id: str
    similarity: float
    score: float


@dataclass(frozen=True, slots=True)
class Step:
    """One decision and what came of it."""

    observation: str
    """What the agent saw before deciding."""
    prompt_tokens: int
    """The request was the first this many tokens of the episode's segments."""
    tips: tuple[ShownTip, ...]
    action: str
    """What was executed."""
    reply: str
    """What the model wrote."""
    logprob: float
    """Sum over the reply's tokens."""
    reward: float
    state: str
    """The memory key of the situation decided in."""
    sampled: Segment | None = None
    """The reply as sampled, where the ledger shows the corrected action in its place."""
    version: int = 0
    environment_ms: float = 0.0
    retrieval_ms: float = 0.0
    model_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Episode:
    """One finished episode. A broken world is data: status ENV_ERROR and `error`."""

    task: Task
    seed: int
    memory: bool
    """Whether tips could be shown."""
    status: Status
    segments: tuple[Segment, ...]
    """The ledger, up to where the next observation would begin; every prompt is its beginning."""
    steps: tuple[Step, ...]
    final_observation: str = ""
    final_state: str = ""
    tip: str = ""
    """The sentence the policy wrote about this episode; empty where none was asked for."""
    error: str = ""
    seconds: float = 0.0

    @property
    def score(self) -> float:
        """Sum of the step rewards, in the environment's units."""
        return sum(step.reward for step in self.steps)

    @property
    def success(self) -> bool:
        """Whether the task's own definition of complete was met."""
        return self.status is Status.SUCCESS

    @property
    def usable(self) -> bool:
        """Whether it says anything about the agent (not broken, not interrupted)."""
        return self.status not in (Status.ENV_ERROR, Status.INTERRUPTED)
