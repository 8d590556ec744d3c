"""`empo2 eval`: unseen variations, no memory, mean score and success with intervals."""

from typing import Annotated

import typer

from empo2_agent.cli import common, options
from empo2_agent.cli.job import (
    READER_DEFAULTS,
    WRITERS_ONLY,
    Job,
    names_variation,
    new_job,
    reopened_job,
)
from empo2_agent.config import TRAIN_ONLY
from empo2_agent.errors import UsageError
from empo2_agent.paper import published

app = common.new_app("Play unseen variations; mean score and success with intervals.")

EPILOG = common.examples(
    "empo2 eval --task find-non-living-thing --variations 20",
    "empo2 eval --task red-lamp --split dev --repeats 4 --json",
    "empo2 eval --task find-animal --memory ./tips",
    "empo2 eval --task find-animal --preset paper-scienceworld --compare-paper",
)


@app.command(epilog=EPILOG)
def evaluate(
    task: options.TaskOption = None,
    split: options.SplitOption = None,
    variations: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many variations. [all]")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Episodes of each variation. [1]")
    ] = None,
    memory: options.MemoryOption = None,
    model: options.ModelOption = None,
    resume: options.ResumeOption = None,
    seed: common.SeedOption = None,
    max_steps: common.MaxStepsOption = None,
    compare_paper: Annotated[
        bool,
        typer.Option(
            "--compare-paper", help="Set the result beside the scores the EMPO² paper published."
        ),
    ] = False,
    run_dir: common.RunDirOption = None,
    preset: common.PresetOption = None,
    config: common.ConfigFiles = None,
    pairs: common.SetPairs = None,
    as_json: common.JsonFlag = False,
    quiet: common.QuietFlag = False,
    debug: common.DebugFlag = False,
) -> None:
    """Play every variation of a split (default: test) with frozen weights.

    Tips are read only where --memory names a place, and none are written.
    """
    given = {
        "seed": seed,
        "evaluate.variations": variations,
        "evaluate.repeats": repeats,
        "memory.location": memory,
        "model.name": model,
        "episode.max_steps": max_steps,
    }
    if resume is None:
        unused = ("adapt", *TRAIN_ONLY, *WRITERS_ONLY)
        resolved = common.load_settings(
            config, pairs, preset=preset, unused=unused, defaults=READER_DEFAULTS, flags=given
        )
        unseen = None if names_variation(task) else "test"
        job = new_job("eval", resolved, task, split=split or unseen, run_dir=run_dir)
        _refuse_without_effect(job)
    else:
        asked = [task, split, run_dir, preset, *(config or ()), *(pairs or ()), *given.values()]
        job = reopened_job(resume, "eval", asked)
    found = job.found.task
    beside = published(found.environment, found.name) if compare_paper else None
    from empo2_agent.cli.evaluate_run import carry_out  # what only a real run needs

    document, lines = carry_out(job, common.human(quiet=quiet), beside)
    common.emit_result(document, lines, as_json=as_json)


def _refuse_without_effect(job: Job) -> None:
    origin = job.resolved.origins["evaluate.variations"]
    if not job.whole_split and origin in ("flag", "--set"):
        raise UsageError(
            f"evaluate.variations ({origin}) has no effect: --task names a single variation."
        )
