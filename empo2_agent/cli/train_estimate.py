"""What `empo2 train` would do and need: `--dry-run`, and the check before weights are loaded.

One rule: a real run is refused for the very reasons that a dry run gives. Imported lazily.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import psutil
import torch

from empo2_agent.cli.train_job import TrainJob
from empo2_agent.cli.train_tokens import Tokens, count_tokens, look_around
from empo2_agent.config import Settings, check_environment_settings, flatten
from empo2_agent.errors import ModelError, UsageError
from empo2_agent.policies.adapter import ModelFiles, find_here, rank_of
from empo2_agent.policies.catalog import find_known
from empo2_agent.train.footprint import HEAP_SPREAD, Load, Shape, footprint, read_shape

if TYPE_CHECKING:
    from rich.console import Console

_ON_HOST = ("program", "environments")
"""What is never in the memory of a GPU."""
_UNITS = {"M": 10**6, "B": 10**9}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run comes to."""

    tokens: Tokens
    shape: Shape | None
    whole: bool
    """Whether all of the shape is known, not only the number of parameters."""
    turns: int
    episode_tokens: int
    pass_tokens: int
    needs: dict[str, float]
    """Bytes by what they are for; empty where nothing is known."""


@dataclass(frozen=True, slots=True)
class Room:
    """A memory, what is needed of it and what is free of it, in bytes."""

    name: str
    needs: dict[str, float]
    free: float

    @property
    def needed(self) -> float:
        """In all."""
        return sum(self.needs.values())


def estimate(job: TrainJob, console: "Console") -> tuple[dict[str, Any], list[str]]:
    """The document of `--json`, and the lines for people. Nothing is fetched or written.

    Raises:
        UsageError, ModelError: It cannot be done; what it would do is printed on `console` first.
    """
    files = find_here(job.facts.model_folder or job.facts.model)
    _require_same_adapter(job, files)
    with console.status("looking at the world and the model"):
        plan = _plan(job, files)
        rooms = _rooms(job.resolved.settings, plan.needs)
    lines = [*_setting_lines(job), *_play_lines(job, plan), *_memory_lines(job, plan, rooms)]
    try:
        _require(job, plan, rooms)
    except (UsageError, ModelError):
        for line in lines:
            console.print(line, soft_wrap=True)
        raise
    return _document(job, plan, rooms), lines


def require_room(job: TrainJob, files: ModelFiles) -> None:
    """Refuse what cannot fit, before any weight is loaded.

    Raises:
        UsageError: The first prompt is longer than the settings allow, or an adapter is to be
            trained on that has another shape.
        ModelError: It is longer than the model can read, or the memory does not suffice.
    """
    _require_same_adapter(job, files)
    plan = _plan(job, files)
    _require(job, plan, _rooms(job.resolved.settings, plan.needs))


def _require_same_adapter(job: TrainJob, files: ModelFiles | None) -> None:
    """An adapter keeps its shape: one set by hand would have no effect."""
    learner, origins = job.resolved.settings.learner, job.resolved.origins
    if files is None or files.adapter is None or not learner.lora_rank:
        return
    rank, alpha = rank_of(files.adapter)
    wanted = (("lora_rank", learner.lora_rank, rank), ("lora_alpha", learner.lora_alpha, alpha))
    for name, value, there in wanted:
        origin = origins[f"learner.{name}"]
        if value != there and origin == "--set":
            raise UsageError(
                f"learner.{name} is {value} ({origin}), and the adapter that training goes on with "
                f"has {there:g}: leave it out."
            )


