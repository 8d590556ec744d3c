"""A run folder: what one command leaves on disk. It is never overwritten.

`run.json` is replaced atomically; `episodes.jsonl` and `tips.jsonl` only ever grow.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from empo2_agent.errors import RunFolderError
from empo2_agent.runs.jsonl import (
    append_line,
    count_lines,
    cut_torn_line,
    keep_lines,
    read_lines,
    write_atomically,
)
from empo2_agent.runs.provenance import git_commit, is_alive, machine, package_versions, process
from empo2_agent.runs.serialise import (
    episode_from_json,
    episode_to_json,
    extra_of,
    tip_from_json,
    tip_to_json,
)
from empo2_agent.types import Episode, Tip

RUNS = Path("runs")
GROWING = ("episodes.jsonl", "tips.jsonl", "metrics.jsonl")
Ending = Literal["done", "failed", "interrupted"]


class RecordedEpisode(NamedTuple):
    """An episode, and where it stands in its run (for example its trial)."""

    episode: Episode
    extra: dict[str, Any]


class Run:
    """A run folder that is open for reading, or, by the command that made it, for adding to.

    As a context manager it records how the command ended.
    """

    def __init__(self, path: Path, document: Mapping[str, Any]) -> None:
        """Use `create_run` or `open_run`."""
        self.path = path
        self.document = dict(document)

    @property
    def name(self) -> str:
        """How records refer to this run: the folder's name when it was made."""
        return str(self.document.get("run", self.path.resolve().name))

    @property
    def status(self) -> str:
        """`running`, `done`, `failed`, `interrupted`; or `killed`: running, but by nobody."""
        recorded = str(self.document["status"])
        if recorded == "running" and not is_alive(self.document.get("process", {})):
            return "killed"
        return recorded

    def add_episode(self, episode: Episode, **extra: object) -> None:
        """Append one episode; on return it is on disk.

        Raises:
            RunFolderError: The disk is full or not writable.
        """
        append_line(self.path / "episodes.jsonl", episode_to_json(episode, extra))

    def add_tip(self, tip: Tip) -> None:
        """Append one tip; on return it is on disk."""
        append_line(self.path / "tips.jsonl", tip_to_json(tip))

    def add_metrics(self, line: Mapping[str, object]) -> None:
        """Append one line to `metrics.jsonl`; on return it is on disk."""
        append_line(self.path / "metrics.jsonl", line)

    def metrics(self) -> Iterator[dict[str, Any]]:
        """Every line of `metrics.jsonl`."""
        return read_lines(self.path / "metrics.jsonl")

    def line_counts(self) -> dict[str, int]:
        """Lines in each of the run's growing files."""
        return {name: count_lines(self.path / name) for name in GROWING}

    def cut(self, counts: Mapping[str, int]) -> None:
        """Drop what was written after a checkpoint at which the files had `counts` lines."""
        for name in GROWING:
            keep_lines(self.path / name, counts[name])

    def episodes(self) -> Iterator[RecordedEpisode]:
        """Every finished episode, in the order they finished."""
        for document in read_lines(self.path / "episodes.jsonl"):
            try:
                yield RecordedEpisode(episode_from_json(document), extra_of(document))
            except (KeyError, TypeError, ValueError) as error:
                raise RunFolderError(
                    f"{self.path} holds an episode this version cannot read: {error!r}."
                ) from error

    def episode_count(self) -> int:
        """How many episodes finished."""
        return count_lines(self.path / "episodes.jsonl")

    def tips(self) -> Iterator[Tip]:
        """Every tip this run added."""
        return (tip_from_json(document) for document in read_lines(self.path / "tips.jsonl"))

    def finish(self, status: Ending, *, result: Mapping[str, object] | None = None) -> None:
        """Record how the run ended, and the document the command printed about it, if any."""
        self.document.update(status=status, ended=_now(), result=result)
        write_atomically(self.path / "run.json", self.document)

    def __enter__(self) -> Self:
        """Nothing to do: the folder is already there."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish the run, unless the command did: by the exception that leaves the block."""
        if self.document["status"] != "running":
            return
        if kind is None:
            self.finish("done")
            return
        with suppress(RunFolderError):  # a full disk must not hide what it made fail
            self.finish("interrupted" if issubclass(kind, KeyboardInterrupt) else "failed")


