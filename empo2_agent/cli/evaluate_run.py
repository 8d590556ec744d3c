"""Carrying out `empo2 eval` once its options are understood."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from empo2_agent.cli.evaluate_paper import as_document, as_lines, compare
from empo2_agent.cli.job import Job
from empo2_agent.cli.session import Session, session
from empo2_agent.evaluate import Plan, Scores, evaluate, scores
from empo2_agent.paper import Published
from empo2_agent.rollout import Progress
from empo2_agent.runs import RecordedEpisode
from empo2_agent.types import Episode, Task

if TYPE_CHECKING:
    from rich.console import Console


def carry_out(
    job: Job, console: "Console", published: Published | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Evaluate.

    Args:
        job: What is to be played.
        console: Where progress is shown.
        published: Scores to set the result beside.

    Returns:
        The document of `--json`, and the lines for people.

    Raises:
        Empo2Error: Whatever keeps it from beginning or going on.
        KeyboardInterrupt: Stopped by the user; what was finished is kept.
    """
    settings = job.resolved.settings
    chosen = job.variations[: settings.evaluate.variations]
    tasks = tuple(replace(job.found.task, variation=number) for number in chosen)
    with session(job, console, concurrency=settings.evaluate.concurrency) as opened:
        plan = Plan(
            tasks=tasks,
            repeats=settings.evaluate.repeats,
            memory=opened.memory is not None,
            seed=settings.seed,
        )
        try:
            episodes = _play(opened, plan, job.done, console)
        except KeyboardInterrupt:
            path = opened.run.path
            console.print(f"interrupted. Type: empo2 eval --resume {path}", soft_wrap=True)
            raise
        result = scores(episodes, settings.seed)
        document = _document(opened, tasks, result)
        opened.run.finish("done", result=document)
        lines = _lines(opened, tasks, result)
        if published is None:
            return document, lines
        beside = compare(
            job,
            published,
            rules=opened.stage.rules,
            model=opened.policy.name,
            memory=None if opened.memory is None else opened.memory.path,
        )
        lines += as_lines(beside, result, opened.plugin.max_score)
        return {**document, "paper": as_document(beside)}, lines


def _play(
    opened: Session, plan: Plan, done: list[RecordedEpisode], console: "Console"
) -> list[Episode]:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    total = len(plan.tasks) * plan.repeats
    episodes: list[Episode] = []
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Bars(*columns, console=console, transient=True) as bars:
        bar = bars.add_task("episodes", total=total)
        for event in evaluate(plan, opened.stage, opened.run, done):
            if isinstance(event, Progress):
                continue
            episodes.append(event)
            mean = sum(episode.score for episode in episodes) / len(episodes)
            bars.update(bar, advance=1, description=f"episodes, mean score {mean:.3g}")
    return episodes


def _name(tasks: Sequence[Task]) -> str:
    """With the variation where it is the only one."""
    return tasks[0].id if len(tasks) == 1 else f"{tasks[0].environment}/{tasks[0].name}"


def _document(opened: Session, tasks: Sequence[Task], result: Scores) -> dict[str, Any]:
    return {
        "run": str(opened.run.path),
        "task": _name(tasks),
        "model": opened.policy.name,
        "engine": "transformers",
        "split": tasks[0].split,
        "episodes": result.episodes,
        "score": {"mean": result.score.mean, "ci95": result.score.ci95},
        "success": {"mean": result.success.mean, "ci95": result.success.ci95},
        "statuses": result.statuses,
    }


def _lines(opened: Session, tasks: Sequence[Task], result: Scores) -> list[str]:
    statuses = ", ".join(f"{name} {count}" for name, count in sorted(result.statuses.items()))
    what = f"{_name(tasks)}, split {tasks[0].split}"
    return [
        f"{what}: {result.episodes} episodes of {len(tasks)} variations",
        f"score    {result.score} of {opened.plugin.max_score:g}",
        f"clipped  {result.score_clipped} (negative scores counted as 0)",
        f"success  {result.success}",
        f"ended as {statuses}",
        f"recorded in {opened.run.path}",
    ]
