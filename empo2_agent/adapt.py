"""Adaptation with frozen weights: play, write tips, read them back, play again.

Trial 0 is played without memory. Each later trial is played with it and, where there is a control
arm, once more without, on the same seeds. Tips come from the memory arm alone.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import fmean
from typing import Literal

from empo2_agent.interfaces import TipMemory
from empo2_agent.rollout import Finished, Progress
from empo2_agent.runs import RecordedEpisode, Run
from empo2_agent.stage import Stage, Wanted, episode_seed, play_all
from empo2_agent.stats import Interval, paired_difference
from empo2_agent.types import Episode, Task, Tip

Arm = Literal["memory", "control"]
Key = Literal["final", "step"]
Place = tuple[int, Arm, int]
"""Trial, arm, and number of the episode within them."""
Recorded = dict[Place, list[tuple[int, Episode]]]
"""For each place its attempts: line in `episodes.jsonl`, and what happened."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The shape of an adaptation."""

    task: Task
    variations: tuple[int, ...]
    """Episodes take these in turn; one: every episode plays the same."""
    trials: int
    """Trials with memory, after trial 0 without."""
    episodes_per_trial: int
    control: bool
    seed: int
    key: Key
    """See `tips_of`."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One row of the result: means over the trial's episodes."""

    trial: int
    memory: bool
    score: float
    success: float
    steps: float
    tips_shown: int
    tips_written: int
    seconds: float
    statuses: dict[str, int]


@dataclass(frozen=True, slots=True)
class TrialOver:
    """A trial is over in both arms."""

    trial: Trial
    control: Trial | None
    tips: tuple[Tip, ...]


def adapt(
    plan: Plan,
    stage: Stage,
    memory: TipMemory | None,
    run: Run,
    max_score: float,
    done: Iterable[RecordedEpisode] = (),
) -> Iterator[Progress | TrialOver]:
    """Carry out a plan; everything that is finished is on disk when it is yielded.

    Args:
        plan: What to do.
        stage: With a `recall` that reads `memory`.
        memory: Where tips go; None: trials are played without, and no tip is written.
        run: Where episodes and tips are recorded.
        max_score: Score of a complete solution.
        done: Episodes this run has recorded before it was interrupted: not played again.

    Raises:
        EnvironmentUnavailableError: The environment keeps breaking.
        MemoryStoreError, RunFolderError: Tips or records cannot be written.
    """
    recorded: Recorded = {}
    lines = 0
    for episode, place in done:
        _keep(recorded, (place["trial"], place["arm"], place["index"]), lines, episode)
        lines += 1
    kept = {tip.id: tip for tip in run.tips()}
    for trial in range(plan.trials + 1):
        places = _places(plan, trial)
        missing = [p for p in places if not any(e.usable for _, e in recorded.get(p, ()))]
        wanted = [_wanted(plan, place, memory is not None) for place in missing]
        for event in play_all(stage, wanted):
            if isinstance(event, Finished):
                at, arm, index = missing[event.index]
                run.add_episode(event.episode, trial=at, arm=arm, index=index)
                _keep(recorded, missing[event.index], lines, event.episode)
                lines += 1
            else:
                yield event
        written = [
            kept.get(tip.id, tip)
            for place in places
            if memory is not None and place[1] == "memory"
            for line, episode in recorded[place]
            if episode.usable
            for tip in tips_of(
                episode,
                key=plan.key,
                line=line,
                run=run.name,
                model=stage.policy.name,
                max_score=max_score,
                created=datetime.now(UTC).isoformat(timespec="seconds"),
            )
        ]
        tips = tuple(tip for tip in written if tip.id in kept or _store(tip, memory, run))
        yield TrialOver(
            _row(trial, "memory", places, recorded, len(tips)),
            _row(trial, "control", places, recorded, 0) if plan.control and trial else None,
            tips,
        )


def _keep(recorded: Recorded, place: Place, line: int, episode: Episode) -> None:
    recorded.setdefault(place, []).append((line, episode))


