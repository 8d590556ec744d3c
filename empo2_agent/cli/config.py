"""`empo2 config`: the settings a run would have, and where each value came from."""

import json as jsonlib
import re
from typing import Annotated

import typer

from empo2_agent.cli.common import (
    ConfigFiles,
    DebugFlag,
    JsonFlag,
    MaxStepsOption,
    PresetOption,
    SeedOption,
    SetPairs,
    emit_json,
    emit_text,
    examples,
    load_settings,
    new_app,
)
from empo2_agent.config import Resolved, Settings, check_environment_settings, flatten
from empo2_agent.plugins import load_plugin
from empo2_agent.text import one_line

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

app = new_app("The resolved settings and where each came from.")


@app.callback()
def group() -> None:
    """The resolved settings and where each came from."""


@app.command(
    epilog=examples(
        "empo2 config show --origin --preset paper-scienceworld --set seed=7",
        "empo2 config show --environment scienceworld > my.toml",
    )
)
def show(
    origin: Annotated[
        bool, typer.Option("--origin", help="Say of each value where it came from.")
    ] = False,
    environment: Annotated[
        str | None,
        typer.Option("--environment", help="Include the settings of this environment."),
    ] = None,
    preset: PresetOption = None,
    config: ConfigFiles = None,
    pairs: SetPairs = None,
    seed: SeedOption = None,
    max_steps: MaxStepsOption = None,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Print the settings as a run would see them, as TOML that `--config` takes."""
    flags = {"seed": seed, "episode.max_steps": max_steps}
    resolved = load_settings(config, pairs, preset=preset, flags=flags)
    settings, origins = _with_environment(resolved, environment) if environment else resolved
    if json:
        document: dict[str, object] = {"settings": settings.model_dump(mode="json")}
        emit_json({**document, "origins": origins} if origin else document)
        return
    lines = [(_toml(key, value), origins[key]) for key, value in flatten(settings)]
    width = max(len(line) for line, _ in lines)
    emit_text(
        [f"{line:{width}}  # {one_line(source)}" if origin else line for line, source in lines]
    )


def _with_environment(resolved: Resolved, environment: str) -> Resolved:
    settings, origins = resolved
    values = check_environment_settings(
        load_plugin(environment).defaults,
        settings.environment,
        environment=environment,
        origins=origins,
    )
    defaults = {f"environment.{key}": f"default of {environment}" for key in values}
    complete = settings.model_copy(update={"environment": values})
    return Resolved(Settings.model_validate(complete.model_dump()), {**defaults, **origins})


def _toml(key: str, value: object) -> str:
    if value is None:
        return f"# {key} is not set"
    section, _, last = key.rpartition(".")
    if not BARE_KEY.fullmatch(last):
        key = f"{section}.{jsonlib.dumps(last, ensure_ascii=False)}"
    return f"{key} = {jsonlib.dumps(value, ensure_ascii=False)}"  # JSON scalars are TOML's too
