"""The warm start of `empo2 train`: where demonstrations come from, and imitating them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from empo2_agent.cli.session import recaller_of
from empo2_agent.cli.train_job import TrainJob
from empo2_agent.cli.train_session import TrainSession, open_tips
from empo2_agent.config import check_environment_settings
from empo2_agent.errors import UsageError
from empo2_agent.interfaces import Demonstrating
from empo2_agent.memory.embedding import MiniLM
from empo2_agent.rollout import Progress
from empo2_agent.runs import open_run
from empo2_agent.text import one_line
from empo2_agent.train.warmstart import (
    Demonstrations,
    collect_demonstrations,
    imitate,
    imitation_samples,
)
from empo2_agent.types import Task

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars

    from empo2_agent.memory.chroma import ChromaTips

GOLD = "gold"
_LINE_EVERY = 0.1  # share of the imitation, where there is no terminal


def warm_start(opened: TrainSession, job: TrainJob, console: "Console") -> None:
    """Imitate what the job names, and begin the optimizer anew.

    Raises:
        UsageError: The environment has no solutions, or the run no successful episode.
    """
    settings, stage = job.resolved.settings, opened.parts.stage
    with _bars(console) as bars:
        source = str(job.facts.warm_start)
        found = (
            _gold(opened, job, bars) if source == GOLD else recorded_demonstrations(Path(source))
        )
        samples = imitation_samples(
            found,
            stage.policy.chat,
            max_score=opened.plan.max_score,
            max_tokens=stage.rules.max_prompt_tokens,
        )
        bar = bars.add_task("imitating", total=1.0)
        passes = imitate(
            opened.parts.learner,
            samples,
            epochs=settings.warm.epochs,
            batch=settings.warm.batch_episodes,
            seed=settings.seed,
        )
        loss, told = 0.0, 0.0
        console.print(f"imitating {len(samples)} episodes, {settings.warm.epochs} times")
        for share, loss in passes:
            bars.update(bar, completed=share, description=f"imitating, loss {loss:.3f}")
            if not console.is_terminal and share >= told + _LINE_EVERY:
                told = share
                console.print(f"  {share:.0%}, loss {loss:.3f}")
    opened.parts.learner.set_reference()
    opened.parts.policy.weights_changed()
    console.print(
        f"warm start: {len(found.solved)} solved and {len(found.begun)} begun episodes imitated, "
        f"loss {loss:.3f}"
    )


def _gold(opened: TrainSession, job: TrainJob, bars: "Bars") -> Demonstrations:
    solutions = _solutions(job, bars)
    settings, parts = job.resolved.settings, opened.parts
    bars.console.print(f"playing the solutions of {len(solutions)} tasks")
    bar = bars.add_task("playing", total=None)
    with _scratch_memory(opened, job) as memory:
        # In the scope of a variation: a tip is true of the very task it is shown in.
        recall = recaller_of(settings, parts.policy, memory)
        stage = replace(parts.stage, recall=recall)
        playing = collect_demonstrations(
            stage, solutions, memory, max_score=opened.plan.max_score, seed=settings.seed
        )
        while True:
            try:
                event = next(playing)
            except StopIteration as stop:
                found: Demonstrations = stop.value
                return found
            assert isinstance(event, Progress)
            bars.update(bar, description=f"playing, {event.running} episodes running")


@contextmanager
def _scratch_memory(opened: TrainSession, job: TrainJob) -> Iterator["ChromaTips | None"]:
    settings = job.resolved.settings
    if not settings.explore.write_tips:
        yield None
        return
    place = opened.parts.run.path / "warm-start-memory"
    with open_tips(settings, place, MiniLM(), scope="variation") as memory:
        yield memory


def _solutions(job: TrainJob, bars: "Bars") -> dict[Task, tuple[str, ...]]:
    settings, plugin = job.resolved.settings, job.plugin
    values = check_environment_settings(
        plugin.defaults,
        settings.environment,
        environment=plugin.name,
        origins=job.resolved.origins,
    )
    world = plugin.make(values)
    try:
        if not isinstance(world, Demonstrating):
            raise UsageError(
                f"{plugin.name} knows no solutions: --warm-start gold is not possible."
            )
        bars.console.print(f"asking {plugin.name} how {len(job.tasks)} tasks are solved")
        bar = bars.add_task("solutions", total=len(job.tasks))
        found = {}
        for task in job.tasks:
            try:
                found[task] = tuple(world.demonstration(task, seed=settings.seed))
            except UsageError as error:  # what can be shown of the others is worth showing
                bars.console.print(f"left out: {one_line(str(error))}", soft_wrap=True)
            bars.advance(bar)
    finally:
        world.close()
    if not found:
        raise UsageError(
            "none of these tasks can be demonstrated: give --warm-start a run, or none."
        )
    return found


def recorded_demonstrations(path: Path) -> Demonstrations:
    """The successful episodes of a run.

    Raises:
        UsageError: There is none.
        RunFolderError: It is no run.
    """
    solved = tuple(episode for episode, _ in open_run(path).episodes() if episode.success)
    if not solved:
        raise UsageError(f"{path} has no successful episode to imitate.")
    return Demonstrations(solved, ())


@contextmanager
def _bars(console: "Console") -> Iterator["Bars"]:
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Bars(*columns, console=console, transient=True) as bars:
        yield bars
