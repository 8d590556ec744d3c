"""Options and checks that `adapt`, `eval` and `play` share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from empo2_agent.config import Resolved, Settings
from empo2_agent.errors import RunFolderError, UsageError
from empo2_agent.runs import Run, open_run
from empo2_agent.tasks import FoundTask, resolve_task

TaskOption = Annotated[
    str | None,
    typer.Option("--task", "-t", help="NAME, ENVIRONMENT/NAME or ENVIRONMENT/NAME/VARIATION."),
]
VariationOption = Annotated[
    int | None, typer.Option("--variation", min=0, help="Play this variation of the task.")
]
SplitOption = Annotated[
    str | None, typer.Option("--split", help="Play the variations of train, dev, test or all.")
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", "-m", help="A name of `empo2 models list`, a folder, or org/name."),
]
MemoryOption = Annotated[
    str | None,
    typer.Option("--memory", help='A folder, the http address of a Chroma server, or "none".'),
]
ResumeOption = Annotated[
    Path | None, typer.Option("--resume", help="Go on with this run where it stopped.")
]


def tasks_of(
    task: str | None, variation: int | None, split: str | None
) -> tuple[FoundTask, tuple[int, ...]]:
    """The task asked for, and the variations that episodes take in turn.

    One variation unless only a split is named.

    Raises:
        UsageError: No such task, variation or split.
    """
    if task is None:
        raise UsageError("no task given. Type: empo2 adapt --task NAME, or empo2 envs tasks")
    found = resolve_task(task, variation=variation, split=split)
    one = variation is not None or split is None or task.count("/") == 2
    if one:
        return found, (found.task.variation,)
    return found, tuple(found.plugin.variations(found.task.name, found.task.split))


def reopen(
    path: Path, command: str, asked: Sequence[object]
) -> tuple[Resolved, Run, str, str | None]:
    """A run to go on with: its settings, itself, its task and the split it went through.

    Raises:
        UsageError: Something else was asked for as well.
        RunFolderError: It is no such run, or it is complete.
    """
    if any(value is not None for value in asked):
        raise UsageError(
            "--resume goes on with the task and settings of the run: give nothing else."
        )
    document = open_run(path).document
    if document["command"] != command:
        raise RunFolderError(f"{path} is a run of empo2 {document['command']}, not of {command}.")
    if document["result"] is not None:
        raise RunFolderError(f"{path} is complete: there is nothing to resume.")
    try:
        resolved = Resolved(Settings.model_validate(document["settings"]), document["origins"])
        task, by_split = document["task"], document["by_split"]
    except (KeyError, ValidationError) as error:
        raise RunFolderError(f"{path / 'run.json'} is damaged: {error}.") from error
    name = task.rpartition("/")[0] if by_split else task
    return resolved, open_run(path, resume=True), name, by_split
