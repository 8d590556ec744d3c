"""From the episodes and the update of a step to its line of metrics."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from empo2_agent.train.collect import Scored
from empo2_agent.train.learner import Update
from empo2_agent.train.metrics import StepMetrics
from empo2_agent.train.rewards import repeated_share
from empo2_agent.types import Episode


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a step beside its episodes and its update."""

    step: int
    redrawn: int
    tips_written: int
    memory_size: int
    novel_states: int
    learning_rate: float
    version: int
    seconds: dict[str, float]


def step_metrics(
    scored: Sequence[Scored], broken: Sequence[Episode], update: Update, facts: Facts
) -> StepMetrics:
    """One line of `metrics.jsonl`.

    Args:
        scored: The groups of the step.
        broken: Episodes that were dropped.
        update: What the learner did; all zero where it did nothing.
        facts: The rest.
    """
    episodes = [episode for one in scored for episode in one.group.episodes]
    learnt = max(1, update.learnt)
    return StepMetrics(
        step=facts.step,
        mode="+".join(dict.fromkeys(one.group.draw.mode.name for one in scored)),
        tasks=tuple(one.group.draw.task.id for one in scored),
        episodes=len(episodes),
        dropped=dict(Counter(str(episode.status) for episode in broken)),
        score=fmean(episode.score for episode in episodes),
        score_max=max(episode.score for episode in episodes),
        success=fmean(episode.success for episode in episodes),
        intrinsic=fmean(bonus for one in scored for bonus in one.intrinsic),
        steps_per_episode=fmean(len(episode.steps) for episode in episodes),
        repeated=repeated_share(episodes),
        flat_groups=fmean(one.flat for one in scored),
        redrawn=facts.redrawn,
        tips_shown=sum(len(step.tips) for episode in episodes for step in episode.steps),
        tips_written=facts.tips_written,
        memory_size=facts.memory_size,
        novel_states=facts.novel_states,
        loss=update.loss,
        grad_norm=fmean(update.grad_norms) if update.grad_norms else 0.0,
        learning_rate=facts.learning_rate,
        entropy=update.entropy / learnt if update.learnt else surprise(episodes),
        kl=update.kl / learnt,
        clip_fraction=update.clipped / learnt,
        mask_fraction=update.masked / learnt,
        mismatch_mean=update.mismatch / learnt,
        mismatch_max=update.mismatch_max,
        tip_gap=update.gap / update.gap_tokens if update.gap_tokens else None,
        skipped=update.skipped,
        learnt_tokens=update.learnt,
        tokens=update.tokens,
        seconds=facts.seconds,
        version=facts.version,
    )


def surprise(episodes: Sequence[Episode]) -> float:
    """Mean of -log mu over tokens with a choice: estimates the entropy they were drawn with."""
    drawn = [segment for e in episodes for segment in e.segments if segment.kind == "action"]
    drawn += [step.sampled for e in episodes for step in e.steps if step.sampled is not None]
    logprobs = [
        logprob
        for segment in drawn
        for logprob, ids in zip(segment.logprobs, segment.allowed, strict=True)
        if ids is None or len(ids) > 1
    ]
    return -fmean(logprobs) if logprobs else 0.0
