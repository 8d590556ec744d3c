"""Playing the groups of one training step, and scoring them. No weights are touched here."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from random import Random

from empo2_agent.memory.novelty import Novelty
from empo2_agent.rollout import Finished, Progress
from empo2_agent.runs import Run
from empo2_agent.stage import Stage, Wanted, episode_seed, play_all
from empo2_agent.train.advantages import group_advantages, has_variance, step_advantages
from empo2_agent.train.rewards import reached_states, step_rewards
from empo2_agent.train.samples import Sample, samples_of
from empo2_agent.train.schedule import Mode
from empo2_agent.types import Episode, Task


@dataclass(frozen=True, slots=True)
class Draw:
    """A group to be played."""

    task: Task
    mode: Mode


@dataclass(frozen=True, slots=True)
class Group:
    """A group that was played."""

    draw: Draw
    episodes: tuple[Episode, ...]
    lines: tuple[int, ...]
    """For each episode its line in `episodes.jsonl`."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A group with what its episodes are worth."""

    group: Group
    intrinsic: tuple[float, ...]
    """Sum of intrinsic rewards of each episode, before the coefficient."""
    rewards: tuple[tuple[float, ...], ...]
    """For each episode and step, intrinsic ones included."""

    @property
    def returns(self) -> list[float]:
        """One for each episode."""
        return [sum(row) for row in self.rewards]

    @property
    def flat(self) -> bool:
        """Whether all episodes are worth the same."""
        return not has_variance(self.returns)


def tasks_of_step(tasks: Sequence[Task], step: int, count: int, seed: int) -> list[Task]:
    """The tasks of a step: all are gone through in an order drawn anew each time round.

    Args:
        tasks: All there are.
        step: From 1.
        count: How many are wanted.
        seed: Of the run.
    """
    chosen = []
    for number in range((step - 1) * count, step * count):
        epoch, place = divmod(number, len(tasks))
        order = list(tasks)
        Random(episode_seed(seed, 1, epoch)).shuffle(order)
        chosen.append(order[place])
    return chosen


def play_groups(
    stage: Stage,
    run: Run,
    draws: Sequence[Draw],
    *,
    group_size: int,
    step: int,
    attempt: int,
    seed: int,
    tips: bool,
) -> Generator[Progress, None, tuple[list[Group], list[Episode]]]:
    """Play groups at the same time; every episode is on disk when it is over.

    Args:
        stage: Where to play.
        run: Where episodes are recorded.
        draws: The groups.
        group_size: Episodes in each.
        step: Of training.
        attempt: How often groups of this step were drawn before.
        seed: Of the run.
        tips: Whether a tip is written after each episode.

    Returns:
        The groups, and the episodes that broke and were played again.

    Raises:
        EnvironmentUnavailableError: The environment keeps breaking.
    """
    places = [(g, i) for g in range(len(draws)) for i in range(group_size)]
    wanted = [
        Wanted(
            task=draws[g].task,
            seed=episode_seed(seed, 2, step, attempt, g, i),
            memory=draws[g].mode.tips,
            tip=tips,
        )
        for g, i in places
    ]
    line = run.episode_count()
    found: dict[tuple[int, int], tuple[int, Episode]] = {}
    broken = []
    for event in play_all(stage, wanted):
        if not isinstance(event, Finished):
            yield event
            continue
        g, i = places[event.index]
        mode = draws[g].mode.name
        run.add_episode(event.episode, step=step, attempt=attempt, group=g, index=i, mode=mode)
        if event.episode.usable:
            found[g, i] = (line, event.episode)
        else:
            broken.append(event.episode)
        line += 1
    groups = []
    for g, draw in enumerate(draws):
        members = [found[g, i] for i in range(group_size)]
        groups.append(Group(draw, tuple(e for _, e in members), tuple(n for n, _ in members)))
    return groups, broken


def score(group: Group, novelty: Novelty | None, coefficient: float) -> Scored:
    """What the episodes of a group are worth; visits to their states are counted.

    Raises:
        AssertionError: The rewards of an episode do not add up to its score and its bonus.
    """
    episodes = group.episodes
    bonuses = [[0.0] * len(episode.steps) for episode in episodes]
    if novelty is not None:
        bonuses = novelty.rewards(group.draw.task.id, [reached_states(e) for e in episodes])
    rewards = [step_rewards(e, b, coefficient) for e, b in zip(episodes, bonuses, strict=True)]
    for episode, row, bonus in zip(episodes, rewards, bonuses, strict=True):
        wrong = abs(sum(row) - episode.score - coefficient * sum(bonus))
        if wrong > 1e-6 * max(1.0, abs(episode.score)):  # no `assert`: always on
            raise AssertionError("a step's reward was lost on the way to the episode's return")
    return Scored(group, tuple(map(sum, bonuses)), tuple(map(tuple, rewards)))


def samples_of_group(
    scored: Scored,
    first: int,
    *,
    scale_by_std: bool,
    step_weight: float,
    discount: float,
) -> list[Sample]:
    """What is learnt from a group.

    Args:
        scored: The group.
        first: Number of its first episode in the training step.
        scale_by_std: See `advantages.group_advantages`.
        step_weight: What step-level advantages count (GiGPO).
        discount: Of the returns these compare.
    """
    mode, episodes = scored.group.draw.mode, scored.group.episodes
    whole = group_advantages(scored.returns, scale_by_std=scale_by_std)
    if scored.flat:  # what rounding leaves of nothing must not be scaled up
        whole = [0.0] * len(episodes)
    rows = [[advantage] * len(e.steps) for advantage, e in zip(whole, episodes, strict=True)]
    if step_weight:
        anchors = [[step.state for step in episode.steps] for episode in episodes]
        extra = step_advantages(
            anchors, scored.rewards, discount=discount, scale_by_std=scale_by_std
        )
        rows = [
            [a + step_weight * b for a, b in zip(row, more, strict=True)]
            for row, more in zip(rows, extra, strict=True)
        ]
    return [
        sample
        for number, (episode, row) in enumerate(zip(episodes, rows, strict=True), start=first)
        for sample in samples_of(episode, row, off_policy=mode.off_policy, sequence=number)
    ]
