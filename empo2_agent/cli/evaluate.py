"""`empo2 eval`: unseen variations, no memory, mean score and success with intervals."""

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
    reopen,
    tasks_of,
)

app = new_app("Play unseen variations; mean score and success with intervals.")

EPILOG = examples(
    "empo2 eval --task find-non-living-thing --variations 20",
    "empo2 eval --task red-lamp --split dev --repeats 4 --json",
    "empo2 eval --task find-animal --memory ./tips",
)


@app.command(epilog=EPILOG)
def evaluate(
    task: TaskOption = None,
    split: SplitOption = None,
    variations: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many variations. [all]")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Episodes of each variation. [1]")
    ] = None,
    memory: MemoryOption = None,
    model: ModelOption = None,
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
    """Play every variation of a split (default: test) with frozen weights.

    Tips are read only where --memory names a place, and none are written.
    """
    given = {
        "seed": seed,
        "evaluate__variations": variations,
        "evaluate__repeats": repeats,
        "memory__location": memory,
        "model__name": model,
        "episode__max_steps": max_steps,
    }
    if resume is None:
        resolved = load_settings(config, pairs, preset=preset, unused=("adapt",), **given)
        old = None
    else:
        asked = [task, split, run_dir, preset, *(config or ()), *(pairs or ()), *given.values()]
        resolved, old, task, split = reopen(resume, "eval", asked)
    found, members = tasks_of(
        task, None, split or ("test" if (task or "").count("/") < 2 else None)
    )
    from empo2_agent.cli.evaluate_run import carry_out  # what only a real run needs

    console = human(quiet=quiet)
    document, lines = carry_out(resolved, found, members, run_dir, old, console)
    if as_json:
        emit_json(document)
    elif not quiet:
        emit_text(lines)
