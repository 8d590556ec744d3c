"""Checkpoints of a run: folders that are complete or not there.

One rule: a folder under its final name is whole. It is written under another name, brought to the
disk file by file, and renamed; it is renamed before it is removed, too. A crash at any byte leaves
the checkpoints before it untouched.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from empo2_agent.errors import RunFolderError

STATE = "state"
"""Folder inside a checkpoint with what only `empo2 train --resume` reads."""
_NAME = re.compile(r"step-(\d{6,})")


def folder_of(run: Path, step: int) -> Path:
    """Where the checkpoint after `step` steps is."""
    return run / "checkpoints" / f"step-{step:06d}"


def steps_saved(run: Path) -> list[int]:
    """Steps of all complete checkpoints, ascending."""
    found = [_NAME.fullmatch(path.name) for path in (run / "checkpoints").glob("step-*")]
    return sorted(int(match[1]) for match in found if match)


@contextmanager
def writing(run: Path, step: int) -> Iterator[Path]:
    """A folder to write a checkpoint into; it appears under its name when the block ends well.

    Raises:
        RunFolderError: The disk is full or not writable; earlier checkpoints are untouched.
    """
    final = folder_of(run, step)
    staging = _hidden(final)
    try:
        _clear_away(run)
        (staging / STATE).mkdir(parents=True)
        yield staging
        _sync_all(staging)
        if final.exists():
            final.rename(_hidden(final, "old"))
        staging.rename(final)
        _sync(final.parent)
    except (OSError, RuntimeError, SafetensorError) as error:  # a full disk may come as any of them
        shutil.rmtree(staging, ignore_errors=True)
        kept = steps_saved(run)
        last = f"the last good one is step {kept[-1]}" if kept else "there is none yet"
        raise RunFolderError(
            f"cannot write the checkpoint {final}: {_reason(error, run)}; {last}.\n"
            f"Make room, then type: empo2 train --resume {run}"
        ) from error


def prune(run: Path, *, keep_last: int, best: int | None) -> None:
    """Remove all checkpoints but the newest `keep_last` and the best."""
    for step in steps_saved(run)[:-keep_last]:
        if step != best:
            folder = folder_of(run, step)
            with suppress(OSError):  # the next one that is written tries again
                folder.rename(_hidden(folder, "old"))
    _clear_away(run)


def _hidden(folder: Path, what: str = "new") -> Path:
    """The name of a checkpoint that is not whole yet, or no longer."""
    return folder.with_name(f".{what}-{folder.name}")


def _clear_away(run: Path) -> None:
    for folder in (run / "checkpoints").glob(".*-step-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _reason(error: Exception, run: Path) -> str:
    """What the system says; torch and safetensors do not always pass it on."""
    said = getattr(error, "strerror", None) or " ".join(str(error).split())[:120]
    try:
        return f"{said} ({shutil.disk_usage(run).free / 1e6:,.0f} MB free)"
    except OSError:  # the disk itself is gone
        return str(said)


def _sync_all(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    """Have the system write a file or a folder's entries to the disk, where it can."""
    if os.name == "nt":
        return  # Windows cannot open folders, and syncs only what was opened for writing
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
