from dataclasses import replace

import pytest

from empo2_agent.train.packing import batches, minibatches, token_weights
from empo2_agent.train.samples import Row, Sample


def make(sequence: int, length: int, targets: int) -> Sample:
    row = Row(tuple(range(length)), tuple(range(length - targets, length)))
    return Sample(
        sequence, row, row, (1,) * targets, (None,) * targets, (-1.0,) * targets,
        (1.0,) * targets, (0,) * targets,
    )  # fmt: skip


SAMPLES = [make(0, 10, 2), make(0, 4, 1), make(1, 6, 4), make(2, 30, 1), make(2, 3, 1)]


@pytest.mark.parametrize(
    ("budget", "sizes"),
    [(1, [1, 1, 1, 1, 1]), (14, [2, 1, 1, 1]), (20, [3, 1, 1]), (33, [3, 2]), (53, [5])],
)
def test_as_many_as_fit_in_order_and_a_longer_one_alone(budget: int, sizes: list[int]) -> None:
    found = list(batches(SAMPLES, budget))
    assert [len(batch) for batch in found] == sizes
    assert [sample for batch in found for sample in batch] == SAMPLES
    assert all(
        len(batch) == 1 or sum(len(s.update.token_ids) for s in batch) <= budget for batch in found
    )


def test_the_budget_counts_the_longer_row_of_a_sample() -> None:
    long, short = Row(tuple(range(10)), (1,)), Row((1, 2), (1,))
    for acting, update in ((long, short), (short, long)):
        sample = replace(SAMPLES[3], acting=acting, update=update)
        assert [len(batch) for batch in batches([sample, sample], 19)] == [1, 1]
        assert [len(batch) for batch in batches([sample, sample], 20)] == [2]


@pytest.mark.parametrize(
    ("episodes", "sizes"), [(None, [5]), (1, [2, 1, 2]), (2, [3, 2]), (9, [5])]
)
def test_minibatches_are_whole_episodes(episodes: int | None, sizes: list[int]) -> None:
    found = list(minibatches(SAMPLES, episodes))
    assert [len(batch) for batch in found] == sizes
    assert [sample for batch in found for sample in batch] == SAMPLES
    assert list(minibatches([], episodes)) == []


def test_weights_by_hand() -> None:
    assert token_weights(SAMPLES, "token") == {0: 1 / 9, 1: 1 / 9, 2: 1 / 9}
    assert token_weights(SAMPLES, "sequence") == {0: 1 / 9, 1: 1 / 12, 2: 1 / 6}


@pytest.mark.parametrize("mean_over", ["token", "sequence"])
def test_weights_of_all_tokens_sum_to_one(mean_over: str) -> None:
    weights = token_weights(SAMPLES, mean_over)  # type: ignore[arg-type] # one of the two
    total = sum(weights[sample.sequence] * len(sample.targets) for sample in SAMPLES)
    assert total == pytest.approx(1.0, abs=1e-12)
