"""`empo2 adapt`: get better at a task by playing it and keeping tips."""

from typing import Annotated

import typer

from empo2_agent.cli import common, options
from empo2_agent.cli.job import new_job, reopened_job
from empo2_agent.config import TRAIN_ONLY

app = common.new_app("Get better at a task by playing it and keeping tips.")

EPILOG = common.examples(
    "empo2 adapt --task find-non-living-thing --trials 5",
    "empo2 adapt --task red-lamp --trials 10 --control --fresh",
    "empo2 adapt --task scienceworld/find-animal/7 --memory ./tips --json > result.json",
    "empo2 adapt --resume runs/20261122-101500-adapt-toy-red-lamp",
)


@app.command(epilog=EPILOG)
def adapt(
    task: options.TaskOption = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Trials with memory, after trial 0 without. [10]")
    ] = None,
    control: Annotated[
        bool | None, typer.Option("--control", help="Play a paired arm without memory.")
    ] = None,
    episodes_per_trial: Annotated[
        int | None, typer.Option(min=1, help="Episodes in each trial. [1]")
    ] = None,
    fresh: Annotated[
        bool | None,
        typer.Option("--fresh", help="Begin with an empty memory, kept in the run folder."),
    ] = None,
    memory: options.MemoryOption = None,
    model: options.ModelOption = None,
    variation: options.VariationOption = None,
    split: options.SplitOption = None,
    resume: options.ResumeOption = None,
    seed: common.SeedOption = None,
    max_steps: common.MaxStepsOption = None,
    run_dir: common.RunDirOption = None,
    preset: common.PresetOption = None,
    config: common.ConfigFiles = None,
    pairs: common.SetPairs = None,
    as_json: common.JsonFlag = False,
    quiet: common.QuietFlag = False,
    debug: common.DebugFlag = False,
) -> None:
    """Play trial 0 without memory, then trials with the tips written so far.

    Without --variation and --split every trial plays the first test variation; with --split the
    episodes go through its variations in turn.
    """
    given = {
        "seed": seed,
        "adapt.trials": trials,
        "adapt.control": control,
        "adapt.episodes_per_trial": episodes_per_trial,
        "adapt.fresh": fresh,
        "memory.location": memory,
        "model.name": model,
        "episode.max_steps": max_steps,
    }
    if resume is None:
        resolved = common.load_settings(
            config, pairs, preset=preset, unused=("evaluate", *TRAIN_ONLY), flags=given
        )
        job = new_job("adapt", resolved, task, variation=variation, split=split, run_dir=run_dir)
    else:
        asked = [
            task,
            variation,
            split,
            run_dir,
            preset,
            *(config or ()),
            *(pairs or ()),
            *given.values(),
        ]
        job = reopened_job(resume, "adapt", asked)
    from empo2_agent.cli.adapt_run import carry_out  # what only a real run needs

    document, lines = carry_out(job, common.human(quiet=quiet))
    common.emit_result(document, lines, as_json=as_json)
