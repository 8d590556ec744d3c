"""A training run that is stopped or killed and gone on with is the run that never was."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest

from empo2_agent.train.keeping import roll_back, save
from empo2_agent.train.loop import StepOver
from tests.train.running import go_on, job_of, measured, opened, recorded, run, weights

PATIENCE_SECONDS = 240
STEPS = 4
CHOSEN: dict[str, Any] = {
    "train__steps": STEPS,
    "train__checkpoint_every": 2,
    "explore__tips_share": 0.6,
}
TYPED = (
    *("--model", "model", "--run-dir", "run", "--steps", str(STEPS), "--max-steps", "3"),
    *("--set", "episode.max_prompt_tokens=3000", "--set", "memory.max_tip_tokens=8"),
    *("--set", "train.group_size=3", "--set", "train.checkpoint_every=2"),
    *("--set", "explore.tips_share=0.6", "--set", "learner.learning_rate=0.01"),
)
RED_LAMP = ("--task", "red-lamp", "--set", "train.variations=2", *TYPED)
Moment = Callable[[Path], bool]


def played(folder: Path) -> list[Any]:
    """What was done in every episode, without times."""
    return [
        (line["step"], line["group"], line["index"], line["seed"], line["status"], line["tip"],
         [step["action"] for step in line["steps"]])
        for line in recorded(folder)
    ]  # fmt: skip


def assert_same(run: Path, whole: Path) -> None:
    assert measured(run) == measured(whole)
    assert weights(run, STEPS) == weights(whole, STEPS)
    assert sorted(played(run)) == sorted(played(whole))
    for tip, other in zip(recorded(run, "tips"), recorded(whole, "tips"), strict=True):
        assert {**tip, "created": "", "run": "", "id": ""} == {
            **other, "created": "", "run": "", "id": "",
        }  # fmt: skip


@pytest.fixture(scope="module")
def whole(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(folder, tiny_model_dir, **CHOSEN)
    return folder


class Stopped(Exception):
    """Raised where a run is abandoned."""


def stop_after(folder: Path, model: Path, events: int, *, resumed: bool = False) -> bool:
    """Train for so many events and abandon it there; whether there were that many."""
    from empo2_agent.cli.train_job import reopened_train_job

    job = reopened_train_job(str(folder)) if resumed else job_of(folder, model, **CHOSEN)
    try:
        with opened(job) as (_, happening):
            for _ in range(events):
                next(happening)
            raise Stopped
    except (Stopped, StopIteration) as end:
        return isinstance(end, Stopped)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))]
)
def test_stopped_at_random_moments_it_is_the_same_run(
    whole: Path, tmp_path: Path, tiny_model_dir: Path, seed: int
) -> None:
    rng = Random(seed)
    assert stop_after(tmp_path / "run", tiny_model_dir, rng.randrange(1, 25))
    stop_after(tmp_path / "run", tiny_model_dir, rng.randrange(1, 40), resumed=True)
    go_on(tmp_path / "run")
    assert_same(tmp_path / "run", whole)


def test_a_roll_back_is_remembered(tmp_path: Path, tiny_model_dir: Path) -> None:
    folder = tmp_path / "run"
    chosen: dict[str, Any] = {"train__algorithm": "grpo", "train__steps": 2}
    with opened(job_of(folder, tiny_model_dir, **chosen)) as (session, events):
        next(event for event in events if isinstance(event, StepOver))
        roll_back(session.parts, session.position, 1)
        save(session.plan, session.parts, session.position)
    document = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**document, "status": "failed", "result": None}))
    go_on(folder)
    state = folder / "checkpoints" / "step-000002" / "state" / "position.json"
    assert json.loads(state.read_text())["rolled_back"] == 1


@contextmanager
def training(folder: Path, *typed: str) -> Iterator[subprocess.Popen[str]]:
    """`empo2 train` as a process of its own; ended at the latest when the block ends."""
    running = subprocess.Popen(
        [sys.executable, "-c", "from empo2_agent.cli import main; main()", "train", *typed],
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


def wait_for(moment: Moment, folder: Path, running: subprocess.Popen[str]) -> None:
    patience = time.monotonic() + PATIENCE_SECONDS
    while not moment(folder):
        assert running.poll() is None, running.communicate()[1]
        assert time.monotonic() < patience, "it was not so far in time"
        time.sleep(0.001)


def lines(name: str, count: int) -> Moment:
    """When a file of the run has so many lines."""

    def reached(folder: Path) -> bool:
        path = folder / "run" / f"{name}.jsonl"
        return path.exists() and path.read_bytes().count(b"\n") >= count

    return reached


def writing(folder: Path) -> bool:
    """When a checkpoint is being written."""
    return any((folder / "run" / "checkpoints").glob(".new-*"))


def saved(folder: Path) -> bool:
    """When the first checkpoint has just been written."""
    return (folder / "run" / "checkpoints" / "step-000002").exists()


MOMENTS: dict[str, Moment] = {
    "the first episode": lines("episodes", 1),
    "playing step 2": lines("episodes", 4),
    "updating in step 1": lines("tips", 3),
    "after step 1": lines("metrics", 1),
    "writing a checkpoint": writing,
    "a checkpoint later": saved,
    "playing step 3": lines("episodes", 8),
    "updating in step 4": lines("tips", 12),
    "at the end": lines("metrics", 4),
}


def kill_at(moment: Moment, folder: Path, *typed: str) -> None:
    """Train until then and kill it; nothing it started is left."""
    with training(folder, *typed) as running:
        wait_for(moment, folder, running)
        children = psutil.Process(running.pid).children(recursive=True)
        running.kill()
        running.communicate(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not [process.name() for process in alive]


def finish(folder: Path) -> dict[str, Any]:
    with training(folder, "--resume", "run", "--json") as resumed:
        out, said = resumed.communicate(timeout=PATIENCE_SECONDS)
    assert resumed.returncode == 0, said
    document: dict[str, Any] = json.loads(out)
    return document


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_it_goes_on_as_if_nothing_had_been(
    whole: Path, tmp_path: Path, tiny_model_dir: Path, moment: str
) -> None:
    (tmp_path / "model").symlink_to(tiny_model_dir)
    kill_at(MOMENTS[moment], tmp_path, *RED_LAMP)
    document = finish(tmp_path)
    assert document["steps"] == STEPS
    assert_same(tmp_path / "run", whole)


@pytest.mark.slow
def test_killed_again_and_again_at_random_moments(
    whole: Path, tmp_path: Path, tiny_model_dir: Path
) -> None:
    rng = Random(time.time_ns())
    (tmp_path / "model").symlink_to(tiny_model_dir)
    typed: tuple[str, ...] = RED_LAMP
    for _ in range(4):
        last = rng.random() * 8
        started = time.monotonic()
        kill_at(lambda _, s=started, n=last: time.monotonic() - s > n, tmp_path, *typed)  # type: ignore[misc] # a lambda's defaults have no types
        typed = ("--resume", "run") if (tmp_path / "run" / "run.json").exists() else RED_LAMP
    if typed == RED_LAMP:
        kill_at(lines("episodes", 2), tmp_path, *typed)
    finish(tmp_path)
    assert_same(tmp_path / "run", whole)


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(whole: Path, tmp_path: Path, tiny_model_dir: Path) -> None:
    (tmp_path / "model").symlink_to(tiny_model_dir)
    with training(tmp_path, *RED_LAMP) as running:
        wait_for(lines("episodes", 4), tmp_path, running)
        os.killpg(running.pid, signal.SIGINT)
        out, said = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert said.splitlines()[-1] == "interrupted. Type: empo2 train --resume run"
    assert "Traceback" not in said
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"
    finish(tmp_path)
    assert_same(tmp_path / "run", whole)


@pytest.mark.env
@pytest.mark.slow
def test_no_java_is_left_of_a_killed_run(tmp_path: Path, tiny_model_dir: Path) -> None:
    (tmp_path / "model").symlink_to(tiny_model_dir)
    task = ("--task", "find-non-living-thing", "--set", "train.variations=1", *TYPED)
    with training(tmp_path, *task) as running:
        wait_for(lines("episodes", 1), tmp_path, running)
        children = psutil.Process(running.pid).children(recursive=True)
        assert any("java" in child.name() for child in children)
        running.kill()
        running.communicate(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not [process.name() for process in alive]
    assert finish(tmp_path)["episodes"] == 3 * STEPS
