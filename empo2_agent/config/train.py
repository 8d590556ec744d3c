"""The settings of `empo2 train`. The defaults are the paper's, but for size: they fit a laptop."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from empo2_agent.config.section import Scalar, Section


class TrainSettings(Section):
    """The shape of the loop."""

    algorithm: Literal["empo2", "grpo", "gigpo", "reflexion"] = "empo2"
    """A bundle of settings over one code path; `ALGORITHMS` lists what each one sets."""
    steps: int = Field(default=100, ge=0)
    """Training steps; 0: only the warm start."""
    tasks_per_step: int = Field(default=1, ge=1)
    """Groups in a step: B of the paper."""
    group_size: int = Field(default=8, ge=2)
    """Episodes of the same task and variation: N of the paper."""
    variations: int | None = Field(default=5, ge=1)
    """Only the first so many variations of the split; none: all."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the replies that are learnt from; evaluation has `sampling.temperature`."""
    redraw: int = Field(default=0, ge=0)
    """How often a group whose episodes all had the same return is replaced by another."""
    concurrency: int = Field(default=8, ge=1)
    """Episodes played at once."""
    checkpoint_every: int = Field(default=10, ge=1)
    """Steps between checkpoints."""
    keep_last: int = Field(default=2, ge=1)
    """Checkpoints kept, beside the best."""
    roll_back: int = Field(default=0, ge=0)
    """How often a collapsed run goes back to its best checkpoint; 0: warnings only."""
    tensorboard: bool = False
    """Also write TensorBoard events into the run folder; needs the package tensorboard."""


class ExploreSettings(Section):
    """What makes episodes differ: tips and intrinsic reward."""

    tips_share: float = Field(default=0.25, ge=0, le=1)
    """Probability p that a step is played with tips."""
    off_policy_share: float = Field(default=2 / 3, ge=0, le=1)
    """Probability q that a step played with tips is learnt from without them."""
    mode_by: Literal["step", "group"] = "step"
    """Draw the mode once a step, or for each group."""
    write_tips: bool = True
    """Let the policy write a tip after every episode."""
    intrinsic_coefficient: float = Field(default=1.0, ge=0)
    """What the sum of an episode's intrinsic rewards counts beside its score."""
    novelty_threshold: float = Field(default=0.99, ge=-1, le=1)
    """States with at least this cosine similarity count as the same."""


class LossSettings(Section):
    """The policy loss."""

    scale_by_std: bool = True
    """Divide a group's advantages by the standard deviation of its returns."""
    step_weight: float = Field(default=0.0, ge=0)
    """What step-level advantages count beside those of the episode (GiGPO)."""
    discount: float = Field(default=0.95, ge=0, le=1)
    """Of the returns that step-level advantages compare."""
    clip_low: float = Field(default=0.2, ge=0, lt=1)
    """Ratios below 1 minus this are clipped."""
    clip_high: float = Field(default=0.3, ge=0)
    """Ratios above 1 plus this are clipped."""
    dual_clip: float = Field(default=10.0, gt=1)
    """Bound of the loss where the advantage is negative, in multiples of its size."""
    mask_log_delta: float = Field(default=-5.0, le=0)
    """The advantage term of a token with a lower log-probability is dropped."""
    mask_by: Literal["token", "turn", "none"] = "token"
    """Drop the token alone, its whole turn, or nothing."""
    denominator: Literal["with", "without"] = "with"
    """Off-policy: log-probabilities acted with (with tips), or those of the same prompt without."""
    kl_coefficient: float = Field(default=0.0, ge=0)
    """What the divergence from the model that training began with costs."""
    mean_over: Literal["token", "sequence"] = "token"
    """All tokens of a step count alike, or all episodes do."""
    importance_cap: float = Field(default=2.0, gt=0)
    """Bound of the importance weights that correct what the engine sampled differently."""


class LearnerSettings(Section):
    """Weights, optimizer and how much is computed at once."""

    learning_rate: float = Field(default=3e-4, gt=0)
    """Of AdamW; LoRA wants some hundred times what full weights want."""
    warmup_steps: int = Field(default=0, ge=0)
    """Steps over which the learning rate rises to its value."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Of AdamW."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are scaled down to this norm."""
    lora_rank: int = Field(default=8, ge=0)
    """Rank of the LoRA adapter on all linear layers; 0: full weights."""
    lora_alpha: int = Field(default=16, ge=1)
    """Scale of the adapter: it counts alpha / rank."""
    minibatch_episodes: int | None = Field(default=None, ge=1)
    """Episodes per optimizer step; none: all of the training step."""
    tokens_per_batch: int = Field(default=2048, ge=1)
    """Tokens in one forward and backward pass; changes memory, not results."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, a third more time."""
    optimizer_device: Literal["auto", "cpu"] = "auto"
    """Where the optimizer keeps its state; auto: beside the weights."""


class WarmSettings(Section):
    """Imitation before training (`--warm-start`)."""

    epochs: int = Field(default=2, ge=1)
    """How often every demonstration is gone through."""
    batch_episodes: int = Field(default=8, ge=1)
    """Demonstrations per optimizer step."""


ALGORITHMS: Mapping[str, Mapping[str, Scalar]] = {
    "empo2": {},
    "grpo": {
        "explore.tips_share": 0.0,
        "explore.write_tips": False,
        "explore.intrinsic_coefficient": 0.0,
    },
    "gigpo": {
        "explore.tips_share": 0.0,
        "explore.write_tips": False,
        "explore.intrinsic_coefficient": 0.0,
        "loss.step_weight": 1.0,
    },
    "reflexion": {
        "explore.tips_share": 1.0,
        "explore.off_policy_share": 0.0,
        "explore.intrinsic_coefficient": 0.0,
    },
}
"""What an algorithm sets, below presets, files and flags."""
