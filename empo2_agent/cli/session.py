"""What `adapt`, `eval` and `play` open before the first move, and close whatever happens.

What is cheap to check comes first, so that a misspelt task does not cost the loading of a model,
and the run folder late, so that a command that cannot start leaves none behind.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from empo2_agent.cli.job import Facts, Job
from empo2_agent.cli.tips_memory import require_store
from empo2_agent.config import Settings, check_environment_settings
from empo2_agent.errors import UsageError
from empo2_agent.interfaces import EnvironmentPlugin
from empo2_agent.memory.location import NO_MEMORY, resolve_location
from empo2_agent.needs import Rules
from empo2_agent.policies.catalog import DEFAULT, find_known
from empo2_agent.rollout import Recaller
from empo2_agent.runs import Run, create_run
from empo2_agent.stage import Stage
from empo2_agent.worlds import Deadlines, Worlds

if TYPE_CHECKING:
    from rich.console import Console

    from empo2_agent.memory.chroma import ChromaTips
    from empo2_agent.policies.adapter import ModelFiles
    from empo2_agent.policies.transformers import TransformersPolicy


@dataclass(frozen=True, slots=True)
class Session:
    """Everything a command plays with."""

    settings: Settings
    plugin: EnvironmentPlugin
    policy: "TransformersPolicy"
    memory: "ChromaTips | None"
    tips_before: int
    """Tips of the task's scope when the run began."""
    stage: Stage
    run: Run


@contextmanager
def session(job: Job, console: "Console", *, concurrency: int) -> Iterator[Session]:
    """Open everything, say which memory it is, and close all in reverse order.

    Args:
        job: What is to be played.
        console: Where progress is shown.
        concurrency: Most episodes played at once.

    Raises:
        Empo2Error: Whatever cannot be opened, with its own exit code.
    """
    settings, (task, plugin) = job.resolved.settings, job.found
    world = check_environment_settings(
        plugin.defaults,
        settings.environment,
        environment=plugin.name,
        origins=job.resolved.origins,
    )
    facts = job.resume.facts if job.resume else _new_facts(job)
    with ExitStack() as stack:
        memory = None
        if facts.memory is not None:
            memory = _open_memory(facts.memory, job, stack)
        if memory is not None and not job.resume:
            facts = facts.model_copy(update={"tips_before": memory.count(task)})
        files = fetch_model(facts.model_folder or facts.model, console)
        policy = load_policy(settings, facts.model, files, console)
        tip_tokens = settings.memory.max_tip_tokens if job.writes_tips else 0
        rules = rules_of(settings, plugin, policy.context_limit, tip_tokens)
        run = stack.enter_context(job.resume.run if job.resume else _new_run(job, facts))
        if facts.memory is None:
            memory = _open_memory(str(run.path / "memory"), job, stack)
        _say_memory(memory, job, console)
        limits = settings.episode
        deadlines = Deadlines(
            step=limits.step_deadline_seconds, reset=limits.reset_deadline_seconds
        )
        worlds = stack.enter_context(Worlds(lambda: plugin.make(world), deadlines))
        stage = Stage(
            policy=policy,
            worlds=worlds,
            rules=rules,
            instructions=plugin.instructions,
            recall=recaller_of(settings, policy, memory),
            concurrency=concurrency,
        )
        yield Session(settings, plugin, policy, memory, facts.tips_before, stage, run)


def model_folder(name: str) -> str | None:
    """The absolute folder a model's name stands for; None where it is no folder."""
    folder = Path(name).expanduser()
    return str(folder.resolve()) if not find_known(name) and folder.is_dir() else None


def _new_facts(job: Job) -> Facts:
    """What is recorded of a run that begins now."""
    settings, task = job.resolved.settings, job.found.task
    name = settings.model.name or DEFAULT
    return Facts(
        task=task.id,
        split=task.split,
        whole_split=job.whole_split,
        model=name,
        model_folder=model_folder(name),
        memory=None if job.writes_tips and settings.adapt.fresh else _place(settings),
    )


