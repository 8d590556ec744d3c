"""Episodes as the learner sees them: tokens, which of them to learn from, and with what advantage.

One rule: tokens come from the ledger, segment by segment. The update's row without tips is built
from the segments that are no tips, and is compared with the row acted on before it is handed out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from empo2_agent.transcript import tokens, without_tips
from empo2_agent.types import Episode, Segment


@dataclass(frozen=True, slots=True)
class Row:
    """A sequence of input tokens, and the places whose logits predict the tokens learnt from."""

    token_ids: tuple[int, ...]
    places: tuple[int, ...]
    """Ascending indices into `token_ids`; target k is what follows place k."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Sampled tokens that share one row.

    `targets`, `allowed`, `behaviour`, `advantages` and `turns` have an entry for each place of the
    rows: tokens that were drawn. Forced tokens are input only: their log-probability is 0 whatever
    the weights are.
    """

    sequence: int
    """Number of the episode in its training step."""
    acting: Row
    """What the tokens were drawn on."""
    update: Row
    """What the update conditions on."""
    targets: tuple[int, ...]
    allowed: tuple[tuple[int, ...] | None, ...]
    """Ids the draw was restricted to; None: the whole vocabulary."""
    behaviour: tuple[float, ...]
    """Log-probabilities under which the engine drew them."""
    advantages: tuple[float, ...]
    turns: tuple[int, ...]
    """The step of the episode each token belongs to."""

    @property
    def differs(self) -> bool:
        """Whether the update conditions on something else than was acted on."""
        return self.acting != self.update


def samples_of(
    episode: Episode, advantages: Sequence[float], *, off_policy: bool, sequence: int
) -> list[Sample]:
    """One sample of the whole episode, and one more for each reply the ledger does not show.

    Args:
        episode: A usable one.
        advantages: One for each step.
        off_policy: Leave the tips out of the rows that are learnt on.
        sequence: See `Sample`.

    Raises:
        ValueError: `advantages` has another length than the episode's steps.
        AssertionError: A row without tips is not the row acted on minus its tips.
    """
    if len(advantages) != len(episode.steps):
        raise ValueError(f"{len(advantages)} advantages for {len(episode.steps)} steps")
    turns = [n for n, step in enumerate(episode.steps) if step.sampled is None]
    paths: list[tuple[Sequence[Segment], list[int]]] = [(episode.segments, turns)]
    for number, step in enumerate(episode.steps):
        if step.sampled is not None:
            paths.append(([*_beginning(episode, step.prompt_tokens), step.sampled], [number]))
    found = [_sample(path, owners, advantages, off_policy, sequence) for path, owners in paths]
    return [sample for sample in found if sample.targets]


def _sample(
    path: Sequence[Segment],
    owners: Sequence[int],
    advantages: Sequence[float],
    off_policy: bool,
    sequence: int,
) -> Sample:
    """The sample of a path; `owners` are the steps of its learnt segments, in order.

    A path that ends in a reply the ledger does not show is learnt from in that reply alone.
    """
    drawn = [segment for segment in path if segment.kind == "action"][-len(owners) :]
    learnt = [
        (segment, k, step)
        for segment, step in zip(drawn, owners, strict=True)
        for k in _chosen(segment)
    ]
    acting = _row(path, drawn)
    update = acting
    if off_policy and any(segment.kind == "tip" for segment in path):
        update = _row(without_tips(path), drawn)
        _check_removal(path, acting, update)
    return Sample(
        sequence=sequence,
        acting=acting,
        update=update,
        targets=tuple(segment.token_ids[k] for segment, k, _ in learnt),
        allowed=tuple(segment.allowed[k] for segment, k, _ in learnt),
        behaviour=tuple(segment.logprobs[k] for segment, k, _ in learnt),
        advantages=tuple(advantages[step] for _, _, step in learnt),
        turns=tuple(step for _, _, step in learnt),
    )


def _beginning(episode: Episode, count: int) -> Iterator[Segment]:
    """The segments that hold the first `count` tokens of the ledger."""
    for segment in episode.segments:
        if count <= 0:
            return
        count -= len(segment.token_ids)
        yield segment


def _chosen(segment: Segment) -> list[int]:
    """Places in a reply at which there was a choice."""
    return [k for k, ids in enumerate(segment.allowed) if ids is None or len(ids) > 1]


def _row(path: Sequence[Segment], drawn: Sequence[Segment]) -> Row:
    """All tokens of a path up to the last that predicts a learnt one."""
    learnt = {id(segment) for segment in drawn}
    places: list[int] = []
    start = 0
    for segment in path:
        if id(segment) in learnt:
            places += [start + k - 1 for k in _chosen(segment)]
        start += len(segment.token_ids)
    end = places[-1] + 1 if places else 0
    return Row(tokens(path)[:end], tuple(places))


def _check_removal(path: Sequence[Segment], acting: Row, update: Row) -> None:
    """The row without tips must be the row acted on, minus exactly the tokens of its tips."""
    kept: list[int] = []
    start = 0
    for segment in path:
        end = min(start + len(segment.token_ids), len(acting.token_ids))
        if segment.kind != "tip":
            kept += acting.token_ids[start:end]
        start += len(segment.token_ids)
    if tuple(kept) != update.token_ids or len(update.places) != len(acting.places):
        raise AssertionError("a tip reached the sequence that is learnt without tips")
