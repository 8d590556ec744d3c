"""`empo2 train`: the EMPO² pipeline, or one of the algorithms it is compared with."""

from typing import Annotated

import typer

from empo2_agent.cli import common, options
from empo2_agent.cli.train_job import new_train_job, reopened_train_job
from empo2_agent.errors import UsageError

app = common.new_app("Train a model to explore with tips and to do without them (EMPO²).")

EPILOG = common.examples(
    "empo2 train --task find-non-living-thing --preset cpu",
    "empo2 train --task red-lamp --algorithm grpo --steps 50 --seed 3",
    "empo2 train --task find-plant --task find-animal --warm-start gold --preset cpu",
    "empo2 train --task power-component --preset paper-scienceworld --dry-run",
    "empo2 train --resume runs/20261122-101500-train-toy-red-lamp",
)
_UNUSED = ("adapt", "evaluate", "sampling.temperature", "memory.location")


@app.command(epilog=EPILOG)
def train(
    task: Annotated[
        list[str] | None,
        typer.Option("--task", "-t", help="ENVIRONMENT/NAME or NAME; repeatable."),
    ] = None,
    algorithm: Annotated[
        str | None, typer.Option(help="empo2, grpo, gigpo or reflexion. [empo2]")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=0, help="Training steps; 0: only warm start. [100]")
    ] = None,
    warm_start: Annotated[
        str | None,
        typer.Option(
            metavar="gold|RUN",
            help="First imitate the environment's solutions, or a run's successful episodes.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would do and need.")
    ] = False,
    model: options.ModelOption = None,
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
    """Train on the first variations of a task's train split (see train.variations).

    Episodes, metrics and checkpoints go into the run folder; a run that was stopped or killed goes
    on from its last checkpoint with --resume. What comes out is given to --model.
    """
    given = {
        "seed": seed,
        "train.algorithm": algorithm,
        "train.steps": steps,
        "model.name": model,
        "episode.max_steps": max_steps,
    }
    if resume is None:
        resolved = common.load_settings(
            config, pairs, preset=preset, unused=_UNUSED, flags=given, trains=True
        )
        job = new_train_job(
            resolved, task or (), split=split, run_dir=run_dir, warm_start=warm_start
        )
    else:
        asked = [task, split, run_dir, preset, *(config or ()), *(pairs or ()), *given.values()]
        if dry_run or any(value is not None for value in (*asked, warm_start)):
            raise UsageError("--resume goes on with the settings of the run: give nothing else.")
        job = reopened_train_job(resume)
    console = common.human(quiet=quiet)
    if dry_run:
        from empo2_agent.cli.train_estimate import estimate  # loads the tokenizer

        document, lines = estimate(job, console)
    else:
        from empo2_agent.cli.train_run import carry_out  # torch takes seconds to import

        document, lines = carry_out(job, console)
    common.emit_result(document, lines, as_json=as_json)
