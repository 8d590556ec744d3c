"""The settings there are, what they default to, and the presets. No logic but listing them."""

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field

from empo2_agent.config.section import Scalar, Section
from empo2_agent.config.train import (
    ExploreSettings,
    LearnerSettings,
    LossSettings,
    TrainSettings,
    WarmSettings,
)


class ModelSettings(Section):
    """Which model plays, and how it is held."""

    name: str | None = None
    """A Hugging Face name or a local folder; none: the small default model."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Numeric type; auto: float32 on a CPU, bfloat16 on a GPU."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto: a GPU where there is one."""


class SamplingSettings(Section):
    """How a reply is drawn and read."""

    temperature: float = Field(default=0.4, ge=0)
    """0 is greedy; 0.4 is what the paper evaluates with."""
    max_reply_tokens: int = Field(default=32, ge=1)
    """Tokens after which a reply is cut."""
    style: Literal["auto", "free", "correct", "constrained"] = "auto"
    """How a reply becomes an action; auto: constrained where the environment lists its actions."""


class EpisodeSettings(Section):
    """The limits of one episode."""

    max_steps: int | None = Field(default=None, ge=1)
    """Steps an episode may take; none: the environment's own limit."""
    step_deadline_seconds: float = Field(default=60.0, gt=0)
    """An environment call that takes longer ends its episode as env_error."""
    reset_deadline_seconds: float = Field(default=120.0, gt=0)
    """The same for the start of an episode."""
    time_limit_seconds: float | None = Field(default=None, gt=0)
    """Wall-clock time after which an episode ends as time_limit; none: no limit."""
    max_prompt_tokens: int = Field(default=4500, ge=1)
    """Prompts longer than this end the episode as token_limit."""


class MemorySettings(Section):
    """Where tips live and which of them are shown."""

    location: str | None = None
    """A folder, the http(s) address of a Chroma server, or "none"; unset: the user data folder."""
    scope: Literal["variation", "task", "environment"] = "task"
    """Tips of the same variation, task or environment are considered."""
    key: Literal["final", "step"] = "final"
    """The state a tip is filed under: the last of its episode, or each step's own."""
    threshold: float = Field(default=0.5, ge=-1, le=1)
    """A tip is shown where its cosine similarity is above this."""
    max_tips: int = Field(default=10, ge=1)
    """Most tips shown in one turn."""
    near_duplicate: float = Field(default=0.9, ge=0, le=1)
    """Share of common words at or above which a tip counts as a copy of a better one."""
    tokens_per_turn: int = Field(default=200, ge=1)
    """Token budget of the tips shown in one turn."""
    tokens_per_episode: int = Field(default=600, ge=1)
    """Token budget of the tips shown in one episode."""
    capacity: int = Field(default=1000, ge=1)
    """Most tips kept in one scope; the oldest go first."""
    max_tip_tokens: int = Field(default=64, ge=8)
    """Tokens after which a tip the model writes is cut."""


class AdaptSettings(Section):
    """The shape of `empo2 adapt`."""

    trials: int = Field(default=10, ge=1)
    """Trials with memory, after trial 0 without."""
    episodes_per_trial: int = Field(default=1, ge=1)
    """Episodes played, and tips written, in each trial."""
    control: bool = False
    """Play a paired arm without memory on the same seeds."""
    fresh: bool = False
    """Start without the tips that earlier runs left."""


class EvaluateSettings(Section):
    """The shape of `empo2 eval`."""

    repeats: int = Field(default=1, ge=1)
    """Episodes of every variation."""
    variations: int | None = Field(default=None, ge=1)
    """Only the first so many variations of the split; none: all."""
    concurrency: int = Field(default=8, ge=1)
    """Episodes played at once."""


class Settings(Section):
    """Everything a run can be told. `empo2 config show` prints it."""

    seed: int = Field(default=0, ge=0)
    """All randomness of a run derives from it."""
    model: ModelSettings = ModelSettings()
    sampling: SamplingSettings = SamplingSettings()
    episode: EpisodeSettings = EpisodeSettings()
    memory: MemorySettings = MemorySettings()
    adapt: AdaptSettings = AdaptSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    train: TrainSettings = TrainSettings()
    explore: ExploreSettings = ExploreSettings()
    loss: LossSettings = LossSettings()
    learner: LearnerSettings = LearnerSettings()
    warm: WarmSettings = WarmSettings()
    environment: dict[str, Scalar] = Field(default_factory=dict)
    """Settings of the environment; `check_environment_settings` knows which exist."""


PRESETS: Mapping[str, Mapping[str, Mapping[str, Scalar]]] = {
    "paper-scienceworld": {
        "model": {"name": "qwen2.5-7b"},
        "sampling": {"temperature": 0.4, "max_reply_tokens": 32, "style": "correct"},
        "episode": {"max_steps": 30, "max_prompt_tokens": 4500},
        "memory": {"threshold": 0.5, "max_tips": 10},
        "evaluate": {"variations": 20, "repeats": 4},
        "environment": {"simplifications": "easy", "compact": False, "hide_actions": False},
        "train": {
            "tasks_per_step": 16,
            "group_size": 8,
            "variations": 5,
            "temperature": 1.0,
            "concurrency": 128,
        },
        "loss": {"kl_coefficient": 0.0},
        "learner": {"learning_rate": 1e-6, "lora_rank": 0, "minibatch_episodes": 16},
    },
    "paper-webshop": {
        "model": {"name": "qwen2.5-7b"},
        "sampling": {"temperature": 0.4, "max_reply_tokens": 512, "style": "free"},
        # The paper gives no limit of the whole prompt: what the model's 32,768 tokens leave.
        "episode": {"max_steps": 15, "max_prompt_tokens": 32_256},
        "memory": {"threshold": 0.5, "max_tips": 10},
        "evaluate": {"variations": 500},
        "train": {
            "tasks_per_step": 16,
            "group_size": 8,
            "variations": 6410,  # all goals but the 500 of the test
            "temperature": 1.0,
            "concurrency": 128,
        },
        "loss": {"kl_coefficient": 0.01, "discount": 0.95},
        "learner": {"learning_rate": 1e-6, "lora_rank": 0, "minibatch_episodes": 64},
    },
    "cpu": {
        "episode": {"max_steps": 8},
        "train": {"steps": 40, "tasks_per_step": 1, "group_size": 8, "variations": 4},
        "learner": {"learning_rate": 3e-4, "lora_rank": 8, "tokens_per_batch": 2048},
    },
}
"""Named bundles of settings. `paper-...`: the protocol of the EMPO² paper. `cpu`: a laptop, with
the default model. No preset sets what an algorithm sets, so that `--algorithm` works with each."""

TRAIN_ONLY = ("train", "explore", "loss", "learner", "warm")
"""Sections that only `empo2 train` reads."""


def flatten(settings: Settings) -> Iterator[tuple[str, object]]:
    """Every setting as (dotted key, value), in the order of declaration."""
    for name, value in settings:
        if isinstance(value, Section):
            yield from ((f"{name}.{key}", leaf) for key, leaf in value)
        elif isinstance(value, dict):
            yield from ((f"{name}.{key}", leaf) for key, leaf in value.items())
        else:
            yield name, value
