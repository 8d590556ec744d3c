"""The paper's evaluation protocol: unseen variations, frozen weights, no memory unless asked for."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from empo2_agent.rollout import Finished, Progress
from empo2_agent.runs import RecordedEpisode, Run
from empo2_agent.stage import Stage, Wanted, episode_seed, play_all
from empo2_agent.stats import Interval, bootstrap_interval, wilson_interval
from empo2_agent.types import Episode, Task


@dataclass(frozen=True, slots=True)
class Plan:
    """Which episodes an evaluation plays."""

    tasks: tuple[Task, ...]
    """One for each variation."""
    repeats: int
    """Episodes of each."""
    memory: bool
    """Whether tips are shown; none is written in any case."""
    seed: int


@dataclass(frozen=True, slots=True)
class Scores:
    """What an evaluation found.

    `score` is in the environment's units, negative scores included as in the paper;
    `score_clipped` counts them as 0. Repeats are averaged within their variation first.
    """

    episodes: int
    score: Interval
    score_clipped: Interval
    success: Interval
    statuses: dict[str, int]


def evaluate(
    plan: Plan, stage: Stage, run: Run, done: Iterable[RecordedEpisode] = ()
) -> Iterator[Progress | Episode]:
    """Play a plan; each usable episode is yielded once it is on disk, those of `done` first.

    Raises:
        EnvironmentUnavailableError: The environment keeps breaking.
        RunFolderError: The record cannot be written.
    """
    finished = {place["index"]: episode for episode, place in done if episode.usable}
    yield from finished.values()
    places = [(n, r) for r in range(plan.repeats) for n in range(len(plan.tasks))]
    missing = [index for index in range(len(places)) if index not in finished]
    wanted = [
        Wanted(
            task=plan.tasks[places[index][0]],
            seed=episode_seed(plan.seed, *places[index]),
            memory=plan.memory,
            tip=False,
        )
        for index in missing
    ]
    for event in play_all(stage, wanted):
        if isinstance(event, Finished):
            run.add_episode(event.episode, index=missing[event.index])
            if event.episode.usable:
                yield event.episode
        else:
            yield event


def scores(episodes: Sequence[Episode], seed: int) -> Scores:
    """Means with 95 % intervals over variations: bootstrap for scores, see `_rate` for success.

    With a single variation they are intervals over its repeats, and speak of that variation only.

    Raises:
        ValueError: No episodes.
    """
    by_task: dict[str, list[Episode]] = {}
    for episode in episodes:
        by_task.setdefault(episode.task.id, []).append(episode)
    groups = [by_task[key] for key in sorted(by_task)]
    if len(groups) == 1:
        groups = [[episode] for episode in groups[0]]
    returns = [fmean(e.score for e in group) for group in groups]
    clipped = [fmean(max(0.0, e.score) for e in group) for group in groups]
    return Scores(
        episodes=len(episodes),
        score=bootstrap_interval(returns, seed=seed),
        score_clipped=bootstrap_interval(clipped, seed=seed),
        success=_rate([fmean(e.success for e in group) for group in groups], seed),
        statuses=dict(Counter(str(e.status) for e in episodes)),
    )


def _rate(rates: Sequence[float], seed: int) -> Interval:
    """The mean of success rates, one a variation; each counts once, however often it was played.

    Where all are 0 or 1, as after one episode of each, Wilson: it has a width at 0 of n and n of n.
    """
    if all(rate in (0, 1) for rate in rates):
        return wilson_interval(round(sum(rates)), len(rates))
    return bootstrap_interval(rates, seed=seed)
