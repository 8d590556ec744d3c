"""Carrying out `empo2 adapt` once its options are understood."""

from typing import TYPE_CHECKING, Any

from empo2_agent.adapt import Plan, Trial, TrialOver, adapt, as_json, summary
from empo2_agent.cli.adapt_view import AdaptView, closing_lines, curve
from empo2_agent.cli.job import Job
from empo2_agent.cli.session import Session, session
from empo2_agent.config import Settings
from empo2_agent.errors import UsageError
from empo2_agent.memory.location import NO_MEMORY
from empo2_agent.runs import Run

if TYPE_CHECKING:
    from rich.console import Console


def carry_out(job: Job, console: "Console") -> tuple[dict[str, Any], list[str]]:
    """Adapt.

    Returns:
        The document of `--json`, and the lines for people.

    Raises:
        Empo2Error: Whatever keeps it from beginning or going on.
        KeyboardInterrupt: Stopped by the user; what was finished is kept.
    """
    settings = job.resolved.settings
    _refuse_without_effect(settings)
    arms = 2 if settings.adapt.control else 1
    with session(job, console, concurrency=settings.adapt.episodes_per_trial * arms) as opened:
        console.print(f"{job.found.task.id} with {opened.policy.name}", soft_wrap=True)
        try:
            overs = _play(opened, job, console)
        except KeyboardInterrupt:
            _say_how_to_go_on(opened.run, console)
            raise
        tips = opened.memory.count(job.found.task) if opened.memory else 0
        document = _document(opened, job, overs, tips)
        opened.run.finish("done", result=document)
        return document, _lines(opened, overs, tips)


def _refuse_without_effect(settings: Settings) -> None:
    if settings.memory.location == NO_MEMORY and settings.adapt.control:
        raise UsageError("--control compares with memory, and --memory is none.")
    if settings.memory.location is not None and settings.adapt.fresh:
        raise UsageError("--fresh keeps its memory in the run folder: give no --memory.")


def _play(opened: Session, job: Job, console: "Console") -> list[TrialOver]:
    done = job.done
    if done:
        console.print(f"resuming after {len(done)} recorded episodes")
    settings, max_score = opened.settings, opened.plugin.max_score
    plan = Plan(
        task=job.found.task,
        variations=job.variations,
        trials=settings.adapt.trials,
        episodes_per_trial=settings.adapt.episodes_per_trial,
        control=settings.adapt.control,
        seed=settings.seed,
        key=settings.memory.key,
    )
    overs: list[TrialOver] = []
    with AdaptView(console, plan.trials, max_score, control=plan.control) as view:
        for event in adapt(plan, opened.stage, opened.memory, opened.run, max_score, done):
            if isinstance(event, TrialOver):
                overs.append(event)
                view.trial(event)
            else:
                view.progress(event)
    return overs


def _rows(overs: list[TrialOver]) -> tuple[list[Trial], list[Trial]]:
    return [over.trial for over in overs], [over.control for over in overs if over.control]


def _document(opened: Session, job: Job, overs: list[TrialOver], tips: int) -> dict[str, Any]:
    trials, controls = _rows(overs)
    baseline, last3, gain = summary(trials, controls)
    return {
        "run": str(opened.run.path),
        "task": job.found.task.id,
        "model": opened.policy.name,
        "engine": "transformers",
        "trials": [as_json(row) for row in trials],
        "control": [as_json(row) for row in controls] if opened.settings.adapt.control else None,
        "baseline_score": baseline,
        "last3_score": last3,
        "gain_over_control": None if gain is None else {"mean": gain.mean, "ci95": gain.ci95},
        "memory": {
            "path": opened.memory.path if opened.memory else NO_MEMORY,
            "tips_before": opened.tips_before,
            "tips_after": tips,
        },
    }


def _lines(opened: Session, overs: list[TrialOver], tips: int) -> list[str]:
    trials, controls = _rows(overs)
    return [
        *curve(trials, controls, opened.plugin.max_score).splitlines(),
        *closing_lines(
            str(opened.run.path),
            *summary(trials, controls),
            trials=len(trials) - 1,
            tips=(opened.tips_before, tips) if opened.memory else None,
        ),
    ]


def _say_how_to_go_on(run: Run, console: "Console") -> None:
    console.print(
        f"interrupted; what was finished is kept. Type: empo2 adapt --resume {run.path}",
        soft_wrap=True,
    )
