"""Carrying out `empo2 train` once its options are understood. Imported lazily: it imports torch."""

from collections.abc import Sequence
from contextlib import ExitStack
from statistics import fmean
from typing import TYPE_CHECKING, Any

from empo2_agent.cli.train_curve import closing_lines
from empo2_agent.cli.train_job import TrainJob
from empo2_agent.cli.train_session import TrainSession, train_session
from empo2_agent.cli.train_view import TrainView
from empo2_agent.cli.train_warm import warm_start
from empo2_agent.rollout import Progress
from empo2_agent.train import checkpoints
from empo2_agent.train.keeping import save
from empo2_agent.train.loop import Event, Phase, StepOver, train
from empo2_agent.train.metrics import StepMetrics
from empo2_agent.train.monitor import Monitor, standing
from empo2_agent.train.tensorboard import TensorBoard

if TYPE_CHECKING:
    from rich.console import Console


def carry_out(job: TrainJob, console: "Console") -> tuple[dict[str, Any], list[str]]:
    """Train.

    Returns:
        The document of `--json`, and the lines for people.

    Raises:
        Empo2Error: Whatever keeps it from beginning or going on.
        KeyboardInterrupt: Stopped by the user; the last checkpoint is kept.
    """
    with train_session(job, console) as opened:
        run = opened.parts.run
        try:
            if job.facts.warm_start and not checkpoints.steps_saved(run.path):
                warm_start(opened, job, console)
                save(opened.plan, opened.parts, opened.position)
            rows = _train(opened, job, console)
        except KeyboardInterrupt:
            console.print(f"interrupted. Type: empo2 train --resume {run.path}", soft_wrap=True)
            raise
        document = _document(opened, job, rows)
        run.finish("done", result=document)
        return document, closing_lines(rows, opened.plan.max_score, str(run.path))


def _train(opened: TrainSession, job: TrainJob, console: "Console") -> list[StepMetrics]:
    rows = [StepMetrics.from_json(line) for line in opened.parts.run.metrics()]
    monitor = Monitor(rows)
    settings = job.resolved.settings
    title = f"{job.name}, {settings.train.algorithm}, {opened.parts.policy.name}"
    if rows:
        console.print(f"going on after step {rows[-1].step}")
    with ExitStack() as stack:
        board = None
        if settings.train.tensorboard:
            folder = opened.parts.run.path / "tensorboard"
            board = stack.enter_context(TensorBoard(folder, step=len(rows)))
        view = stack.enter_context(
            TrainView(
                console, opened.plan.steps, opened.plan.max_score, title=title, done=tuple(rows)
            )
        )
        for event in train(opened.plan, opened.parts, opened.position, monitor):
            _show(event, view, monitor)
            if isinstance(event, StepOver):
                rows.append(event.metrics)
                if board is not None:
                    board.add(event.metrics)
    return rows


def _show(event: Event, view: TrainView, monitor: Monitor) -> None:
    if isinstance(event, Phase):
        view.phase(f"{event.name} {event.share:.0%}" if event.share else event.name)
    elif isinstance(event, Progress):
        view.phase(f"playing, {event.running} episodes running")
    else:
        view.step(event.metrics, event.alarms, monitor.active)
        back = event.metrics.rolled_back_to
        if back is not None:
            view.note(f"step {event.metrics.step}: gone back to the checkpoint of step {back}")


def _document(opened: TrainSession, job: TrainJob, rows: Sequence[StepMetrics]) -> dict[str, Any]:
    run = opened.parts.run.path
    kept = standing(rows)
    plain = [row for row in kept if row.mode == "plain"] or kept
    return {
        "run": str(run),
        "tasks": job.facts.tasks,
        "model": opened.parts.policy.name,
        "algorithm": job.resolved.settings.train.algorithm,
        "steps": len(rows),
        "episodes": sum(row.episodes for row in rows),
        "dropped": sum(sum(row.dropped.values()) for row in rows),
        "skipped_updates": sum(row.skipped for row in rows),
        "first10_score": fmean(row.score for row in plain[:10]) if plain else None,
        "last10_score": fmean(row.score for row in plain[-10:]) if plain else None,
        "rolled_back": opened.position.rolled_back,
        "best_checkpoint": opened.position.best_step,
        "checkpoints": [
            str(checkpoints.folder_of(run, step)) for step in checkpoints.steps_saved(run)
        ],
    }
