"""What `empo2 train` opens before the first step, and closes whatever happens.

Imported lazily: it imports torch.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from empo2_agent.cli.session import (
    fetch_model,
    load_policy,
    recaller_of,
    rules_of,
)
from empo2_agent.cli.train_job import TrainJob
from empo2_agent.cli.train_needs import require_room
from empo2_agent.config import Settings, check_environment_settings
from empo2_agent.memory.chroma import ChromaTips
from empo2_agent.memory.embedding import MiniLM
from empo2_agent.memory.novelty import Novelty
from empo2_agent.memory.tips import Scope
from empo2_agent.needs import Rules
from empo2_agent.policies.adapter import base_of
from empo2_agent.runs import Run, create_run
from empo2_agent.stage import Stage
from empo2_agent.train import checkpoints
from empo2_agent.train.keeping import restore
from empo2_agent.train.learner import Learner, LossOptions
from empo2_agent.train.meter import Meter, TimedPolicy, timed
from empo2_agent.train.optimizer import Optimizer
from empo2_agent.train.parts import Parts, Plan
from empo2_agent.train.state import Position
from empo2_agent.train.weights import Weights
from empo2_agent.worlds import Deadlines, Worlds

if TYPE_CHECKING:
    from rich.console import Console

    from empo2_agent.policies.adapter import ModelFiles
    from empo2_agent.policies.transformers import TransformersPolicy


@dataclass(frozen=True, slots=True)
class TrainSession:
    """Everything the loop trains with."""

    plan: Plan
    parts: Parts
    position: Position


@contextmanager
def train_session(job: TrainJob, console: "Console") -> Iterator[TrainSession]:
    """Open everything and go back to the last checkpoint of a resumed run.

    Raises:
        Empo2Error: Whatever cannot be opened, with its own exit code.
    """
    settings, plugin = job.resolved.settings, job.plugin
    world = check_environment_settings(
        plugin.defaults,
        settings.environment,
        environment=plugin.name,
        origins=job.resolved.origins,
    )
    with ExitStack() as stack:
        base = job.facts.model_folder or job.facts.model
        files = fetch_model(base, console)
        require_room(job, files)
        policy, learner = load_trained(settings, base, files, console)
        rules = train_rules(settings, job, policy.context_limit)
        run = stack.enter_context(job.resume or _new_run(job))
        # One text at a time: in company its numbers would depend on what else is embedded, and a
        # resumed run embeds in other company.
        embedder, meter = MiniLM(batch=1), Meter()
        memory = None
        if settings.explore.write_tips:
            # A resumed run fills its memory from its checkpoint.
            place, scope = run.path / "memory", settings.memory.scope
            memory = stack.enter_context(open_tips(settings, place, embedder, scope=scope))
        limits = settings.episode
        deadlines = Deadlines(
            step=limits.step_deadline_seconds, reset=limits.reset_deadline_seconds
        )
        worlds = stack.enter_context(Worlds(lambda: plugin.make(world), deadlines))
        recall = recaller_of(settings, policy, memory)
        stage = Stage(
            policy=TimedPolicy(policy, meter, rules.max_tip_tokens),
            worlds=worlds,
            rules=rules,
            instructions=plugin.instructions,
            recall=None if recall is None else timed(recall, meter),
            concurrency=settings.train.concurrency,
        )
        novelty = Novelty(embedder, settings.explore.novelty_threshold)
        parts = Parts(stage, policy, learner, memory, novelty, run, meter)
        yield TrainSession(plan_of(settings, job), parts, _position(parts))


def load_trained(
    settings: Settings, name: str, files: "ModelFiles", console: "Console"
) -> "tuple[TransformersPolicy, Learner]":
    """The policy, and the learner that changes its weights in place."""
    keeps_adapter = files.adapter is not None and settings.learner.lora_rank > 0
    base = files._replace(adapter=None) if keeps_adapter else files
    policy = load_policy(settings, name, base, console)
    chosen, loss = settings.learner, settings.loss
    weights = Weights(
        policy.model,
        lora_rank=chosen.lora_rank,
        lora_alpha=chosen.lora_alpha,
        seed=settings.seed,
        gradient_checkpointing=chosen.gradient_checkpointing,
        adapter=files.adapter if keeps_adapter else None,
        base=name if files.adapter is None else base_of(files.adapter),
    )
    optimizer = Optimizer(
        weights.trained,
        learning_rate=chosen.learning_rate,
        warmup_steps=chosen.warmup_steps,
        weight_decay=chosen.weight_decay,
        max_grad_norm=chosen.max_grad_norm,
        on_cpu=chosen.optimizer_device == "cpu",
    )
    options = LossOptions(
        clip_low=loss.clip_low,
        clip_high=loss.clip_high,
        dual_clip=loss.dual_clip,
        mask_log_delta=loss.mask_log_delta,
        mask_by=loss.mask_by,
        denominator=loss.denominator,
        kl_coefficient=loss.kl_coefficient,
        mean_over=loss.mean_over,
        importance_cap=loss.importance_cap,
    )
    learner = Learner(
        weights,
        optimizer,
        options,
        tokens_per_batch=chosen.tokens_per_batch,
        minibatch_episodes=chosen.minibatch_episodes,
        temperature=settings.train.temperature,
    )
    return policy, learner


def train_rules(settings: Settings, job: TrainJob, context: int) -> Rules:
    """How episodes are played that are learnt from."""
    tip_tokens = settings.memory.max_tip_tokens if settings.explore.write_tips else 0
    rules = rules_of(settings, job.plugin, context, tip_tokens)
    return replace(rules, temperature=settings.train.temperature)


def plan_of(settings: Settings, job: TrainJob) -> Plan:
    """The settings as the loop takes them."""
    train, explore, loss = settings.train, settings.explore, settings.loss
    return Plan(
        tasks=job.tasks,
        steps=train.steps,
        tasks_per_step=train.tasks_per_step,
        group_size=train.group_size,
        redraw=train.redraw,
        seed=settings.seed,
        max_score=job.plugin.max_score,
        tips_share=explore.tips_share,
        off_policy_share=explore.off_policy_share,
        mode_by_group=explore.mode_by == "group",
        write_tips=explore.write_tips,
        key=settings.memory.key,
        intrinsic_coefficient=explore.intrinsic_coefficient,
        scale_by_std=loss.scale_by_std,
        step_weight=loss.step_weight,
        discount=loss.discount,
        learns=train.algorithm != "reflexion",
        checkpoint_every=train.checkpoint_every,
        keep_last=train.keep_last,
        roll_back=train.roll_back,
    )


def open_tips(settings: Settings, place: Path, embedder: MiniLM, *, scope: Scope) -> ChromaTips:
    """An empty memory in a folder of the run; what was in the folder is removed."""
    chosen = settings.memory
    shutil.rmtree(place, ignore_errors=True)
    return ChromaTips(
        place,
        embedder,
        scope=scope,
        threshold=chosen.threshold,
        max_tips=chosen.max_tips,
        near_duplicate=chosen.near_duplicate,
        capacity=chosen.capacity,
    )


def _position(parts: Parts) -> Position:
    """Where the run stands: at its last checkpoint, or at the start; what came after it is cut."""
    saved = checkpoints.steps_saved(parts.run.path)
    position = restore(parts, saved[-1]) if saved else Position()
    parts.run.cut(position.lines or dict.fromkeys(parts.run.line_counts(), 0))
    return position


def _new_run(job: TrainJob) -> Run:
    settings = job.resolved.settings
    return create_run(
        "train",
        job.name,
        settings=settings.model_dump(mode="json"),
        origins=job.resolved.origins,
        seed=settings.seed,
        versions=job.plugin.versions(),
        run_dir=job.run_dir,
        facts=job.facts.model_dump(),
    )
