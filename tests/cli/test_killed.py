"""A command that is stopped or killed in the middle, with a real JVM, memory and model."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from empo2_agent.memory.chroma import open_memory
from empo2_agent.runs import open_run

pytestmark = pytest.mark.env
PATIENCE_SECONDS = 120


@contextmanager
def adapting(folder: Path, model: Path, *, resume: bool = False) -> Iterator[subprocess.Popen[str]]:
    """`empo2 adapt` as a process of its own; ended at the latest when the block ends."""
    arguments = (
        ["--resume", "run"]
        if resume
        else [
            "--task", "scienceworld/find-non-living-thing/225", "--trials", "8", "--max-steps", "5",
            "--model", str(model), "--memory", "tips", "--run-dir", "run",
            "--set", "memory.max_tip_tokens=8",
        ]
    )  # fmt: skip
    command = [sys.executable, "-c", "from empo2_agent.cli import main; main()", "adapt", "--json"]
    running = subprocess.Popen(
        [*command, *arguments],
        cwd=folder,
        # A job started in the background inherits "ignore SIGINT", and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        start_new_session=True,  # so that a signal to its group, as Ctrl-C sends it, spares us
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield running
    finally:
        if running.poll() is None:
            running.kill()
        running.communicate()


def wait_for_episodes(folder: Path, running: subprocess.Popen[str], count: int) -> None:
    lines, patience = folder / "run" / "episodes.jsonl", time.monotonic() + PATIENCE_SECONDS
    while not lines.exists() or len(lines.read_bytes().splitlines()) < count:
        assert running.poll() is None, running.communicate()[1]
        assert time.monotonic() < patience, "no episode was finished in time"
        time.sleep(0.02)


def family(running: subprocess.Popen[str]) -> list[psutil.Process]:
    children: list[psutil.Process] = psutil.Process(running.pid).children(recursive=True)
    assert any("java" in child.name() for child in children)
    return children


def assert_all_ended(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert not [process.name() for process in alive]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_running_or_lost(
    how: signal.Signals, tmp_path: Path, tiny_model_dir: Path
) -> None:
    with adapting(tmp_path, tiny_model_dir) as running:
        wait_for_episodes(tmp_path, running, 2)
        children = family(running)
        (os.killpg if how is signal.SIGINT else os.kill)(running.pid, how)
        _, said = running.communicate(timeout=60)
    assert_all_ended(children)
    if how is signal.SIGINT:
        assert running.returncode == 130
        assert "Type: empo2 adapt --resume run" in said
    before = list(open_run(tmp_path / "run").episodes())
    assert len(before) >= 2
    opened = open_memory(tmp_path / "tips")
    assert opened is not None
    with opened as memory:
        kept = {tip.id for tip in memory.tips()}
    assert kept
    with adapting(tmp_path, tiny_model_dir, resume=True) as resumed:
        out, said = resumed.communicate(timeout=PATIENCE_SECONDS)
    assert resumed.returncode == 0, said
    document = json.loads(out)
    assert [row["trial"] for row in document["trials"]] == list(range(9))
    after = list(open_run(tmp_path / "run").episodes())
    assert after[: len(before)] == before
    with open_memory(tmp_path / "tips") or pytest.fail("no memory") as memory:
        assert kept <= {tip.id for tip in memory.tips()}
    places = [(p["trial"], p["index"]) for e, p in after if e.usable]
    assert sorted(places) == [(trial, 0) for trial in range(9)]  # each once, none lost
