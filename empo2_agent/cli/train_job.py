"""What `empo2 train` is to do: as typed, or as a run to go on with recorded it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from empo2_agent.cli.job import names_variation
from empo2_agent.cli.runs import find_run
from empo2_agent.cli.session import model_folder
from empo2_agent.config import Resolved, Settings
from empo2_agent.errors import RunFolderError, UsageError
from empo2_agent.interfaces import EnvironmentPlugin
from empo2_agent.plugins import load_plugin
from empo2_agent.policies.catalog import DEFAULT
from empo2_agent.runs import RUNS, Run, open_run
from empo2_agent.tasks import resolve_task
from empo2_agent.types import Task


class TrainFacts(BaseModel):
    """What run.json records of a training run beside the settings."""

    model_config = ConfigDict(frozen=True, strict=True, protected_namespaces=())

    tasks: list[str]
    """Ids of all that is trained on, a variation each."""
    split: str
    model: str
    model_folder: str | None
    warm_start: str | None = None
    """`gold`, or the folder of the run whose successes are imitated first."""


@dataclass(frozen=True, slots=True)
class TrainJob:
    """What the command was told."""

    resolved: Resolved
    plugin: EnvironmentPlugin
    tasks: tuple[Task, ...]
    facts: TrainFacts
    run_dir: Path | None = None
    resume: Run | None = None

    @property
    def name(self) -> str:
        """What the run is about, for its folder."""
        return "-".join(dict.fromkeys([self.plugin.name, *(task.name for task in self.tasks)]))


def new_train_job(
    resolved: Resolved,
    names: Sequence[str],
    *,
    split: str | None,
    run_dir: Path | None,
    warm_start: str | None,
) -> TrainJob:
    """A job as typed: of each task the first variations of the split, by default `train`.

    Raises:
        UsageError: No task; an unknown one; tasks of several environments; tips to be shown that
            nobody writes; no run of the name given for the warm start.
    """
    if not names:
        raise UsageError("no task given. Type: empo2 train --task NAME, or empo2 envs tasks")
    explore = resolved.settings.explore
    if explore.tips_share and not explore.write_tips:
        raise UsageError("explore.tips_share shows tips, and explore.write_tips writes none.")
    if warm_start not in (None, "gold"):  # absolute: it may be resumed from another folder
        warm_start = str(find_run(str(warm_start), RUNS).path.resolve())
    tasks: list[Task] = []
    plugins: dict[str, EnvironmentPlugin] = {}
    for name in names:
        one = names_variation(name)
        task, plugin = resolve_task(name, split=split or (None if one else "train"))
        plugins[plugin.name] = plugin
        numbers = [task.variation] if one else plugin.variations(task.name, task.split)
        limit = resolved.settings.train.variations
        tasks += [Task(plugin.name, task.name, v, task.split) for v in numbers[:limit]]
    if len(plugins) > 1:
        raise UsageError(f"one run trains in one environment, not in {' and '.join(plugins)}.")
    model = resolved.settings.model.name or DEFAULT
    facts = TrainFacts(
        tasks=[task.id for task in tasks],
        split=tasks[0].split,
        model=model,
        model_folder=model_folder(model),
        warm_start=warm_start,
    )
    return TrainJob(resolved, plugins.popitem()[1], tuple(tasks), facts, run_dir)


def reopened_train_job(name: str) -> TrainJob:
    """A run to go on with.

    Raises:
        UsageError: There is no such run.
        RunFolderError: It is a run of another command, complete, in use, or damaged.
    """
    run = find_run(name, RUNS)
    document = run.document
    if document["command"] != "train":
        raise RunFolderError(f"{run.path} is a run of empo2 {document['command']}, not of train.")
    if document.get("result") is not None:
        raise RunFolderError(f"{run.path} is complete: there is nothing to resume.")
    try:
        settings = Settings.model_validate(document["settings"])
        facts = TrainFacts.model_validate(document)
        resolved = Resolved(settings, document["origins"])
    except (ValidationError, KeyError) as error:
        first = " ".join(str(error).split())[:200]
        raise RunFolderError(f"{run.path / 'run.json'} is damaged: {first}.") from error
    parts = [task.split("/") for task in facts.tasks]
    tasks = tuple(Task(env, task, int(number), facts.split) for env, task, number in parts)
    plugin = load_plugin(tasks[0].environment)
    return TrainJob(resolved, plugin, tasks, facts, resume=open_run(run.path, resume=True))
