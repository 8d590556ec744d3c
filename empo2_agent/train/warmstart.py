"""Imitation before reinforcement: solved episodes, with and without tips, and tips worth writing.

Small models need it: they neither act sensibly nor read or write tips unaided. Nothing but the
variations that are trained on is shown.
"""

import itertools
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean

from empo2_agent.adapt import tips_of
from empo2_agent.interfaces import ChatFormat, TipMemory
from empo2_agent.prompts import tip_request
from empo2_agent.rollout import Progress
from empo2_agent.stage import Stage, episode_seed
from empo2_agent.train.demonstrate import Script, demonstrate
from empo2_agent.train.learner import Learner
from empo2_agent.train.samples import Row, Sample, samples_of
from empo2_agent.transcript import tokens
from empo2_agent.types import Episode, Task

_EARLIEST = "1970-01-01T00:00:00+00:00"  # demonstrated tips have no time of their own


@dataclass(frozen=True, slots=True)
class Demonstrations:
    """Episodes to imitate."""

    solved: tuple[Episode, ...]
    """Imitated in every action, and in the tip."""
    begun: tuple[Episode, ...]
    """Left the solution at some point: only their tips are imitated."""


def collect_demonstrations(
    stage: Stage,
    solutions: Mapping[Task, Sequence[str]],
    memory: TipMemory | None,
    *,
    max_score: float,
    seed: int,
) -> Generator[Progress, None, Demonstrations]:
    """Play each solution: in part, whole, and whole again with the tips of the ones before.

    Args:
        stage: Its `recall` reads `memory`, in the scope of a variation.
        solutions: Actions that solve a task from its start.
        memory: Empty; None: without tips.
        max_score: Score of a complete solution.
        seed: Of what is random.
    """
    count = itertools.count()

    def script(task: Task, actions: Sequence[str]) -> Script:
        return Script(task, tuple(actions), episode_seed(seed, 5, next(count)))

    draw = Random(episode_seed(seed, 6))
    cut = {task: draw.randrange(len(actions)) for task, actions in solutions.items()}
    parts = [script(task, actions[: cut[task]]) for task, actions in solutions.items()]
    whole = [list(solutions.items())] * (3 if memory is not None else 1)
    begun = yield from demonstrate(stage, parts, memory=False)
    solved: list[Episode] = []
    if memory is not None:
        _remember(memory, begun, max_score, 0)
    for number, items in enumerate(whole):
        scripts = [script(task, actions) for task, actions in items]
        # With tips first of what was only begun, then of what was solved too.
        found = yield from demonstrate(stage, scripts, memory=number > 0)
        if memory is not None and number == 1:
            _remember(memory, found, max_score, len(begun))
        solved += [episode for episode in found if episode.success]
    return Demonstrations(tuple(solved), tuple(begun))


def _remember(memory: TipMemory, episodes: Sequence[Episode], max_score: float, first: int) -> None:
    memory.add(
        tip
        for line, episode in enumerate(episodes, start=first)
        for tip in tips_of(
            episode,
            key="final",
            line=line,
            run="warm-start",
            model="demonstrator",
            max_score=max_score,
            created=_EARLIEST,
        )
    )


def imitation_samples(
    found: Demonstrations, chat: ChatFormat, *, max_score: float, max_tokens: int
) -> list[Sample]:
    """What is imitated, a sample an episode: its actions, and behind them the tip it left.

    Args:
        found: The episodes.
        chat: Of the model that imitates.
        max_score: Score of a complete solution.
        max_tokens: Longest row; a tip that would stand behind it is left out.
    """
    samples = []
    for number, episode in enumerate([*found.solved, *found.begun]):
        acted = None
        if number < len(found.solved):
            ones = [1.0] * len(episode.steps)
            acted = next(iter(samples_of(episode, ones, off_policy=False, sequence=number)), None)
        told = _tip_sample(episode, chat, max_score, number)
        if told is not None and len(told.update.token_ids) > max_tokens:
            told = None
        if acted is not None or told is not None:
            samples.append(_joined(acted, told))
    return samples


def _joined(acted: Sample | None, told: Sample | None) -> Sample:
    """One sample of both; the row of the tip begins with the row of the actions."""
    if acted is None or told is None:
        one = acted or told
        assert one is not None, "one of them is there"
        return one
    row = Row(told.update.token_ids, (*acted.update.places, *told.update.places))
    return Sample(
        sequence=acted.sequence,
        acting=row,
        update=row,
        targets=acted.targets + told.targets,
        allowed=acted.allowed + told.allowed,
        behaviour=acted.behaviour + told.behaviour,
        advantages=acted.advantages + told.advantages,
        turns=acted.turns + told.turns,
    )


def _tip_sample(
    episode: Episode, chat: ChatFormat, max_score: float, sequence: int
) -> Sample | None:
    if not episode.tip or not episode.steps:
        return None
    done = [(step.action, step.reward) for step in episode.steps]
    request = tip_request(episode.final_observation, episode.score, max_score, done)
    before = (*tokens(episode.segments), *chat.world(request)[1], *chat.reply()[1])
    reply = (*chat.world(episode.tip)[1], *chat.end_ids)
    first = len(before) - 1
    row = Row((*before, *reply[:-1]), tuple(range(first, first + len(reply))))
    return Sample(
        sequence=sequence,
        acting=row,
        update=row,
        targets=reply,
        allowed=(None,) * len(reply),
        behaviour=(0.0,) * len(reply),
        advantages=(1.0,) * len(reply),
        turns=(len(episode.steps),) * len(reply),
    )


def imitate(
    learner: Learner, samples: Sequence[Sample], *, epochs: int, batch: int, seed: int
) -> Iterator[tuple[float, float]]:
    """Imitate samples in an order drawn anew each epoch.

    Yields:
        After each optimizer step the share that is done, 0..1, and the mean loss of the last 20.
    """
    total = epochs * -(-len(samples) // batch)
    losses: list[float] = []
    for epoch in range(epochs):
        order = list(samples)
        Random(episode_seed(seed, 7, epoch)).shuffle(order)
        for start in range(0, len(order), batch):
            losses.append(learner.imitate(order[start : start + batch]).loss)
            yield len(losses) / total, fmean(losses[-20:])
