"""`empo2 play`: step through one episode, live or recorded."""

import sys
from typing import Annotated

import typer

from empo2_agent.cli import common, options
from empo2_agent.cli.job import READER_DEFAULTS, WRITERS_ONLY, new_job
from empo2_agent.config import TRAIN_ONLY
from empo2_agent.errors import UsageError

app = common.new_app("Step through an episode and see what the model sees.")

EPILOG = common.examples(
    "empo2 play --task find-non-living-thing",
    "empo2 play --task red-lamp --memory ./tips --run",
    "empo2 play --replay runs/20261122-101500-adapt-toy-red-lamp --episode 3",
)


@app.command(epilog=EPILOG)
def play(
    task: options.TaskOption = None,
    replay: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Walk through this run, a folder or a name in runs; no model is loaded.",
        ),
    ] = None,
    episode: Annotated[
        int | None, typer.Option(min=0, help="With --replay: only this episode.")
    ] = None,
    to_the_end: Annotated[
        bool, typer.Option("--run", help="Do not ask at each step. [where stdin is no terminal]")
    ] = False,
    memory: options.MemoryOption = None,
    model: options.ModelOption = None,
    variation: options.VariationOption = None,
    split: options.SplitOption = None,
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
    """Play one episode: see each observation, the tips shown with it and the model's action.

    At each step, Enter takes the model's action, words are taken as the action instead, `:run`
    lets the model go on alone and `:quit` stops. Tips are read only with --memory.
    """
    asking = not to_the_end and not as_json and sys.stdin.isatty()
    given = {
        "seed": seed,
        "memory.location": memory,
        "model.name": model,
        "episode.max_steps": max_steps,
    }
    if replay is not None:
        asked = [task, variation, split, run_dir, preset, *(config or ()), *(pairs or ())]
        asked += given.values()
        if any(value is not None for value in asked):
            raise UsageError(
                "--replay shows what was recorded: give nothing but --episode with it."
            )
        _replay(replay, episode, asking=asking, as_json=as_json)
        return
    if episode is not None:
        raise UsageError("--episode goes with --replay.")
    unused = ("adapt", "evaluate", *TRAIN_ONLY, *WRITERS_ONLY)
    resolved = common.load_settings(
        config, pairs, preset=preset, unused=unused, defaults=READER_DEFAULTS, flags=given
    )
    job = new_job("play", resolved, task, variation=variation, split=split, run_dir=run_dir)
    from empo2_agent.cli.play_run import carry_out  # what only a real run needs

    document = carry_out(job, common.human(quiet=quiet), asking=asking, shown=not as_json)
    if as_json:
        common.emit_json(document)


def _replay(name: str, episode: int | None, *, asking: bool, as_json: bool) -> None:
    from empo2_agent.cli.replay import replayed

    path, documents, pages = replayed(name, episode)
    if as_json:
        common.emit_json({"run": str(path), "episodes": documents})
        return
    for number, page in enumerate(pages):
        common.emit_text(page)
        if asking and number + 1 < len(pages) and not _goes_on():
            return


def _goes_on() -> bool:
    try:
        return input("Enter: next step, q: quit ") != "q"
    except EOFError:  # Ctrl-D
        common.emit_text([""])
        return False
