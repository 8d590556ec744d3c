"""`empo2 adapt`: get better at a task by playing it and keeping tips."""

from typing import Annotated

import typer

from empo2_agent.cli.common import (
    ConfigFiles,
    DebugFlag,
    JsonFlag,
    MaxStepsOption,
    PresetOption,
    QuietFlag,
    RunDirOption,
    SeedOption,
    SetPairs,
    emit_json,
    emit_text,
    examples,
    human,
    load_settings,
    new_app,
)
from empo2_agent.cli.options import (
    MemoryOption,
    ModelOption,
    ResumeOption,
    SplitOption,
    TaskOption,
    VariationOption,
    reopen,
    tasks_of,
)

app = new_app("Get better at a task by playing it and keeping tips.")

EPILOG = examples(
    "empo2 adapt --task find-non-living-thing --trials 5",
    "empo2 adapt --task red-lamp --trials 10 --control --fresh",
    "empo2 adapt --task scienceworld/find-animal/7 --memory ./tips --json > result.json",
    "empo2 adapt --resume runs/20261122-101500-adapt-toy-red-lamp",
)


@app.command(epilog=EPILOG)
def adapt(
    task: TaskOption = None,
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
    memory: MemoryOption = None,
    model: ModelOption = None,
    variation: VariationOption = None,
    split: SplitOption = None,
    resume: ResumeOption = None,
    seed: SeedOption = None,
    max_steps: MaxStepsOption = None,
    run_dir: RunDirOption = None,
    preset: PresetOption = None,
    config: ConfigFiles = None,
    pairs: SetPairs = None,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Play trial 0 without memory, then trials with the tips written so far.

    Without --variation and --split every trial plays the first test variation; with --split the
    episodes go through its variations in turn.
    """
    given = {
        "seed": seed,
        "adapt__trials": trials,
        "adapt__control": control,
        "adapt__episodes_per_trial": episodes_per_trial,
        "adapt__fresh": fresh,
        "memory__location": memory,
        "model__name": model,
        "episode__max_steps": max_steps,
    }
    if resume is None:
        resolved = load_settings(config, pairs, preset=preset, unused=("evaluate",), **given)
        old = None
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
        resolved, old, task, split = reopen(resume, "adapt", asked)
    found, variations = tasks_of(task, variation, split)
    from empo2_agent.cli.adapt_run import carry_out  # what only a real run needs

    by_split = split if len(variations) > 1 else None
    console = human(quiet=quiet)
    document, lines = carry_out(resolved, found, variations, by_split, run_dir, old, console)
    if as_json:
        emit_json(document)
    elif not quiet:
        emit_text(lines)
