"""Carrying out `empo2 eval` once its options are understood."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from empo2_agent.cli.session import Opening, Session, session
from empo2_agent.config import Resolved
from empo2_agent.evaluate import Plan, Scores, evaluate, scores
from empo2_agent.memory.location import NO_MEMORY
from empo2_agent.rollout import Progress
from empo2_agent.runs import Run
from empo2_agent.tasks import FoundTask
from empo2_agent.types import Episode

if TYPE_CHECKING:
    from rich.console import Console


def carry_out(
    resolved: Resolved,
    found: FoundTask,
    variations: tuple[int, ...],
    run_dir: Path | None,
    resume: Run | None,
    console: "Console",
) -> tuple[dict[str, Any], list[str]]:
    """Evaluate.

    Returns:
        The document of `--json`, and the lines for people.

    Raises:
        Empo2Error: Whatever keeps it from beginning or going on.
        KeyboardInterrupt: Stopped by the user; what was finished is kept.
    """
    settings = resolved.settings
    opening = Opening(
        command="eval",
        resolved=resolved,
        found=found,
        memory=settings.memory.location or NO_MEMORY,
        fresh=False,
        writes_tips=False,
        concurrency=settings.evaluate.concurrency,
        run_dir=run_dir,
        by_split=found.task.split if len(variations) > 1 else None,
        resume=resume,
    )
    chosen = variations[: settings.evaluate.variations]
    with session(opening, console) as opened:
        plan = Plan(
            tasks=tuple(replace(found.task, variation=number) for number in chosen),
            repeats=settings.evaluate.repeats,
            memory=opened.memory is not None,
            seed=settings.seed,
        )
        try:
            episodes = _play(opened, plan, resume, console)
        except KeyboardInterrupt:
            path = opened.run.path
            console.print(f"interrupted. Type: empo2 eval --resume {path}", soft_wrap=True)
            raise
        found_scores = scores(episodes, settings.seed)
        document = _document(opened, found, found_scores)
        opened.run.finish("done", result=document)
        return document, _lines(opened, found, len(chosen), found_scores)


def _play(opened: Session, plan: Plan, resume: Run | None, console: "Console") -> list[Episode]:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    total = len(plan.tasks) * plan.repeats
    done = list(resume.episodes()) if resume else []
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


def _document(opened: Session, found: FoundTask, result: Scores) -> dict[str, Any]:
    return {
        "run": str(opened.run.path),
        "task": f"{found.task.environment}/{found.task.name}",
        "model": opened.policy.name,
        "engine": "transformers",
        "split": found.task.split,
        "episodes": result.episodes,
        "score": {"mean": result.score.mean, "ci95": result.score.ci95},
        "success": {"mean": result.success.mean, "ci95": result.success.ci95},
        "statuses": result.statuses,
    }


def _lines(opened: Session, found: FoundTask, variations: int, result: Scores) -> list[str]:
    statuses = ", ".join(f"{name} {count}" for name, count in sorted(result.statuses.items()))
    task = f"{found.task.environment}/{found.task.name}"
    return [
        f"{task}, split {found.task.split}: {result.episodes} episodes of {variations} variations",
        f"score    {result.score} of {opened.plugin.max_score:g}",
        f"clipped  {result.score_clipped} (negative scores counted as 0)",
        f"success  {result.success}",
        f"ended as {statuses}",
        f"recorded in {opened.run.path}",
    ]