def _store(tip: Tip, memory: TipMemory | None, run: Run) -> bool:
    """Whether the memory took the tip: it has no room for what it knows word for word."""
    if memory is None or not memory.add([tip]):
        return False
    run.add_tip(tip)
    return True


def tips_of(
    episode: Episode,
    *,
    key: Key,
    line: int,
    run: str,
    model: str,
    max_score: float,
    created: str,
) -> Iterator[Tip]:
    """The tips an episode leaves: none where the policy wrote nothing.

    Args:
        episode: A usable one.
        key: `final`: filed under the state the episode ended in, together with the action that
            led there. `step`: under the state of every step, with the action taken in it.
        line: The episode's line in `episodes.jsonl`.
        run: Name of the run.
        model: Name of the policy.
        max_score: Score of a complete solution.
        created: When, ISO 8601.
    """
    if not episode.tip or not episode.steps:
        return
    last = len(episode.steps) - 1
    filed = (
        [(last, episode.final_state, episode.steps[last].action)]
        if key == "final"
        else [(n, step.state, step.action) for n, step in enumerate(episode.steps)]
    )
    for number, state, action in filed:
        yield Tip(
            id=f"{run}/{line}/{number}",
            text=episode.tip,
            key=state,
            action=action,
            score=episode.score,
            max_score=max_score,
            environment=episode.task.environment,
            task=episode.task.name,
            variation=episode.task.variation,
            run=run,
            episode=line,
            step=number,
            model=model,
            created=created,
        )


def summary(
    trials: Sequence[Trial], controls: Sequence[Trial]
) -> tuple[float, float, Interval | None]:
    """Baseline score, mean score of the last three trials with memory, and the gain over control.

    The gain is the mean of memory minus control over the trials that both arms have, with the
    95 % interval of paired t; None without a control arm.
    """
    with_memory = [row for row in trials if row.trial > 0]
    last3 = fmean(row.score for row in (with_memory or list(trials))[-3:])
    if not controls:
        return trials[0].score, last3, None
    pairs = {row.trial: row.score for row in controls}
    both = [row for row in with_memory if row.trial in pairs]
    gain = paired_difference([r.score for r in both], [pairs[r.trial] for r in both])
    return trials[0].score, last3, gain


def as_json(row: Trial) -> dict[str, object]:
    """A row as `--json` prints it."""
    return asdict(row)


def _places(plan: Plan, trial: int) -> list[Place]:
    arms: list[Arm] = ["memory", "control"] if plan.control and trial else ["memory"]
    return [(trial, arm, index) for arm in arms for index in range(plan.episodes_per_trial)]


def _wanted(plan: Plan, place: Place, has_memory: bool) -> Wanted:
    trial, arm, index = place
    number = trial * plan.episodes_per_trial + index
    variation = plan.variations[number % len(plan.variations)]
    with_memory = has_memory and arm == "memory"
    return Wanted(
        task=Task(plan.task.environment, plan.task.name, variation, plan.task.split),
        seed=episode_seed(plan.seed, trial, index),
        memory=with_memory and trial > 0,
        tip=with_memory,
    )


def _row(
    trial: int, arm: Arm, places: Sequence[Place], recorded: Recorded, tips_written: int
) -> Trial:
    episodes = [e for place in places if place[1] == arm for _, e in recorded[place]]
    usable = [episode for episode in episodes if episode.usable]
    return Trial(
        trial=trial,
        memory=any(episode.memory for episode in usable),
        score=fmean(episode.score for episode in usable),
        success=fmean(episode.success for episode in usable),
        steps=fmean(len(episode.steps) for episode in usable),
        tips_shown=sum(len(step.tips) for episode in usable for step in episode.steps),
        tips_written=tips_written,
        seconds=sum(episode.seconds for episode in usable),
        statuses=dict(Counter(str(episode.status) for episode in episodes)),
    )