def _plan(job: TrainJob, files: ModelFiles | None) -> Plan:
    settings, plugin = job.resolved.settings, job.plugin
    world = check_environment_settings(
        plugin.defaults,
        settings.environment,
        environment=plugin.name,
        origins=job.resolved.origins,
    )
    tokens = count_tokens(job, look_around(job, world), files.folder if files else None)
    shape = read_shape(files.folder) if files else _known_shape(job.facts.model)
    whole = shape is not None and shape.layers > 0
    turns = settings.episode.max_steps or plugin.step_limit
    longest = settings.episode.max_prompt_tokens + settings.sampling.max_reply_tokens
    extra = settings.memory.tokens_per_episode if settings.explore.tips_share else 0
    episode = min(round(tokens.first + turns * tokens.turn) + extra, longest)
    episodes = settings.train.tasks_per_step * settings.train.group_size
    rank = settings.learner.lora_rank
    if rank and files and files.adapter:
        rank, _ = rank_of(files.adapter)
    in_pass = min(max(settings.learner.tokens_per_batch, episode), episodes * episode)
    load = Load(
        bytes_per_number=_bytes_per_number(settings),
        lora_rank=rank,
        learns=settings.train.algorithm != "reflexion",
        keeps_reference=bool(settings.loss.kl_coefficient) and not settings.learner.lora_rank,
        gradient_checkpointing=settings.learner.gradient_checkpointing,
        pass_tokens=in_pass,
        drawn_share=tokens.action * turns / episode,
        episode_tokens=episode,
        spread=1.0 if _on_gpu(settings) else HEAP_SPREAD,
        concurrent=min(settings.train.concurrency, episodes),
        world_bytes=tokens.world_bytes,
    )
    needs = footprint(shape, load) if shape else {}
    return Plan(tokens, shape, whole, turns, episode, in_pass, needs)


def _known_shape(name: str) -> Shape | None:
    """Of a model in the catalogue that is not here yet: the number of its parameters."""
    known = find_known(name)
    if known is None:
        return None
    parameters = round(float(known.parameters[:-1]) * _UNITS[known.parameters[-1]])
    return Shape(parameters, 0, 0, 0, 0, 0, 0, 0)


def _on_gpu(settings: Settings) -> bool:
    asked = settings.model.device
    return torch.cuda.is_available() if asked == "auto" else asked.startswith("cuda")


def _bytes_per_number(settings: Settings) -> int:
    if settings.model.dtype == "auto":
        return 2 if _on_gpu(settings) else 4
    return 4 if settings.model.dtype == "float32" else 2


def _rooms(settings: Settings, needs: Mapping[str, float]) -> list[Room]:
    """What is free counts what this process holds already: it is part of the program."""
    free = psutil.virtual_memory().available + psutil.Process().memory_info().rss
    if not _on_gpu(settings) or not torch.cuda.is_available():
        return [Room("memory", dict(needs), free)]
    on_host = {*_ON_HOST, *(["optimizer"] if settings.learner.optimizer_device == "cpu" else [])}
    device = None if settings.model.device == "auto" else settings.model.device
    return [
        Room("memory", {k: v for k, v in needs.items() if k in on_host}, free),
        Room(
            "memory of the GPU",
            {k: v for k, v in needs.items() if k not in on_host},
            torch.cuda.mem_get_info(device)[0],
        ),
    ]


def _require(job: TrainJob, plan: Plan, rooms: list[Room]) -> None:
    settings, first, task = job.resolved.settings, plan.tokens.first, job.tasks[0].id
    reply = settings.sampling.max_reply_tokens
    if plan.shape and plan.whole and first + reply > plan.shape.context:
        raise ModelError(
            f"the first prompt of {task} has {first} tokens, and {job.facts.model} reads "
            f"{plan.shape.context} with a reply of {reply}.\nTake a --model that reads more."
        )
    if first > settings.episode.max_prompt_tokens:
        raise UsageError(
            f"the first prompt of {task} has {first} tokens: more than episode.max_prompt_tokens, "
            f"{settings.episode.max_prompt_tokens}, so no episode could begin. Raise it."
        )
    for room in rooms:
        if room.needed > room.free:
            raise ModelError(
                f"training takes about {_gb(room.needed)} GB of {room.name}, and "
                f"{_gb(room.free)} GB are free: {_parts(room.needs)}.\n{_advice(settings, plan)}"
            )


