"""Opening the store: locks, damage, other embedders, and processes that are killed."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from empo2_agent.errors import MemoryStoreError
from empo2_agent.memory.chroma import ChromaTips
from empo2_agent.memory.store import Store
from tests.memory.helpers import TASK, Angles, make_tip

ROOT = Path(__file__).parents[2]


@contextmanager
def writer(folder: Path, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the memory open; killed on leaving."""
    command = [sys.executable, "-m", "tests.memory.writer", str(folder), *args]
    with subprocess.Popen(
        command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "open\n"
            yield process
        finally:
            process.kill()


def filled(folder: Path) -> None:
    with ChromaTips(folder, Angles()) as memory:
        memory.add([make_tip(f"run/0/{i}", key=f"angle {i}") for i in range(3)])


def test_one_process_at_a_time_and_the_lock_dies_with_its_holder(tmp_path: Path) -> None:
    with writer(tmp_path, "hold", "0") as other:
        with pytest.raises(MemoryStoreError, match=f"in use by process {other.pid}\\."):
            Store(tmp_path, "angles")
        other.send_signal(signal.SIGKILL)
        other.wait()
        Store(tmp_path, "angles").close()


def test_the_same_process_is_told_so(tmp_path: Path) -> None:
    first = Store(tmp_path, "angles")
    with pytest.raises(MemoryStoreError, match="in use by this process"):
        Store(tmp_path, "angles")
    first.close()
    first.close()
    Store(tmp_path, "angles").close()


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    acknowledged = -1
    for attempt in range(3):
        with writer(tmp_path, "write", str(acknowledged + 1)) as process:
            assert process.stdout
            for _ in range(random.Random(attempt).randrange(5, 40)):
                acknowledged = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            for line in process.stdout:  # what it had acknowledged before it died
                acknowledged = int(line) if line.endswith("\n") else acknowledged
            process.wait()
        with ChromaTips(tmp_path, Angles(), max_tips=1000) as memory:
            there = {tip.id for tip in memory.tips()}
            assert {f"run/0/{n}" for n in range(acknowledged + 1)} <= there
            assert len(there) <= acknowledged + 2  # one may have been written, not yet reported
            [found] = memory.search(["angle 0"], TASK)
            assert found
            acknowledged = max(int(id_.rsplit("/", 1)[1]) for id_ in there)


def test_another_embedder_is_refused_with_both_names(tmp_path: Path) -> None:
    filled(tmp_path)
    with pytest.raises(MemoryStoreError, match=r"embedding model angles, not other.*\n.*--memory"):
        ChromaTips(tmp_path, Angles("other"))
    with ChromaTips(tmp_path, Angles()) as memory:
        assert memory.count() == 3


def test_another_format_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path, "angles")
    store.collection.modify(metadata={"format": 99, "embedder": "angles"})
    store.close()
    with pytest.raises(MemoryStoreError, match="has format 99, this version reads 1"):
        Store(tmp_path, "angles")


@pytest.mark.parametrize("damage", ["garbage", "empty", "half", "folder"])
def test_a_damaged_store_is_named_and_a_mended_one_opens(tmp_path: Path, damage: str) -> None:
    folder, database = tmp_path / "memory", tmp_path / "memory" / "chroma.sqlite3"
    filled(folder)
    content = database.read_bytes()
    database.unlink()
    if damage == "folder":
        database.mkdir()
    else:
        parts = {"garbage": b"x" * 5000, "empty": b"", "half": content[: len(content) // 2]}
        database.write_bytes(parts[damage])
    with pytest.raises(MemoryStoreError, match=r"chroma\.sqlite3|malformed") as caught:
        Store(folder, "angles")
    assert str(folder) in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2
    database.rmdir() if damage == "folder" else database.unlink()
    database.write_bytes(content)
    with ChromaTips(folder, Angles()) as memory:
        assert memory.count() == 3


def test_damage_below_the_first_page_is_reported_when_it_is_met(tmp_path: Path) -> None:
    filled(tmp_path)
    database = tmp_path / "chroma.sqlite3"
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (database.stat().st_size - 4096))
    with pytest.raises(MemoryStoreError, match=str(tmp_path)):
        ChromaTips(tmp_path, Angles()).search(["angle 0"], TASK)


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Give up root's rights for a while: root may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_that_cannot_be_written(there: bool) -> None:
    parent = Path(tempfile.mkdtemp())
    folder = parent / "memory"
    try:
        if there:
            filled(folder)
            folder.chmod(0o555)
        parent.chmod(0o555)
        with (
            as_ordinary_user(),
            pytest.raises(MemoryStoreError, match="Permission denied") as caught,
        ):
            Store(folder, "angles")
        assert str(folder) in str(caught.value)
    finally:
        parent.chmod(0o755)
        if there:
            folder.chmod(0o755)
        shutil.rmtree(parent)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "memory").write_text("notes")
    with pytest.raises(MemoryStoreError, match="cannot write the tip memory"):
        Store(tmp_path / "memory", "angles")
    assert (tmp_path / "memory").read_text() == "notes"
