"""Carrying out `empo2 adapt` once its options are understood."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from empo2_agent.adapt import Plan, Trial, TrialOver, adapt, as_json, summary
from empo2_agent.cli.adapt_view import AdaptView, closing_lines, curve
from empo2_agent.cli.session import Opening, Session, session
from empo2_agent.config import Resolved, Settings
from empo2_agent.errors import UsageError
from empo2_agent.memory.location import NO_MEMORY
from empo2_agent.runs import RecordedEpisode, Run
from empo2_agent.tasks import FoundTask

if TYPE_CHECKING:
    from rich.console import Console


def carry_out(
    resolved: Resolved,
    found: FoundTask,
    variations: tuple[int, ...],
    by_split: str | None,
    run_dir: Path | None,
    resume: Run | None,
    console: "Console",
) -> tuple[dict[str, Any], list[str]]:
    """Adapt.

    Returns:
        The document of `--json`, and the lines for people.

    Raises:
        Empo2Error: Whatever keeps it from beginning or going on.
        KeyboardInterrupt: Stopped by the user; what was finished is kept.
    """
    settings = resolved.settings
    _refuse_without_effect(settings)
    opening = Opening(
        command="adapt",
        resolved=resolved,
        found=found,
        memory=settings.memory.location,
        fresh=settings.adapt.fresh,
        writes_tips=True,
        concurrency=settings.adapt.episodes_per_trial * (2 if settings.adapt.control else 1),
        run_dir=run_dir,
        by_split=by_split,
        resume=resume,
    )
    with session(opening, console) as opened:
        done = list(resume.episodes()) if resume else []
        before = opened.memory.count(found.task) if opened.memory else 0
        _announce(opened, found, before, done, console)
        try:
            overs = _play(opened, found, variations, done, console)
        except KeyboardInterrupt:
            _say_how_to_go_on(opened.run, console)
            raise
        document = _document(opened, found, overs, before)
        opened.run.finish("done", result=document)
        return document, _lines(opened, overs, before, found)


def _refuse_without_effect(settings: Settings) -> None:
    if settings.memory.location == NO_MEMORY and settings.adapt.control:
        raise UsageError("--control compares with memory, and --memory is none.")
    if settings.memory.location is not None and settings.adapt.fresh:
        raise UsageError("--fresh keeps its memory in the run folder: give no --memory.")


def _announce(
    opened: Session, found: FoundTask, before: int, done: list[RecordedEpisode], console: "Console"
) -> None:
    where = opened.memory.path if opened.memory else "none"
    console.print(f"{found.task.id} with {opened.policy.name}", soft_wrap=True)
    console.print(f"memory: {before} tips of this task in {where}", soft_wrap=True)
    if done:
        console.print(f"resuming after {len(done)} recorded episodes")


def _play(
    opened: Session,
    found: FoundTask,
    variations: tuple[int, ...],
    done: list[RecordedEpisode],
    console: "Console",
) -> list[TrialOver]:
    settings, max_score = opened.settings, opened.plugin.max_score
    plan = Plan(
        task=found.task,
        variations=variations,
        trials=settings.adapt.trials,
        episodes_per_trial=settings.adapt.episodes_per_trial,
        control=settings.adapt.control,
        seed=settings.seed,
        key=settings.memory.key,
    )
    overs: list[TrialOver] = []
    with AdaptView(console, plan.trials, max_score) as view:
        for event in adapt(plan, opened.stage, opened.memory, opened.run, max_score, done):
            if isinstance(event, TrialOver):
                overs.append(event)
                view.trial(event)
            else:
                view.progress(event)
    return overs


def _rows(overs: list[TrialOver]) -> tuple[list[Trial], list[Trial]]:
    return [over.trial for over in overs], [over.control for over in overs if over.control]


def _document(
    opened: Session, found: FoundTask, overs: list[TrialOver], before: int
) -> dict[str, Any]:
    trials, controls = _rows(overs)
    baseline, last3, gain = summary(trials, controls)
    after = opened.memory.count(found.task) if opened.memory else 0
    return {
        "run": str(opened.run.path),
        "task": found.task.id,
        "model": opened.policy.name,
        "engine": "transformers",
        "trials": [as_json(row) for row in trials],
        "control": [as_json(row) for row in controls] if opened.settings.adapt.control else None,
        "baseline_score": baseline,
        "last3_score": last3,
        "gain_over_control": None if gain is None else {"mean": gain.mean, "ci95": gain.ci95},
        "memory": {
            "path": opened.memory.path if opened.memory else NO_MEMORY,
            "tips_before": before,
            "tips_after": after,
        },
    }


def _lines(opened: Session, overs: list[TrialOver], before: int, found: FoundTask) -> list[str]:
    trials, controls = _rows(overs)
    tips = (before, opened.memory.count(found.task)) if opened.memory else None
    return [
        *curve(trials, controls, opened.plugin.max_score).splitlines(),
        *closing_lines(str(opened.run.path), *summary(trials, controls), tips),
    ]


def _say_how_to_go_on(run: Run, console: "Console") -> None:
    console.print(
        f"interrupted; what was finished is kept. Type: empo2 adapt --resume {run.path}",
        soft_wrap=True,
    )
