"""What `adapt`, `eval` and `play` open before the first move, and close whatever happens.

What is cheap to check comes first, so that a misspelt task does not cost the loading of a model,
and the run folder late, so that a command that cannot start leaves none behind.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from empo2_agent.config import Resolved, Settings, check_environment_settings
from empo2_agent.episode import Rules
from empo2_agent.errors import UsageError
from empo2_agent.interfaces import EnvironmentPlugin
from empo2_agent.memory.location import NO_MEMORY
from empo2_agent.rollout import Deadlines, Recaller, Worlds
from empo2_agent.runs import Run, create_run
from empo2_agent.stage import Stage
from empo2_agent.tasks import FoundTask

if TYPE_CHECKING:
    from rich.console import Console

    from empo2_agent.memory.chroma import ChromaTips
    from empo2_agent.policies.transformers import TransformersPolicy


@dataclass(frozen=True, slots=True)
class Session:
    """Everything a command plays with."""

    settings: Settings
    plugin: EnvironmentPlugin
    policy: "TransformersPolicy"
    memory: "ChromaTips | None"
    stage: Stage
    run: Run


@dataclass(frozen=True, slots=True)
class Opening:
    """How a session is opened."""

    command: Literal["adapt", "eval", "play"]
    resolved: Resolved
    found: FoundTask
    memory: str | None
    """A location; None: the user's data folder; "none"."""
    fresh: bool
    """Use an empty memory inside the run folder instead."""
    writes_tips: bool
    concurrency: int
    run_dir: Path | None
    by_split: str | None = None
    """The split episodes go through; None: they all play one variation."""
    resume: Run | None = None


@contextmanager
def session(opening: Opening, console: "Console") -> Iterator[Session]:
    """Open everything, and close it in reverse order.

    Raises:
        Empo2Error: Whatever cannot be opened, with its own exit code.
    """
    settings, plugin = opening.resolved.settings, opening.found.plugin
    world = check_environment_settings(
        plugin.defaults,
        settings.environment,
        environment=plugin.name,
        origins=opening.resolved.origins,
    )
    with ExitStack() as stack:
        memory = None if opening.fresh else _open_memory(opening.memory, settings, stack)
        policy = _load_policy(settings, console)
        rules = _rules(settings, plugin, policy.context_limit, opening.writes_tips)
        run = stack.enter_context(opening.resume or _new_run(opening, policy.name))
        if opening.fresh:
            memory = _open_memory(str(run.path / "memory"), settings, stack)
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
            recall=_recaller(settings, policy, memory),
            concurrency=opening.concurrency,
        )
        yield Session(settings, plugin, policy, memory, stage, run)


def _open_memory(location: str | None, settings: Settings, stack: ExitStack) -> "ChromaTips | None":
    if location == NO_MEMORY:
        return None
    from empo2_agent.memory.chroma import open_memory  # chromadb takes most of a second

    memory = settings.memory
    opened = open_memory(
        location,
        scope=memory.scope,
        threshold=memory.threshold,
        max_tips=memory.max_tips,
        near_duplicate=memory.near_duplicate,
        capacity=memory.capacity,
    )
    return None if opened is None else stack.enter_context(opened)


def _load_policy(settings: Settings, console: "Console") -> "TransformersPolicy":
    from empo2_agent.cli.progress import fetch_progress
    from empo2_agent.policies.catalog import DEFAULT
    from empo2_agent.policies.models import ensure_model

    name = settings.model.name or DEFAULT
    with fetch_progress(console) as progress:
        folder = ensure_model(settings.model.name, progress)
    with console.status(f"loading {name}"):
        from empo2_agent.policies.transformers import load  # torch takes seconds to import

        return load(folder, name=name, dtype=settings.model.dtype, device=settings.model.device)


def _recaller(
    settings: Settings, policy: "TransformersPolicy", memory: "ChromaTips | None"
) -> Recaller | None:
    if memory is None:
        return None
    from empo2_agent.memory.recall import recaller

    def cost(text: str) -> int:
        return len(policy.chat.world(text)[1])

    budget = settings.memory
    return recaller(
        memory, cost, per_turn=budget.tokens_per_turn, per_episode=budget.tokens_per_episode
    )


def _rules(settings: Settings, plugin: EnvironmentPlugin, context: int, writes_tips: bool) -> Rules:
    tip_tokens = settings.memory.max_tip_tokens if writes_tips else 0
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


def _new_run(opening: Opening, model: str) -> Run:
    settings, task = opening.resolved.settings, opening.found.task
    return create_run(
        opening.command,
        f"{task.environment}-{task.name}",
        settings=settings.model_dump(mode="json"),
        origins=opening.resolved.origins,
        seed=settings.seed,
        versions=opening.found.plugin.versions(),
        run_dir=opening.run_dir,
        facts={"task": task.id, "by_split": opening.by_split, "model": model},
    )
