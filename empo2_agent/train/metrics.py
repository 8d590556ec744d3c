"""What is measured of one training step. Plain numbers: one of these is a line of `metrics.jsonl`."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """One training step. Means are over its usable episodes unless said otherwise."""

    step: int
    """From 1."""
    mode: str
    """`plain`, `with-tips`, `off-policy`; joined by `+` where groups differ."""
    tasks: tuple[str, ...]
    """Ids of the tasks played, a group each."""
    episodes: int
    dropped: dict[str, int]
    """Episodes that were not learnt from, by status."""
    score: float
    """Mean sum of rewards, in the environment's units."""
    score_max: float
    success: float
    """Share of episodes that met the task's own definition of complete."""
    intrinsic: float
    """Mean sum of intrinsic rewards, before the coefficient."""
    steps_per_episode: float
    repeated: float
    """Share of actions that were the same as the one before in their episode."""
    flat_groups: float
    """Share of groups whose returns had no variance, and so taught nothing."""
    redrawn: int
    """Groups replaced because they had no variance."""
    tips_shown: int
    tips_written: int
    memory_size: int
    """Tips in the memory after the step."""
    novel_states: int
    """States in the novelty memory after the step."""
    loss: float
    grad_norm: float
    """Before clipping; the mean over the step's optimizer steps."""
    learning_rate: float
    entropy: float
    """Mean over sampled tokens, in nats, of the distribution they were drawn from."""
    kl: float
    """Mean estimate of KL(policy || reference) a token; 0 without a reference."""
    clip_fraction: float
    """Share of sampled tokens whose gradient the clipping removed."""
    mask_fraction: float
    """Share of sampled tokens whose advantage term was dropped as too unlikely."""
    mismatch_mean: float
    """Mean of |log mu engine - log mu learner| over sampled tokens, in nats."""
    mismatch_max: float
    tip_gap: float | None
    """Mean of log pi(acting context) - log pi(update context) where they differ; else None."""
    skipped: int
    """Optimizer steps left out because loss or gradient was not finite."""
    learnt_tokens: int
    """Sampled tokens with a choice: what the loss is a mean over."""
    tokens: int
    """Tokens the learner went through, forward and backward."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time: `rollout`, within it `environment`, `retrieval`, `model`, `tips`; `update`."""
    version: int = 0
    """Of the weights after the step."""
    rolled_back_to: int | None = None
    """The score had collapsed: the next step went on from the checkpoint after this one."""

    def as_json(self) -> dict[str, object]:
        """The line of `metrics.jsonl`. JSON has no NaN: what is no finite number is null."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Self:
        """The inverse of `as_json`; null is NaN where there is always a number.

        Raises:
            TypeError: A field is missing or unknown.
        """
        floats = {field.name for field in fields(cls) if field.type is float}
        lost = {name: math.nan for name, value in line.items() if value is None and name in floats}
        return cls(**{**line, **lost, "tasks": tuple(line["tasks"])})