def create_run(
    command: str,
    name: str,
    *,
    settings: Mapping[str, object],
    origins: Mapping[str, str],
    seed: int,
    versions: Mapping[str, str] | None = None,
    run_dir: Path | None = None,
    root: Path = RUNS,
    facts: Mapping[str, object] | None = None,
) -> Run:
    """Make the folder of a new run, `root/<time>-<command>-<name>` unless `run_dir` is given.

    Args:
        command: For example `adapt`.
        name: What it is about, for example a task; anything but letters, digits and . - is cut.
        settings: Resolved settings as a JSON document.
        origins: For each dotted key where its value came from.
        seed: The seed everything random derives from.
        versions: Of the environment, its data and the engine.
        run_dir: Use this folder; it must be absent or empty.
        root: Where run folders are made.
        facts: What else belongs into run.json, for example `{"task": ..., "model": ...}`.

    Raises:
        RunFolderError: The folder is in use or cannot be made.
    """
    path = _claim(run_dir, root, f"{command}-{_safe(name)}")
    document = {
        "run": path.resolve().name,
        "command": command,
        "status": "running",
        "started": _now(),
        "ended": None,
        **(facts or {}),
        "seed": seed,
        "settings": dict(settings),
        "origins": dict(origins),
        "versions": package_versions(versions),
        "git_commit": git_commit(Path.cwd()),
        "machine": machine(),
        "process": process(),
        "result": None,
    }
    write_atomically(path / "run.json", document)
    return Run(path, document)


def open_run(path: Path, *, resume: bool = False) -> Run:
    """Open a run folder to read it or, with `resume`, to go on where it stopped.

    Raises:
        RunFolderError: It is no run folder, is damaged, or (with `resume`) is still being written.
    """
    try:
        document = json.loads((path / "run.json").read_bytes())
    except OSError as error:
        raise RunFolderError(f"{path} is no run folder: no run.json can be read there.") from error
    except ValueError as error:
        raise RunFolderError(f"{path / 'run.json'} is damaged: {error}.") from error
    if not isinstance(document, dict) or not {"command", "status", "started"} <= document.keys():
        raise RunFolderError(f"{path / 'run.json'} is damaged: it does not describe a run.")
    run = Run(path, document)
    if resume:
        _reopen(run)
    return run


def list_runs(root: Path = RUNS) -> list[Run | RunFolderError]:
    """The runs below `root`, oldest first; in the place of one that cannot be read, why."""
    runs: list[Run | RunFolderError] = []
    for file in sorted(root.glob("*/run.json")):
        try:
            runs.append(open_run(file.parent))
        except RunFolderError as error:
            runs.append(error)
    return runs


def _reopen(run: Run) -> None:
    if run.status == "running":
        raise RunFolderError(f"{run.path} is being written by another process: wait or stop it.")
    for name in GROWING:
        cut_torn_line(run.path / name)
    resumed = [*run.document.get("resumed", []), _now()]
    run.document.update(status="running", ended=None, process=process(), resumed=resumed)
    write_atomically(run.path / "run.json", run.document)


def _claim(run_dir: Path | None, root: Path, name: str) -> Path:
    try:
        if run_dir is not None:
            run_dir.mkdir(parents=True, exist_ok=True)
            if any(run_dir.iterdir()):
                raise RunFolderError(
                    f"{run_dir} is not empty, and a run is never overwritten: name another folder."
                )
            return run_dir
        root.mkdir(parents=True, exist_ok=True)
        return _fresh(root, f"{datetime.now():%Y%m%d-%H%M%S}-{name}")
    except OSError as error:
        where = run_dir or root
        raise RunFolderError(f"cannot make a run folder at {where}: {error.strerror}.") from error


def _fresh(root: Path, name: str) -> Path:
    number = 1
    while True:
        path = root / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip("-.")[:80] or "run"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
