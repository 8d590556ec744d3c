"""`empo2 train --dry-run`: what a run would do and need. Nothing is fetched or written.

Imported lazily.
"""

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from empo2_agent.cli.train_job import TrainJob
from empo2_agent.cli.train_needs import (
    Outlook,
    Room,
    gigabytes,
    in_words,
    outlook,
    require,
    require_same_adapter,
    rooms_of,
)
from empo2_agent.config import flatten
from empo2_agent.errors import ModelError, UsageError
from empo2_agent.policies.adapter import find_here
from empo2_agent.text import clean

if TYPE_CHECKING:
    from rich.console import Console


def estimate(job: TrainJob, console: "Console") -> tuple[dict[str, Any], list[str]]:
    """The document of `--json`, and the lines for people. Nothing is fetched or written.

    Raises:
        UsageError, ModelError: It cannot be done; what it would do is printed on `console` first.
    """
    files = find_here(job.facts.model_folder or job.facts.model)
    require_same_adapter(job, files)
    with console.status("looking at the world and the model"):
        plan = outlook(job, files)
        rooms = rooms_of(job.resolved.settings, plan.needs)
    lines = [*_setting_lines(job), *_play_lines(job, plan), *_memory_lines(job, plan, rooms)]
    try:
        require(job, plan, rooms)
    except (UsageError, ModelError):
        for line in lines:
            console.print(clean(line), soft_wrap=True)
        raise
    return _document(job, plan, rooms), lines


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


def _play_lines(job: TrainJob, plan: Outlook) -> list[str]:
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


def _memory_lines(job: TrainJob, plan: Outlook, rooms: list[Room]) -> list[str]:
    if not plan.needs:
        return [f"memory: unknown, as {job.facts.model} is not here yet"]
    lines = [
        f"{room.name}: about {gigabytes(room.needed)} GB of {gigabytes(room.free)} GB that are free: "
        f"{in_words(room.needs)}"
        for room in rooms
    ]
    if not plan.whole:
        lines.append(f"  {job.facts.model} is not here yet: only its parameters are counted")
    return lines


def _document(job: TrainJob, plan: Outlook, rooms: list[Room]) -> dict[str, Any]:
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
