"""`empo2 models`: the known small models, what is cached of them, and fetching one."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from empo2_agent.cli.common import (
    DebugFlag,
    JsonFlag,
    QuietFlag,
    emit_json,
    emit_text,
    examples,
    human,
    new_app,
    table,
)
from empo2_agent.policies import cache
from empo2_agent.policies.catalog import DEFAULT, KNOWN, KnownModel

app = new_app("Known small models and what is cached.")


@app.command("list", epilog=examples("empo2 models list", "empo2 models list --json"))
def list_models(as_json: JsonFlag = False, debug: DebugFlag = False) -> None:
    """List the known models: size, licence, what is on this disk."""
    models = [_row(model) for model in KNOWN]
    if as_json:
        emit_json({"folder": str(cache.models_folder()), "models": models})
        return
    columns = ("name", "parameters", "licence", "cached", "MB", "Hugging Face name")
    emit_text([*table(columns, [_line(row) for row in models]), f"cache: {cache.models_folder()}"])


@app.command("pull", epilog=examples("empo2 models pull", "empo2 models pull qwen2.5-0.5b"))
def pull(
    name: Annotated[
        str, typer.Argument(help="A name from `empo2 models list`, or org/name on the hub.")
    ] = DEFAULT,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Fetch a model, or check the one that is there.

    A model in the cache is compared with its checksums and fetched again where it differs. What an
    interrupted pull left is used by the next one.
    """
    from empo2_agent.cli.progress import fetch_progress
    from empo2_agent.policies.models import ensure_model  # brings the clients it fetches with

    console = human(quiet=quiet)
    with fetch_progress(console) as progress:
        folder = ensure_model(name, progress, verify=True)
    size = cache.bytes_in(folder)
    console.print(f"{name} is ready: {size / 1e6:.0f} MB in {folder}", soft_wrap=True)
    if as_json:
        emit_json({"model": name, "path": str(folder), "bytes": size, "source": _source(folder)})


def _row(model: KnownModel) -> dict[str, Any]:
    folder = cache.folder_of(model.name)
    unfinished = cache.bytes_in(cache.partial_of(model.name))
    if folder.exists():
        state = "damaged" if cache.damage(folder, thorough=False) else "yes"
    else:
        state = "partly" if unfinished else "no"
    return {
        "name": model.name,
        "hub_name": model.hub_name,
        "parameters": model.parameters,
        "licence": model.licence,
        "default": model.name == DEFAULT,
        "state": state,
        "path": str(folder) if folder.exists() else None,
        "bytes": cache.bytes_in(folder) + unfinished,
        "disk_mb": model.disk_mb,
    }


def _line(row: dict[str, Any]) -> list[object]:
    megabytes = round(row["bytes"] / 1e6) or row["disk_mb"]
    name = f"{row['name']} (default)" if row["default"] else row["name"]
    return [name, row["parameters"], row["licence"], row["state"], megabytes, row["hub_name"]]


def _source(folder: Path) -> dict[str, str] | None:
    """Where a cached known model came from; None for a folder that is not ours."""
    manifest = folder / cache.MANIFEST
    if not manifest.exists():
        return None
    source: dict[str, str] = json.loads(manifest.read_text(encoding="utf-8"))["source"]
    return source
