"""`empo2 tips`: list, search, show, add, remove, export and import what the memory holds.

No command here loads a language model; `search` and `add` load the small embedding model.
"""

import math
from dataclasses import asdict
from typing import Annotated

import typer

from empo2_agent.cli.common import (
    ConfigFiles,
    DebugFlag,
    JsonFlag,
    QuietFlag,
    SetPairs,
    emit_json,
    emit_text,
    examples,
    human,
    new_app,
    table,
)
from empo2_agent.cli.options import MemoryOption
from empo2_agent.cli.tips_memory import (
    by_hand,
    explained,
    filter_of,
    memory_settings,
    read_text,
    reading,
    recalled,
    task_of,
    tip_rows,
    write_tips,
    writing,
)
from empo2_agent.errors import UsageError
from empo2_agent.tasks import resolve_task
from empo2_agent.text import one_line

app = new_app("Look into and edit the memory of tips.")

FilterOption = Annotated[
    str | None,
    typer.Option("--task", "-t", help="Only tips of NAME, ENVIRONMENT/NAME or .../VARIATION."),
]
TaskOption = Annotated[
    str, typer.Option("--task", "-t", help="NAME, ENVIRONMENT/NAME or ENVIRONMENT/NAME/VARIATION.")
]


@app.command(
    "list", epilog=examples("empo2 tips list", "empo2 tips list --task find-animal --json")
)
def list_command(
    task: FilterOption = None,
    memory: MemoryOption = None,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """List the tips there are, oldest first."""
    scope, wanted = filter_of(task)
    with reading(memory, scope=scope) as (path, opened):
        tips = opened.tips(wanted) if opened else []
    if json:
        emit_json({"memory": path, "tips": [asdict(tip) for tip in tips]})
    elif tips:
        emit_text(table(("id", "task", "score", "created", "tip"), tip_rows(tips)))
    else:
        emit_text([f"There are no tips{f' of {task}' if task else ''} in {path}."])


@app.command(
    epilog=examples(
        'empo2 tips search "a kitchen with a stove" --task find-animal --explain',
        "empo2 tips search - --task scienceworld/find-animal/7 < observation.txt",
        'empo2 tips search "a kitchen" --task find-animal --set memory.threshold=0.3',
    )
)
def search(
    state: Annotated[
        str, typer.Argument(help="The situation, as the world words it; - for stdin.")
    ],
    task: TaskOption,
    memory: MemoryOption = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show every tip of the scope and why it was dropped.")
    ] = False,
    budget: Annotated[
        int | None,
        typer.Option(
            "--budget",
            min=1,
            help="With --explain: the token budget of a turn. Tokens are estimated at four "
            "characters each; the model that plays counts its own. [memory.tokens_per_turn]",
        ),
    ] = None,
    config: ConfigFiles = None,
    settings: SetPairs = None,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Find the tips that would be shown in a situation, best first."""
    if budget is not None and not explain:
        raise UsageError("--budget has an effect only with --explain.")
    reads = {"scope", "threshold", "max_tips", "near_duplicate"}
    reads |= {"tokens_per_turn"} if explain else set()
    options = memory_settings(config, settings, memory, reads=reads, budget=budget)
    place, key = task_of(task), read_text(state) if state == "-" else state
    with reading(
        options.location,
        scope=options.scope,
        threshold=options.threshold,
        max_tips=options.max_tips,
        near_duplicate=options.near_duplicate,
    ) as (path, opened):
        if explain:
            verdicts = opened.explain(key, place) if opened else []
            document, headers, rows = explained(verdicts, options.tokens_per_turn)
        else:
            found = opened.search([key], place)[0] if opened else []
            document, headers, rows = recalled(found)
    if json:
        name = "candidates" if explain else "tips"
        emit_json({"memory": path, "task": place.id, "key": key, name: document})
    elif rows:
        emit_text(table(headers, rows))
    elif explain:
        emit_text([f"There are no tips for {task} in {path}."])
    else:
        emit_text([f"No tip in {path} fits. To see why: empo2 tips search ... --explain"])


@app.command(epilog=examples("empo2 tips show 20260102-030405-adapt-find-animal/3/0"))
def show(
    id: Annotated[str, typer.Argument(help="The id, or how it begins.")],
    memory: MemoryOption = None,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Show one tip with all that is known about it."""
    with reading(memory) as (path, opened):
        if opened is None:
            raise UsageError(f"no tip has the id {id!r}: there are no tips in {path}.")
        tip = opened.get(id)
    if json:
        emit_json({"memory": path, "tip": asdict(tip)})
    else:
        emit_text([f"{name}: {value}" for name, value in asdict(tip).items()])


@app.command(
    epilog=examples(
        'empo2 tips add "The lamp is behind the red door." --task toy/red-lamp',
        'empo2 tips add "Open the cupboard first." --task find-animal '
        '--key "You are in the kitchen. You see a cupboard."',
    )
)
def add(
    text: Annotated[str, typer.Argument(help="The tip, in one sentence.")],
    task: TaskOption,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            help="The situation it is for, as the world words it; without it, the tip's own text. "
            "It is found in situations similar to this.",
        ),
    ] = None,
    action: Annotated[str, typer.Option("--action", help="What to do there.")] = "",
    score: Annotated[
        float | None,
        typer.Option("--score", help="Tips with higher scores come first (default: the highest)."),
    ] = None,
    memory: MemoryOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Write a tip by hand."""
    found = resolve_task(task)
    given = found.plugin.max_score if score is None else score
    if not math.isfinite(given):
        raise UsageError(f"--score {given} is no number that tips can be ordered by.")
    if not one_line(text):
        raise UsageError("the tip has no text.")
    tip = by_hand(found, text, key=key or text, action=action, score=given)
    with writing(memory) as opened:
        added = opened.add([tip])
    if json:
        emit_json({"memory": opened.path, "added": added, "id": tip.id if added else None})
    else:
        emit_text([tip.id if added else "The memory has exactly this tip already."])
    if key is None:
        human(quiet=quiet).print(
            "Filed under its own text. Give --key to say in which situation it is to be found.",
            soft_wrap=True,
        )


@app.command(epilog=examples("empo2 tips remove 20260102-030405-adapt-find-animal/3/0"))
def remove(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids, or how they begin.")],
    memory: MemoryOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Remove tips. Nothing is removed unless every id names exactly one."""
    with writing(memory, create=False) as opened:
        whole = list(dict.fromkeys(opened.get(id_).id for id_ in ids))
        removed = opened.remove(whole)
    if json:
        emit_json({"memory": opened.path, "removed": removed, "ids": whole})
    else:
        human(quiet=quiet).print(f"removed {removed}: {', '.join(whole)}", soft_wrap=True)