def _place(settings: Settings) -> str:
    place = resolve_location(settings.memory.location)
    if place is None:
        return NO_MEMORY
    return str(place.resolve()) if isinstance(place, Path) else place


def _open_memory(location: str, job: Job, stack: ExitStack) -> "ChromaTips | None":
    if location == NO_MEMORY:
        return None
    if not job.writes_tips:
        require_store(location)
    from empo2_agent.memory.chroma import open_memory  # chromadb takes most of a second

    memory = job.resolved.settings.memory
    opened = open_memory(
        location,
        scope=memory.scope,
        threshold=memory.threshold,
        max_tips=memory.max_tips,
        near_duplicate=memory.near_duplicate,
        capacity=memory.capacity,
    )
    return None if opened is None else stack.enter_context(opened)


def _say_memory(memory: "ChromaTips | None", job: Job, console: "Console") -> None:
    if memory is None:
        console.print("memory: none")
        return
    tips, scope = memory.count(job.found.task), job.resolved.settings.memory.scope
    console.print(f"memory: {tips} tips of this {scope} in {memory.path}", soft_wrap=True)


def fetch_model(name: str, console: "Console") -> "ModelFiles":
    """The files of a model, fetched with progress on `console` where they are not there yet."""
    from empo2_agent.cli.progress import fetch_progress
    from empo2_agent.policies.adapter import find_model

    with fetch_progress(console) as progress:
        return find_model(name, progress)


def load_policy(
    settings: Settings, name: str, files: "ModelFiles", console: "Console"
) -> "TransformersPolicy":
    """Load a model; its adapter, if there is one, becomes part of the weights."""
    with console.status(f"loading {name}"):
        from empo2_agent.policies.transformers import load  # torch takes seconds to import

        return load(
            files.folder,
            name=name,
            dtype=settings.model.dtype,
            device=settings.model.device,
            adapter=files.adapter,
        )


def recaller_of(
    settings: Settings, policy: "TransformersPolicy", memory: "ChromaTips | None"
) -> Recaller | None:
    """What answers recalls from `memory`; None without one."""
    if memory is None:
        return None
    from empo2_agent.memory.recall import recaller

    def cost(text: str) -> int:
        return len(policy.chat.world(text)[1])

    budget = settings.memory
    return recaller(
        memory, cost, per_turn=budget.tokens_per_turn, per_episode=budget.tokens_per_episode
    )


def rules_of(settings: Settings, plugin: EnvironmentPlugin, context: int, tip_tokens: int) -> Rules:
    """How episodes are played.

    Args:
        settings: Sections `sampling` and `episode`.
        plugin: For its own limits.
        context: Most tokens the model can read.
        tip_tokens: See `Rules.max_tip_tokens`.

    Raises:
        UsageError: Replies that do not fit the context.
    """
    longest = max(settings.sampling.max_reply_tokens, tip_tokens)
    if longest >= context:
        raise UsageError(
            f"replies of {longest} tokens do not fit the model's context of {context}."
        )
    style = settings.sampling.style
    return Rules(
        max_steps=settings.episode.max_steps or plugin.step_limit,
        max_prompt_tokens=min(settings.episode.max_prompt_tokens, context - longest),
        max_reply_tokens=settings.sampling.max_reply_tokens,
        max_score=plugin.max_score,
        style="constrained" if style == "auto" else style,  # free where nothing can be listed
        temperature=settings.sampling.temperature,
        max_tip_tokens=tip_tokens,
        seconds=settings.episode.time_limit_seconds,
    )


def _new_run(job: Job, facts: Facts) -> Run:
    settings, task = job.resolved.settings, job.found.task
    return create_run(
        job.command,
        f"{task.environment}-{task.name}",
        settings=settings.model_dump(mode="json"),
        origins=job.resolved.origins,
        seed=settings.seed,
        versions=job.found.plugin.versions(),
        run_dir=job.run_dir,
        facts=facts.model_dump(),
    )
