"""`empo2 play`: step through one episode, live or recorded."""

import sys
from pathlib import Path
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
    SplitOption,
    TaskOption,
    VariationOption,
    tasks_of,
)
from empo2_agent.errors import UsageError

app = new_app("Step through an episode and see what the model sees.")

EPILOG = examples(
    "empo2 play --task find-non-living-thing",
    "empo2 play --task red-lamp --memory ./tips --run",
    "empo2 play --replay runs/20261122-101500-adapt-toy-red-lamp --episode 3",
)


@app.command(epilog=EPILOG)
def play(
    task: TaskOption = None,
    replay: Annotated[
        Path | None, typer.Option(help="Walk through a recorded run; no model is loaded.")
    ] = None,
    episode: Annotated[
        int | None, typer.Option(min=0, help="With --replay: only this episode.")
    ] = None,
    to_the_end: Annotated[
        bool, typer.Option("--run", help="Do not ask at each step. [where stdin is no terminal]")
    ] = False,
    memory: MemoryOption = None,
    model: ModelOption = None,
    variation: VariationOption = None,
    split: SplitOption = None,
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
    """Play one episode: see each observation, the tips shown with it and the model's action.

    At each step, Enter takes the model's action, words are taken as the action instead, `:run`
    lets the model go on alone and `:quit` stops. Tips are read only with --memory.
    """
    asking = not to_the_end and not as_json and sys.stdin.isatty()
    if replay is not None:
        from empo2_agent.cli.replay import replayed

        if any(v is not None for v in (task, variation, split, memory, model, seed, max_steps)):
            raise UsageError(
                "--replay shows what was recorded: give nothing but --episode with it."
            )
        documents, pages = replayed(replay, episode)
        if as_json:
            emit_json({"run": str(replay), "episodes": documents})
            return
        for number, page in enumerate(pages):
            emit_text(page)
            if asking and number + 1 < len(pages) and input("Enter: next step, q: quit ") == "q":
                return
        return
    if episode is not None:
        raise UsageError("--episode goes with --replay.")
    resolved = load_settings(
        config,
        pairs,
        preset=preset,
        unused=("adapt", "evaluate"),
        seed=seed,
        memory__location=memory,
        model__name=model,
        episode__max_steps=max_steps,
    )
    found, _ = tasks_of(task, variation, split)
    from empo2_agent.cli.play_run import carry_out  # what only a real run needs

    document = carry_out(resolved, found, run_dir, human(quiet=quiet), asking, not as_json)
    if as_json:
        emit_json(document)
