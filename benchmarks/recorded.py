"""What the benchmarks of training learn from: ScienceWorld episodes, played by the model itself."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from empo2_agent.needs import Rules
from empo2_agent.policies.transformers import TransformersPolicy
from empo2_agent.rollout import Finished
from empo2_agent.stage import Stage, Wanted, episode_seed, play_all
from empo2_agent.train.samples import Row, Sample, samples_of
from empo2_agent.types import Episode, Task
from empo2_agent.worlds import Deadlines, Worlds
from empo2_scienceworld import PLUGIN

TASK = "find-non-living-thing"
GROUP = 8
TEMPERATURE = 1.0


def record(policy: TransformersPolicy, episodes: int, steps: int) -> list[Episode]:
    """Episodes of one group that all took `steps` steps; those that ended earlier are left out.

    Args:
        policy: Plays, constrained to admissible actions. What it kept is forgotten at the end.
        episodes: How many.
        steps: Of each.
    """
    rules = Rules(
        max_steps=steps,
        max_prompt_tokens=policy.context_limit - 64,
        max_reply_tokens=64,
        max_score=PLUGIN.max_score,
        style="constrained",
        temperature=TEMPERATURE,
    )
    task = Task("scienceworld", TASK, PLUGIN.variations(TASK, "train")[0], "train")
    kept: list[Episode] = []
    with Worlds(lambda: PLUGIN.make(PLUGIN.defaults), Deadlines(step=600, reset=600)) as worlds:
        size = min(GROUP, episodes)
        stage = Stage(policy, worlds, rules, PLUGIN.instructions, None, size)
        for attempt in count():
            seeds = [episode_seed(0, attempt, n) for n in range(size)]
            wanted = [Wanted(task, seed, memory=False, tip=False) for seed in seeds]
            found = [event for event in play_all(stage, wanted) if isinstance(event, Finished)]
            in_order = [event.episode for event in sorted(found, key=lambda event: event.index)]
            kept += [e for e in in_order if e.usable and len(e.steps) == steps]
            if len(kept) >= episodes:
                break
    policy.weights_changed()
    return kept[:episodes]


def samples(episodes: Sequence[Episode]) -> list[Sample]:
    """One sample an episode. Advantages, 1 and -1 in turn, do not change what is computed."""
    return [
        sample
        for number, episode in enumerate(episodes)
        for sample in samples_of(
            episode, [(-1.0) ** number] * len(episode.steps), off_policy=False, sequence=number
        )
    ]


def row_per_turn(sample: Sample) -> list[Sample]:
    """The same tokens learnt from, each turn behind a copy of all that stood before it."""
    return [
        _part(sample, [k for k, owner in enumerate(sample.turns) if owner == turn])
        for turn in dict.fromkeys(sample.turns)
    ]


def long_rows(recorded: Sequence[Sample], length: int) -> list[Sample]:
    """As many samples with rows of exactly `length` tokens: recorded rows laid end to end, then cut.

    Each begins with another of the recorded rows.
    """
    return [
        _cut([*recorded[n:], *recorded[:n]] * (1 + length // _tokens(recorded)), length)
        for n in range(len(recorded))
    ]


def _tokens(recorded: Sequence[Sample]) -> int:
    return sum(len(sample.update.token_ids) for sample in recorded)


def _part(sample: Sample, chosen: Sequence[int]) -> Sample:
    """The sample as far as it reaches to learn from the chosen of its tokens alone."""
    places = tuple(sample.update.places[k] for k in chosen)
    row = Row(sample.update.token_ids[: places[-1] + 1], places)
    return replace(
        sample,
        acting=row,
        update=row,
        targets=tuple(sample.targets[k] for k in chosen),
        allowed=tuple(sample.allowed[k] for k in chosen),
        behaviour=tuple(sample.behaviour[k] for k in chosen),
        advantages=tuple(sample.advantages[k] for k in chosen),
        turns=tuple(sample.turns[k] for k in chosen),
    )


def _cut(pieces: Sequence[Sample], length: int) -> Sample:
    starts = [_tokens(pieces[:n]) for n in range(len(pieces))]
    token_ids = tuple(token for piece in pieces for token in piece.update.token_ids)[:length]
    places = tuple(
        start + place
        for start, piece in zip(starts, pieces, strict=True)
        for place in piece.update.places
    )
    row = Row(token_ids, places)
    whole = replace(
        pieces[0],
        acting=row,
        update=row,
        targets=tuple(x for piece in pieces for x in piece.targets),
        allowed=tuple(x for piece in pieces for x in piece.allowed),
        behaviour=tuple(x for piece in pieces for x in piece.behaviour),
        advantages=tuple(x for piece in pieces for x in piece.advantages),
        turns=tuple(x for piece in pieces for x in piece.turns),
    )
    found = _part(whole, [k for k, place in enumerate(places) if place < length])
    full = Row(token_ids, found.update.places)
    return replace(found, acting=full, update=full)
