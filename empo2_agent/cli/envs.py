"""`empo2 envs`: the installed environments, their tasks, and the contract check."""

from typing import Annotated, Any

import typer

from empo2_agent.cli.common import (
    DebugFlag,
    JsonFlag,
    emit_json,
    emit_text,
    examples,
    human,
    new_app,
    table,
)
from empo2_agent.errors import Empo2Error, EnvironmentUnavailableError
from empo2_agent.plugins import load_plugin, plugin_names, plugin_package
from empo2_agent.tasks import resolve_task

app = new_app("Installed environments, their tasks, the contract check.")


@app.command("list", epilog=examples("empo2 envs list", "empo2 envs list --json"))
def list_command(json: JsonFlag = False, debug: DebugFlag = False) -> None:
    """List the installed environments; one that cannot be used is listed with the reason."""
    entries = [_entry(name) for name in plugin_names()]
    if json:
        emit_json({"environments": entries})
        return
    columns = ("environment", "package", "tasks", "max_score", "step_limit")
    emit_text(table(columns, [[entry[key] for key in columns] for entry in entries]))
    emit_text([f"{e['environment']}: {e['error']}" for e in entries if e["error"]])


@app.command(epilog=examples("empo2 envs tasks", "empo2 envs tasks scienceworld --json"))
def tasks(
    environment: Annotated[
        str | None, typer.Argument(help="Only this environment; without it, all of them.")
    ] = None,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """List the tasks, with the number of variations of each."""
    rows: list[dict[str, Any]] = []
    for name in [environment] if environment else plugin_names():
        try:
            rows += _task_rows(name)
        except EnvironmentUnavailableError as error:
            if environment:
                raise
            human().print(f"left out: {error}", soft_wrap=True)
    if json:
        emit_json({"tasks": rows})
    else:
        emit_text(
            table(("task", "variations", "description"), [list(row.values()) for row in rows])
        )


@app.command(
    epilog=examples(
        "empo2 envs check toy",
        "empo2 envs check scienceworld --task find-animal/3",
        "empo2 envs check mine --task win --action open --action 'take all'",
    )
)
def check(
    environment: Annotated[str, typer.Argument(help="The environment to judge.")],
    task: Annotated[
        str | None, typer.Option("--task", "-t", help="NAME or NAME/VARIATION; else its first.")
    ] = None,
    action: Annotated[
        list[str] | None,
        typer.Option(
            "--action", help="What to do there, in order; else admissible ones are drawn."
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, help="Within this every call must return.")
    ] = 60.0,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Play in an environment and see whether it keeps the contract every environment must keep.

    Give actions that end the episode: only then can it be seen that the end is final.
    Exit code 1 where a promise is broken.
    """
    from empo2_agent.testing import check_environment  # brings the thread machinery

    plugin = load_plugin(environment)
    wanted = resolve_task(f"{environment}/{task}").task if task else None
    broken = None
    try:
        check_environment(plugin, wanted, action or (), seconds=seconds)
    except AssertionError as error:
        broken = str(error)
    if json:
        emit_json({"environment": environment, "ok": broken is None, "broken": broken})
        if broken is not None:
            raise typer.Exit(1)
    elif broken is not None:
        raise Empo2Error(f"{environment} breaks the contract: {broken}")
    else:
        emit_text([f"{environment} keeps the contract."])


def _task_rows(environment: str) -> list[dict[str, Any]]:
    return [
        {
            "task": f"{environment}/{info.name}",
            "variations": info.variations,
            "description": info.description,
        }
        for info in load_plugin(environment).tasks()
    ]


def _entry(name: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "environment": name,
        "package": None,
        "tasks": None,
        "max_score": None,
        "step_limit": None,
        "error": None,
    }
    try:
        entry["package"] = plugin_package(name)
        plugin = load_plugin(name)
        entry.update(
            tasks=len(plugin.tasks()), max_score=plugin.max_score, step_limit=plugin.step_limit
        )
    except Empo2Error as error:
        entry["error"] = str(error)
    return entry
