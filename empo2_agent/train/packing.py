"""Which rows go through the model together. One rule: it changes memory and time, never results."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from empo2_agent.train.layout import lay_out
from empo2_agent.train.samples import Sample


def batches(samples: Iterable[Sample], tokens_per_batch: int) -> Iterator[list[Sample]]:
    """Samples in order, as many at a time as fit the budget of tokens; a longer one goes alone.

    Args:
        samples: What is to be learnt from.
        tokens_per_batch: Counted as they are laid out: what neighbours begin with alike, once.
            Of a sample's two rows those of the longer layout count.
    """
    batch: list[Sample] = []
    for sample in samples:
        if batch and _laid_out([*batch, sample]) > tokens_per_batch:
            yield batch
            batch = []
        batch.append(sample)
    if batch:
        yield batch


def _laid_out(batch: Sequence[Sample]) -> int:
    update = len(lay_out([sample.update.token_ids for sample in batch]).token_ids)
    acting = len(lay_out([sample.acting.token_ids for sample in batch]).token_ids)
    return max(update, acting)


def minibatches(samples: Sequence[Sample], episodes: int | None) -> Iterator[list[Sample]]:
    """Samples for one optimizer step each: whole episodes, in order.

    Args:
        samples: Those of an episode stand together.
        episodes: In each minibatch; None: all.
    """
    order = list(dict.fromkeys(sample.sequence for sample in samples))
    size = episodes or max(1, len(order))
    for start in range(0, len(order), size):
        chosen = set(order[start : start + size])
        yield [sample for sample in samples if sample.sequence in chosen]


def token_weights(
    samples: Sequence[Sample], mean_over: Literal["token", "sequence"]
) -> dict[int, float]:
    """What a token of each episode counts in the mean over a minibatch: together they give 1.

    Args:
        samples: Of the whole minibatch, so that splitting it changes nothing.
        mean_over: `token`: all tokens count alike. `sequence`: all episodes do.
    """
    tokens: Counter[int] = Counter()
    for sample in samples:
        tokens[sample.sequence] += len(sample.targets)
    if mean_over == "token":
        return dict.fromkeys(tokens, 1.0 / tokens.total())
    return {episode: 1.0 / (count * len(tokens)) for episode, count in tokens.items()}
