"""What `adapt`, `eval` and `play` are to play: as typed, or as a run to go on with recorded it.

One rule: a resumed run plays the very same task, model and memory, whatever folder it is resumed
from and whatever has become the default since.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from empo2_agent.cli.runs import find_run
from empo2_agent.config import Resolved, Settings
from empo2_agent.errors import RunFolderError, UsageError
from empo2_agent.memory.location import NO_MEMORY
from empo2_agent.runs import RUNS, RecordedEpisode, Run, open_run
from empo2_agent.tasks import FoundTask, resolve_task

Command = Literal["adapt", "eval", "play"]

READER_DEFAULTS = {"memory.location": NO_MEMORY}
"""Of the commands that read tips only where --memory names a place."""
WRITERS_ONLY = ("memory.key", "memory.capacity", "memory.max_tip_tokens")
"""Settings that have an effect only where tips are written."""


class Facts(BaseModel):
    """What run.json records beside the settings, so that the run can be gone on with."""

    model_config = ConfigDict(frozen=True, strict=True, protected_namespaces=())

    task: str
    split: str
    whole_split: bool
    model: str
    model_folder: str | None
    """Absolute, where the model is a folder of the user's."""
    memory: str | None
    """An absolute folder, the address of a server, or "none"; None: in the run folder."""
    tips_before: int = 0
    """Tips of the task's scope when the run began."""


class Unfinished(NamedTuple):
    """A run to go on with, opened for that."""

    run: Run
    facts: Facts


@dataclass(frozen=True, slots=True)
class Job:
    """What a command was told."""

    command: Command
    resolved: Resolved
    found: FoundTask
    whole_split: bool
    """Whether episodes go through the variations of the task's split; else they play one."""
    run_dir: Path | None = None
    resume: Unfinished | None = None

    @property
    def writes_tips(self) -> bool:
        """Whether it adds to the memory; else it only reads one that is there."""
        return self.command == "adapt"

    @property
    def variations(self) -> tuple[int, ...]:
        """Variations that episodes take in turn."""
        task, plugin = self.found
        if self.whole_split:
            return tuple(plugin.variations(task.name, task.split))
        return (task.variation,)

    @property
    def done(self) -> list[RecordedEpisode]:
        """Episodes that are recorded already."""
        return list(self.resume.run.episodes()) if self.resume else []


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


def reopened_job(name: str, command: Command, asked: Sequence[object]) -> Job:
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
    if document.get("result") is not None:
        raise RunFolderError(f"{run.path} is complete: there is nothing to resume.")
    try:
        settings = Settings.model_validate(document["settings"])
        facts = Facts.model_validate(document)
        resolved = Resolved(settings, document["origins"])
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise RunFolderError(f"{run.path / 'run.json'} is damaged: {what}.") from error
    except KeyError as error:
        raise RunFolderError(f"{run.path / 'run.json'} is damaged: no {error}.") from error
    task, plugin = resolve_task(facts.task)
    found = FoundTask(replace(task, split=facts.split), plugin)
    unfinished = Unfinished(open_run(run.path, resume=True), facts)
    return Job(command, resolved, found, facts.whole_split, resume=unfinished)


def names_variation(task: str | None) -> bool:
    """Whether the words after --task name one variation."""
    return (task or "").count("/") == 2