@app.command(
    epilog=examples(
        "empo2 tips export tips.jsonl", "empo2 tips export - --task find-animal | wc -l"
    )
)
def export(
    file: Annotated[str, typer.Argument(help="A new file, or - for stdout.")],
    task: FilterOption = None,
    memory: MemoryOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Write tips as lines of JSON, without their vectors. With - the output is these lines."""
    scope, wanted = filter_of(task)
    with reading(memory, scope=scope) as (path, opened):
        tips = opened.tips(wanted) if opened else []
    write_tips(file, tips)
    if json and file != "-":
        emit_json({"memory": path, "exported": len(tips), "file": file})
    else:
        human(quiet=quiet).print(f"tips exported to {file}: {len(tips)}", soft_wrap=True)


@app.command(
    "import",
    epilog=examples(
        "empo2 tips import tips.jsonl",
        "empo2 tips import runs/20260102-030405-adapt-find-animal/tips.jsonl --memory ./tips",
        "ssh host empo2 tips export - | empo2 tips import -",
    ),
)
def import_command(
    file: Annotated[
        str, typer.Argument(help="A file of tips, one JSON object a line; - for stdin.")
    ],
    memory: MemoryOption = None,
    config: ConfigFiles = None,
    settings: SetPairs = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Add the tips of a file: all of them, or none where a line is no tip."""
    from empo2_agent.memory.rows import from_lines  # numpy

    options = memory_settings(config, settings, memory, reads=("scope", "capacity"))
    try:
        tips = list(from_lines(read_text(file).split("\n")))
    except ValueError as error:
        raise UsageError(f"{'stdin' if file == '-' else file}: {error}.") from error
    with writing(options.location, scope=options.scope, capacity=options.capacity) as opened:
        added = opened.add(tips)
    if json:
        emit_json({"memory": opened.path, "read": len(tips), "added": added})
    else:
        human(quiet=quiet).print(f"tips added: {added} of {len(tips)}", soft_wrap=True)
