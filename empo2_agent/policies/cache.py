"""The model cache on disk. One rule: a folder under its final name is complete, with a manifest.

Everything unfinished lives under `.partial/NAME/`; a finished folder is moved into place with one
rename. A process killed at any point therefore leaves either no model or a whole one.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from empo2_agent.errors import ModelError

MANIFEST = "empo2-model.json"
_VERSIONED = ("empo2-agent", "torch", "transformers", "tokenizers", "gguf", "huggingface-hub")


class Progress(Protocol):
    """Who is told how a long fetch goes."""

    def stage(self, text: str) -> None:
        """A new stage begins; `text` says what is being done now."""
        ...

    def advance(self, done: int, total: int) -> None:
        """Within the stage, `done` of `total` bytes are there."""
        ...


class Silent:
    """A `Progress` that tells nobody."""

    def stage(self, text: str) -> None:
        """See Progress.stage."""

    def advance(self, done: int, total: int) -> None:
        """See Progress.advance."""


def models_folder() -> Path:
    """Where models are kept: `$EMPO2_CACHE/models`, else in the user's cache folder."""
    chosen = os.environ.get("EMPO2_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute() / "models"
    from platformdirs import user_cache_path

    return user_cache_path("empo2") / "models"


def folder_of(name: str) -> Path:
    """The final folder of a cached model."""
    return models_folder() / name


def partial_of(name: str) -> Path:
    """The folder for what is unfinished: part files, verified downloads, staging folders."""
    return models_folder() / ".partial" / name


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bytes_in(folder: Path) -> int:
    """Total size of the files below `folder`; 0 where it does not exist."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def damage(folder: Path, *, thorough: bool) -> str | None:
    """What is wrong with a cached model: None where nothing is.

    Sizes are always compared with the manifest; checksums only when `thorough`.
    """
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        for name, expected in files.items():
            size = (folder / name).stat().st_size
            if size != expected["bytes"]:
                return f"{name} has {size} bytes instead of {expected['bytes']}"
            if thorough and sha256_of(folder / name) != expected["sha256"]:
                return f"{name} fails its checksum"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} cannot be read"
    return None


@contextmanager
def exclusive(name: str, progress: Progress) -> Iterator[None]:
    """Hold the lock of one model: two processes never fetch the same one at the same time."""
    folder = partial_of(name)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        progress.stage(f"Another process is fetching {name}: waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def require_space(folder: Path, needed: int) -> None:
    """Refuse before a long download what could not be stored.

    Raises:
        ModelError: Fewer than `needed` bytes are free where `folder` is.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ModelError(
            f"{folder} has {free / 1e6:.0f} MB free, {needed / 1e6:.0f} MB are needed. "
            "Free some space, or set EMPO2_CACHE to a folder on another disk."
        )


def publish(staging: Path, name: str, source: Mapping[str, str]) -> Path:
    """Give a finished folder its manifest and its final name, in one rename.

    `source` says where the files come from. A damaged folder under that name is replaced.
    """
    files = sorted(path for path in staging.iterdir() if path.is_file())
    document: dict[str, Any] = {
        "model": name,
        "source": dict(source),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
        "files": {
            file.name: {"bytes": file.stat().st_size, "sha256": sha256_of(file)} for file in files
        },
    }
    manifest = staging / MANIFEST
    manifest.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    for file in [*files, manifest, staging]:
        sync(file)
    target = folder_of(name)
    damaged = partial_of(name) / "staging-damaged"
    if target.exists():
        shutil.rmtree(damaged, ignore_errors=True)
        target.rename(damaged)
    staging.rename(target)
    sync(target.parent)
    shutil.rmtree(damaged, ignore_errors=True)
    return target


def sync(path: Path) -> None:
    """Have the system write a file or a folder's entries to the disk, where it can."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open folders
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _versions() -> dict[str, str]:
    found = {}
    for package in _VERSIONED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
