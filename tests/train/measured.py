"""Metrics of a training step that nothing is wrong with."""

from dataclasses import replace

from empo2_agent.train.metrics import StepMetrics

_GOOD = StepMetrics(
    step=1,
    mode="plain",
    tasks=("toy/red-lamp/0",),
    episodes=8,
    dropped={},
    score=0.25,
    score_max=1.0,
    success=0.25,
    intrinsic=3.5,
    steps_per_episode=12.5,
    repeated=0.125,
    flat_groups=0.0,
    redrawn=0,
    tips_shown=0,
    tips_written=8,
    memory_size=24,
    novel_states=40,
    loss=-0.01,
    grad_norm=0.5,
    learning_rate=3e-4,
    entropy=1.25,
    kl=0.0,
    clip_fraction=0.015,
    mask_fraction=0.002,
    mismatch_mean=4.1e-5,
    mismatch_max=2e-4,
    tip_gap=None,
    skipped=0,
    learnt_tokens=400,
    tokens=12_000,
    seconds={"rollout": 30.0, "environment": 1.0, "retrieval": 0.5, "tips": 4.0, "update": 10.0},
    version=1,
)


def make_metrics(**overrides: object) -> StepMetrics:
    """One step, with `overrides` by field."""
    return replace(_GOOD, **overrides)  # type: ignore[arg-type]  # a misspelt field raises
