"""The training loop: play groups, score them, write tips, update, record. Algorithm 1 of the paper.

Everything random derives from the seed and the step, so a run that goes on from a checkpoint takes
the same steps as one that was never stopped.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random

from empo2_agent.adapt import tips_of
from empo2_agent.errors import TrainingError
from empo2_agent.rollout import Progress
from empo2_agent.stage import episode_seed
from empo2_agent.train import checkpoints
from empo2_agent.train.collect import (
    Draw,
    Scored,
    play_groups,
    samples_of_group,
    score,
    tasks_of_step,
)
from empo2_agent.train.keeping import roll_back, save
from empo2_agent.train.learner import Update
from empo2_agent.train.metrics import StepMetrics
from empo2_agent.train.monitor import Alarm, Monitor
from empo2_agent.train.parts import Parts, Plan
from empo2_agent.train.samples import Sample
from empo2_agent.train.schedule import Mode, draw_mode
from empo2_agent.train.state import Position
from empo2_agent.train.summary import Facts, step_metrics
from empo2_agent.types import Episode


@dataclass(frozen=True, slots=True)
class Phase:
    """What the step does now. `share`: how much of it is done, 0..1."""

    name: str
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class StepOver:
    """A step is over and recorded."""

    metrics: StepMetrics
    alarms: tuple[Alarm, ...]
    """Raised by it."""
    saved: bool
    """Whether a checkpoint was written after it."""


Event = Progress | Phase | StepOver


def train(plan: Plan, parts: Parts, position: Position, monitor: Monitor) -> Iterator[Event]:
    """Take the steps that are left; each is on disk when it is yielded.

    Args:
        plan: What to do.
        parts: With what. `parts.stage` plays with `parts.policy` and reads `parts.memory`.
        position: Where the run stands; changed as it goes.
        monitor: Has been told of the steps before.

    Raises:
        EnvironmentUnavailableError: The environment keeps breaking.
        TrainingError: Three updates in a row were not finite, or the score collapsed more often
            than the plan allows.
        RunFolderError: A record or a checkpoint cannot be written.
    """
    while position.step < plan.steps:
        metrics = yield from _step(plan, parts, position)
        alarms = tuple(monitor.add(metrics))
        collapse = next((a for a in alarms if a.kind == "collapse" and plan.roll_back), None)
        if collapse is not None and position.rolled_back < plan.roll_back:
            metrics = replace(metrics, rolled_back_to=position.best_step)
        parts.run.add_metrics(metrics.as_json())
        if collapse is None:
            if metrics.mode == "plain":
                position.window.append(metrics.score)
        elif metrics.rolled_back_to is None:
            yield StepOver(metrics, alarms, saved=False)
            raise _collapsed(collapse, parts, position)
        else:
            yield Phase("going back to the best checkpoint")
            roll_back(parts, position, metrics.rolled_back_to)
            monitor.forget(metrics.rolled_back_to)
        due = position.step % plan.checkpoint_every == 0 or position.step == plan.steps
        if due or collapse is not None:  # else a resumed run would have to collapse again
            yield Phase("saving a checkpoint")
            save(plan, parts, position)
        yield StepOver(metrics, alarms, saved=due or collapse is not None)


def _collapsed(collapse: Alarm, parts: Parts, position: Position) -> TrainingError:
    if position.best_step is None:
        how = "no checkpoint was scored yet that it could go back to: lower train.checkpoint_every"
    else:
        best = checkpoints.folder_of(parts.run.path, position.best_step)
        how = f"it went back {position.rolled_back} times; --model {best} is the best checkpoint"
    return TrainingError(f"{collapse.message}.\nTraining stops: {how}.")


def _step(plan: Plan, parts: Parts, position: Position) -> Generator[Event, None, StepMetrics]:
    step = position.step + 1
    created = datetime.now(UTC).isoformat(timespec="microseconds")  # the order of tips rests on it
    scored, replaced, broken = yield from _collect(plan, parts, step)
    written = 0
    if plan.write_tips:
        yield Phase("storing tips")
        with parts.meter.timing("storing"):
            written = _store_tips(plan, parts, [*scored, *replaced], created)
    update = Update()
    samples = _samples(plan, scored) if plan.learns else []
    learning_rate = parts.learner.optimizer.learning_rate
    if samples:
        update = yield from _update(parts, samples)
    version = parts.policy.version
    parts.policy.weights_changed()  # always: a resumed run begins this place without a cache too
    if not update.grad_norms:
        parts.policy.version = version
    position.step, position.version = step, parts.policy.version
    facts = Facts(
        step=step,
        redrawn=len(replaced),
        tips_written=written,
        memory_size=parts.memory.count() if parts.memory is not None else 0,
        novel_states=len(parts.novelty),
        learning_rate=learning_rate,
        version=position.version,
        seconds=parts.meter.take(),
    )
    return step_metrics(scored, broken, update, facts)


def _draws(plan: Plan, step: int, attempt: int) -> list[Draw]:
    rng = Random(episode_seed(plan.seed, 3, step, attempt))
    count = plan.tasks_per_step
    modes: list[Mode] = []
    for _ in range(count):
        if plan.mode_by_group or not modes:
            modes.append(
                draw_mode(rng, tips_share=plan.tips_share, off_policy_share=plan.off_policy_share)
            )
        else:
            modes.append(modes[0])
    # Redrawn groups go on where the order of tasks would be later: nothing is played twice as often.
    place = step + attempt * plan.steps
    tasks = tasks_of_step(plan.tasks, place, count, plan.seed)
    return [Draw(task, mode) for task, mode in zip(tasks, modes, strict=True)]


def _collect(
    plan: Plan, parts: Parts, step: int
) -> Generator[Event, None, tuple[list[Scored], list[Scored], list[Episode]]]:
    """Play a step; groups without variance are drawn again as often as the plan allows.

    Returns:
        The groups to learn from, those replaced, and the episodes that broke.
    """
    novelty = parts.novelty if plan.intrinsic_coefficient else None
    kept: list[Scored] = []
    broken: list[Episode] = []
    replaced: list[Scored] = []
    draws = _draws(plan, step, 0)
    for attempt in range(plan.redraw + 1):
        with parts.meter.timing("rollout"):
            groups, failed = yield from play_groups(
                parts.stage,
                parts.run,
                draws,
                group_size=plan.group_size,
                step=step,
                attempt=attempt,
                seed=plan.seed,
                tips=plan.write_tips,
            )
        broken += failed
        with parts.meter.timing("novelty"):
            scored = [score(group, novelty, plan.intrinsic_coefficient) for group in groups]
        flat = [one for one in scored if one.flat]
        if not flat or attempt == plan.redraw:
            return [*kept, *scored], replaced, broken
        kept += [one for one in scored if not one.flat]
        replaced += flat
        modes = [one.group.draw.mode for one in flat]
        again = _draws(plan, step, attempt + 1)[: len(flat)]
        draws = [Draw(one.task, mode) for one, mode in zip(again, modes, strict=True)]
    raise AssertionError("the last attempt returns")


def _store_tips(plan: Plan, parts: Parts, scored: Sequence[Scored], created: str) -> int:
    """File the tips of all episodes; how many there were."""
    assert parts.memory is not None, "tips are written, but there is no memory"
    tips = [
        tip
        for one in scored
        for episode, line in zip(one.group.episodes, one.group.lines, strict=True)
        for tip in tips_of(
            episode,
            key=plan.key,
            line=line,
            run=parts.run.name,
            model=f"{parts.policy.name} v{parts.policy.version}",
            max_score=plan.max_score,
            created=created,
        )
    ]
    parts.memory.add(tips)
    for tip in tips:
        parts.run.add_tip(tip)
    return len({tip.episode for tip in tips})


def _samples(plan: Plan, scored: Sequence[Scored]) -> list[Sample]:
    return [
        sample
        for number, one in enumerate(scored)
        for sample in samples_of_group(
            one,
            number * plan.group_size,
            scale_by_std=plan.scale_by_std,
            step_weight=plan.step_weight,
            discount=plan.discount,
        )
    ]


def _update(parts: Parts, samples: Sequence[Sample]) -> Generator[Event, None, Update]:
    yield Phase("updating")
    with parts.meter.timing("update"):
        passes = parts.learner.update(samples)
        while True:
            try:
                share = next(passes)
            except StopIteration as stop:
                update: Update = stop.value
                return update
            yield Phase("updating", share)
