"""What all episodes of a run share, and playing a list of them so that broken worlds are replaced."""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from empo2_agent.episode import play
from empo2_agent.errors import EnvironmentUnavailableError
from empo2_agent.interfaces import Policy
from empo2_agent.needs import EpisodeRun, Rules
from empo2_agent.rollout import Finished, Progress, Recaller, run
from empo2_agent.types import Episode, Status, Task
from empo2_agent.worlds import Worlds

ATTEMPTS = 3
"""How often an episode is begun anew after its environment broke."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A policy, worlds to play in, and the rules."""

    policy: Policy
    worlds: Worlds
    rules: Rules
    instructions: Callable[[Task], str]
    recall: Recaller | None
    """Answers recalls of the episodes that have memory; None: no episode may have it."""
    concurrency: int
    conversations: Iterator[int] = field(default_factory=itertools.count)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An episode to be played."""

    task: Task
    seed: int
    memory: bool
    tip: bool
    """Whether the policy writes a tip at its end."""


def episode_seed(seed: int, *place: int) -> int:
    """A seed for each place (for example trial and index) of a run, the same on every machine."""
    text = "/".join(map(str, (seed, *place)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") >> 1


def play_all(stage: Stage, wanted: Sequence[Wanted]) -> Iterator[Progress | Finished]:
    """Play every wanted episode; yields each as it ends, broken ones too, which are played again.

    `Finished.index` is the place in `wanted`.

    Raises:
        EnvironmentUnavailableError: An episode broke `ATTEMPTS` times.
    """
    todo = list(range(len(wanted)))
    for attempt in range(ATTEMPTS):
        broken: dict[int, Episode] = {}
        starts = [_start(stage, wanted[index]) for index in todo]
        concurrency = stage.concurrency
        for event in run(starts, stage.worlds, stage.policy, stage.recall, concurrency=concurrency):
            if isinstance(event, Finished):
                event = replace(event, index=todo[event.index])
                if event.episode.status is Status.ENV_ERROR:
                    broken[event.index] = event.episode
            yield event
        todo = sorted(broken)
        if not todo:
            return
        if attempt == ATTEMPTS - 1:
            first = broken[todo[0]]
            raise EnvironmentUnavailableError(
                f"the environment of {first.task.id} broke {ATTEMPTS} times: {first.error}\n"
                "Type: empo2 doctor"
            )


def _start(stage: Stage, wanted: Wanted) -> tuple[int, EpisodeRun]:
    conversation = next(stage.conversations)
    rules = stage.rules if wanted.tip else replace(stage.rules, max_tip_tokens=0)
    return conversation, play(
        wanted.task,
        rules,
        chat=stage.policy.chat,
        instructions=stage.instructions(wanted.task),
        memory=wanted.memory,
        seed=wanted.seed,
        conversation=conversation,
    )