def _advice(settings: Settings, plan: Plan) -> str:
    """What to lower, by what takes the most."""
    most = max(plan.needs, key=lambda name: plan.needs[name])
    if most == "activations":
        limit = settings.learner.tokens_per_batch
        lower = f"learner.tokens_per_batch={limit // 2}"
        if plan.pass_tokens > limit:  # one episode alone
            lower = f"episode.max_steps={plan.turns // 2}"
        return f"Set {lower} or learner.gradient_checkpointing=true."
    if most in ("keys and values", "environments"):
        return f"Lower train.concurrency, now {settings.train.concurrency}."
    if settings.learner.lora_rank == 0 and settings.train.algorithm != "reflexion":
        return "Set learner.lora_rank=8, or take a smaller --model."
    return "Take a smaller --model, or set model.dtype=bfloat16."


def _setting_lines(job: TrainJob) -> list[str]:
    chosen = _chosen(job)
    if not chosen:
        return ["settings: the defaults"]
    lines = [f"  {key} = {value} ({origin})" for key, (value, origin) in chosen.items()]
    return ["settings that are not the defaults:", *lines]


def _chosen(job: TrainJob) -> dict[str, tuple[object, str]]:
    origins = job.resolved.origins
    return {
        key: (value, origins[key])
        for key, value in flatten(job.resolved.settings)
        if origins.get(key, "default") != "default"
    }


def _play_lines(job: TrainJob, plan: Plan) -> list[str]:
    train, explore = job.resolved.settings.train, job.resolved.settings.explore
    families = Counter(task.id.rpartition("/")[0] for task in job.tasks)
    names = ", ".join(f"{name} ({count} variations)" for name, count in families.items())
    each = train.tasks_per_step * train.group_size
    off = explore.tips_share * explore.off_policy_share
    tokens = plan.tokens
    source = job.facts.warm_start
    return [
        *([f"first imitates: {source}"] if source else []),
        f"plays: {names}, split {job.facts.split}",
        f"  {train.steps} steps of {train.tasks_per_step} x {train.group_size} episodes: "
        f"{train.steps * each:,} episodes of at most {plan.turns} turns",
        f"  steps: {1 - explore.tips_share:.0%} without tips, {explore.tips_share - off:.0%} with "
        f"tips, {off:.0%} off-policy" + ", a tip after every episode" * explore.write_tips,
        f"tokens: {tokens.first:,} in the first prompt, {tokens.turn:.0f} more each turn: at most "
        f"{plan.episode_tokens:,} an episode, {each * plan.episode_tokens:,} a step",
        f"  {tokens.basis}",
    ]


def _memory_lines(job: TrainJob, plan: Plan, rooms: list[Room]) -> list[str]:
    if not plan.needs:
        return [f"memory: unknown, as {job.facts.model} is not here yet"]
    lines = [
        f"{room.name}: about {_gb(room.needed)} GB of {_gb(room.free)} GB that are free: "
        f"{_parts(room.needs)}"
        for room in rooms
    ]
    if not plan.whole:
        lines.append(f"  {job.facts.model} is not here yet: only its parameters are counted")
    return lines


def _parts(needs: Mapping[str, float]) -> str:
    ranked = sorted(needs.items(), key=lambda part: -part[1])
    return ", ".join(f"{name} {_gb(size)}" for name, size in ranked if size >= 0.005e9)


def _gb(size: float) -> str:
    return f"{size / 1e9:.2f}" if size < 10e9 else f"{size / 1e9:.0f}"


def _document(job: TrainJob, plan: Plan, rooms: list[Room]) -> dict[str, Any]:
    train = job.resolved.settings.train
    each = train.tasks_per_step * train.group_size
    return {
        "tasks": job.facts.tasks,
        "model": job.facts.model,
        "algorithm": train.algorithm,
        "settings": {
            key: {"value": value, "origin": origin} for key, (value, origin) in _chosen(job).items()
        },
        "steps": train.steps,
        "episodes_per_step": each,
        "episodes": train.steps * each,
        "tokens": {
            "first_prompt": plan.tokens.first,
            "turn": plan.tokens.turn,
            "episode": plan.episode_tokens,
            "step": each * plan.episode_tokens,
            "pass": plan.pass_tokens,
            "basis": plan.tokens.basis,
        },
        "memory": [{**asdict(room), "needed": room.needed} for room in rooms],
    }
