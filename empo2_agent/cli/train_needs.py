"""What a run of `empo2 train` needs, and whether that is there. Imported lazily.

One rule: a real run is refused for the very reasons that a dry run gives.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import psutil
import torch

from empo2_agent.cli.train_job import TrainJob
from empo2_agent.cli.train_tokens import Tokens, count_tokens, look_around
from empo2_agent.config import Settings, check_environment_settings
from empo2_agent.errors import ModelError, UsageError
from empo2_agent.policies.adapter import ModelFiles, rank_of
from empo2_agent.policies.catalog import find_known
from empo2_agent.train.footprint import HEAP_SPREAD, Load, Shape, footprint, read_shape

_ON_HOST = ("program", "environments")
"""What is never in the memory of a GPU."""
_UNITS = {"M": 10**6, "B": 10**9}


@dataclass(frozen=True, slots=True)
class Outlook:
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


def require_room(job: TrainJob, files: ModelFiles) -> None:
    """Refuse what cannot fit, before any weight is loaded.

    Raises:
        UsageError: The first prompt is longer than the settings allow, or an adapter is to be
            trained on that has another shape.
        ModelError: It is longer than the model can read, or the memory does not suffice.
    """
    require_same_adapter(job, files)
    plan = outlook(job, files)
    require(job, plan, rooms_of(job.resolved.settings, plan.needs))


def require_same_adapter(job: TrainJob, files: ModelFiles | None) -> None:
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


def outlook(job: TrainJob, files: ModelFiles | None) -> Outlook:
    """What the job comes to; `files`: None where the model is not here yet."""
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
    return Outlook(tokens, shape, whole, turns, episode, in_pass, needs)


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


def rooms_of(settings: Settings, needs: Mapping[str, float]) -> list[Room]:
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


def require(job: TrainJob, plan: Outlook, rooms: list[Room]) -> None:
    """Refuse what does not fit; see `require_room`."""
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
                f"training takes about {gigabytes(room.needed)} GB of {room.name}, and "
                f"{gigabytes(room.free)} GB are free: {in_words(room.needs)}.\n{_advice(settings, plan)}"
            )


def _advice(settings: Settings, plan: Outlook) -> str:
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


def in_words(needs: Mapping[str, float]) -> str:
    """The parts, the largest first."""
    ranked = sorted(needs.items(), key=lambda part: -part[1])
    return ", ".join(f"{name} {gigabytes(size)}" for name, size in ranked if size >= 0.005e9)


def gigabytes(size: float) -> str:
    """Without a unit."""
    return f"{size / 1e9:.2f}" if size < 10e9 else f"{size / 1e9:.0f}"
