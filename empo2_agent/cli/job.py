"""What `adapt`, `eval` and `play` are to play: as typed, or as a run to go on with recorded it.

One rule: a resumed run plays the very same task, model and memory, whatever folder it is resumed
from and whatever has become the default since.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from empo2_agent.cli.common import load_settings
from empo2_agent.cli.runs import find_run
from empo2_agent.config import Resolved, Settings
from empo2_agent.errors import RunFolderError, UsageError
from empo2_agent.memory.location import NO_MEMORY
from empo2_agent.runs import RUNS, Run, open_run
from empo2_agent.tasks import FoundTask, resolve_task

Command = Literal["adapt", "eval", "play"]


@dataclass(frozen=True, slots=True)
class Job:
    """What a command was told."""

    command: Command
    resolved: Resolved
    found: FoundTask
    whole_split: bool
    """Whether episodes go through the variations of the task's split; else they play one."""
    run_dir: Path | None = None
    resume: Run | None = None

    @property
    def variations(self) -> tuple[int, ...]:
        """Variations that episodes take in turn."""
        task, plugin = self.found
        if self.whole_split:
            return tuple(plugin.variations(task.name, task.split))
        return (task.variation,)

    @property
    def facts(self) -> dict[str, object]:
        """What `reopened` needs in run.json, beside the settings."""
        task = self.found.task
        return {"task": task.id, "split": task.split, "whole_split": self.whole_split}


def new_job(
    command: Command,
    resolved: Resolved,
    task: str | None,
    *,
    variation: int | None = None,
    split: str | None = None,
    run_dir: Path | None = None,
) -> Job:
    """A job as typed: one variation of a task, unless only a split is named.

    Raises:
        UsageError: No such task, variation or split.
    """
    if task is None:
        raise UsageError(f"no task given. Type: empo2 {command} --task NAME, or empo2 envs tasks")
    found = resolve_task(task, variation=variation, split=split)
    one = variation is not None or split is None or names_variation(task)
    return Job(command, resolved, found, not one, run_dir)


def reopened(name: str, command: Command, asked: Sequence[object]) -> Job:
    """A run to go on with.

    Args:
        name: Its folder, or its name in the runs folder.
        command: The command that made it.
        asked: Values of all other options: none may be given.

    Raises:
        UsageError: There is no such run, or something else was asked for as well.
        RunFolderError: It is a run of another command, complete, or damaged.
    """
    if any(value is not None for value in asked):
        raise UsageError(
            "--resume goes on with the task and settings of the run: give nothing else."
        )
    run = find_run(name, RUNS)
    document = run.document
    if document["command"] != command:
        raise RunFolderError(
            f"{run.path} is a run of empo2 {document['command']}, not of {command}."
        )
    if document["result"] is not None:
        raise RunFolderError(f"{run.path} is complete: there is nothing to resume.")
    try:
        settings = Settings.model_validate(document["settings"])
        resolved = Resolved(settings, document["origins"])
        text, split, whole_split = (document[key] for key in ("task", "split", "whole_split"))
        _ = (document["model"], document["model_folder"], document["memory"])
        _ = document["tips_before"]
    except (KeyError, ValidationError) as error:
        raise RunFolderError(f"{run.path / 'run.json'} is damaged: {error}.") from error
    task, plugin = resolve_task(text)
    found = FoundTask(replace(task, split=split), plugin)
    return Job(command, resolved, found, whole_split, resume=open_run(run.path, resume=True))


def reader_settings(*sources: Any, unused: Sequence[str], **given: object) -> Resolved:
    """`load_settings` for a command that reads tips where --memory says so, and writes none."""
    writing = ("memory.key", "memory.capacity", "memory.max_tip_tokens")
    none = {"memory.location": NO_MEMORY}
    return load_settings(*sources, unused=(*unused, *writing), defaults=none, **given)


def names_variation(task: str | None) -> bool:
    """Whether the words after --task name one variation."""
    return (task or "").count("/") == 2
