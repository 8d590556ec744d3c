"""Training runs on real parts: the red lamp, a tiny model, Chroma and MiniLM, in this process."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from empo2_agent.cli.common import human
from empo2_agent.cli.train_job import TrainJob, new_train_job, reopened_train_job
from empo2_agent.cli.train_session import TrainSession, train_session
from empo2_agent.config import resolve
from empo2_agent.train.loop import Event, StepOver, train
from empo2_agent.train.metrics import StepMetrics
from empo2_agent.train.monitor import Monitor

SMALL: dict[str, object] = {
    "episode.max_steps": 3,
    "episode.max_prompt_tokens": 3000,
    "memory.max_tip_tokens": 8,
    "train.steps": 3,
    "train.group_size": 3,
    "train.variations": 2,
    "train.checkpoint_every": 1,
    "train.keep_last": 9,
    "learner.learning_rate": 0.01,
}


def job_of(folder: Path, model: Path, task: str = "red-lamp", **changed: Any) -> TrainJob:
    """A small job; `changed` are settings with `__` for the dot."""
    chosen = SMALL | {key.replace("__", "."): value for key, value in changed.items()}
    flags = {**chosen, "model.name": str(model)}
    if chosen.get("train.algorithm") in ("grpo", "gigpo"):
        del flags["memory.max_tip_tokens"]
    if chosen.get("train.algorithm") == "reflexion":
        del flags["learner.learning_rate"]
    resolved = resolve(flags=flags, trains=True)
    return new_train_job(resolved, [task], split=None, run_dir=folder, warm_start=None)


@contextmanager
def opened(job: TrainJob) -> Iterator[tuple[TrainSession, Iterator[Event]]]:
    """A session, and the events of training in it."""
    with train_session(job, human(quiet=True)) as session:
        rows = [StepMetrics.from_json(line) for line in session.parts.run.metrics()]
        yield session, train(session.plan, session.parts, session.position, Monitor(rows))


def run(folder: Path, model: Path, task: str = "red-lamp", **changed: Any) -> list[StepMetrics]:
    """Train from the start to the end; the metrics of the steps taken."""
    with opened(job_of(folder, model, task, **changed)) as (_, events):
        return [event.metrics for event in events if isinstance(event, StepOver)]


def go_on(folder: Path) -> list[StepMetrics]:
    """Resume and train to the end."""
    with opened(reopened_train_job(str(folder))) as (_, events):
        return [event.metrics for event in events if isinstance(event, StepOver)]


def measured(folder: Path) -> list[dict[str, Any]]:
    """What a run recorded of its steps, without times."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def recorded(folder: Path, name: str = "episodes") -> list[dict[str, Any]]:
    """The lines of one of its files."""
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def weights(folder: Path, step: int) -> bytes:
    """The file of weights or adapter in a checkpoint."""
    [file] = (folder / "checkpoints" / f"step-{step:06d}").glob("*.safetensors")
    return file.read_bytes()


def tips_known(folder: Path, step: int) -> Sequence[str]:
    """The tips a checkpoint holds, a line each."""
    state = folder / "checkpoints" / f"step-{step:06d}" / "state"
    return (state / "tips.jsonl").read_text().splitlines()
