"""Files of one JSON object a line that survive a kill at any moment.

One rule: a line counts once its newline is on disk. What stands after the last newline was being
written when the process died: readers leave it out, and a resumed run cuts it off.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from empo2_agent.errors import RunFolderError


def append_line(path: Path, document: Mapping[str, object]) -> None:
    """Append one object; on return it is on disk. A write that fails leaves no half line.

    Raises:
        RunFolderError: The file cannot be written, for example because the disk is full.
    """
    line = json.dumps(document, allow_nan=False).encode("ascii") + b"\n"
    try:
        with path.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                _write_all(file.fileno(), line)
                os.fsync(file.fileno())
            except OSError:
                file.truncate(before)
                raise
    except OSError as error:
        raise RunFolderError(f"cannot write {path}: {error.strerror}.") from error


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Every finished line, in order; nothing where there is no file.

    Raises:
        RunFolderError: The file cannot be read, or a finished line is not a JSON object.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):
                    yield _parse(line, path, number)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror}.") from error


def count_lines(path: Path) -> int:
    """How many finished lines there are."""
    try:
        with path.open("rb") as file:
            return sum(line.endswith(b"\n") for line in file)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror}.") from error


def cut_torn_line(path: Path) -> None:
    """Remove what stands after the last newline, so that lines can be appended again."""
    keep_lines(path, None)


def keep_lines(path: Path, count: int | None) -> None:
    """Keep the first `count` finished lines (None: all), and nothing behind them."""
    if not path.exists():
        return
    try:
        with path.open("r+b") as file:
            whole = [len(line) for line in file if line.endswith(b"\n")]
            file.truncate(sum(whole[:count]))
    except OSError as error:
        raise RunFolderError(f"cannot write {path}: {error.strerror}.") from error


def write_atomically(path: Path, document: Mapping[str, object]) -> None:
    """Replace a file by `document` as indented JSON: readers see the old one or the new one.

    Raises:
        RunFolderError: It cannot be written.
    """
    text = json.dumps(document, indent=2, allow_nan=False) + "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            with temporary.open("wb") as file:
                file.write(text.encode("ascii"))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise RunFolderError(f"cannot write {path}: {error.strerror}.") from error


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _parse(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except ValueError as error:
        raise RunFolderError(f"{path}, line {number}, is damaged: {error}.") from error
    if not isinstance(document, dict):
        raise RunFolderError(f"{path}, line {number}, is damaged: not a JSON object.")
    return document
