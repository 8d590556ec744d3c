import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from empo2_agent.actions import trie
from empo2_agent.errors import ModelError
from empo2_agent.policies.sampling import Reply, distribution

LOGITS = torch.tensor([math.log(1.0), math.log(2.0), math.log(3.0), math.log(4.0)])


def free(**overrides: object) -> Reply:
    arguments: dict[str, object] = {
        "seed": 0, "temperature": 1.0, "max_tokens": 3, "end": 3, "stops": (), "choices": None,
    }  # fmt: skip
    return Reply(**{**arguments, **overrides})  # type: ignore[arg-type] # overrides name the same arguments


@pytest.mark.parametrize(
    ("temperature", "allowed", "probabilities"),
    [
        (1.0, None, [0.1, 0.2, 0.3, 0.4]),
        (1.0, (1, 3), [1 / 3, 2 / 3]),
        (0.5, (0, 1), [0.2, 0.8]),  # weights squared: 1 to 4
        (2.0, (0, 3), [1 / 3, 2 / 3]),  # square roots: 1 to 2
        (0.0, None, [0, 0, 0, 1]),
        (0.0, (0, 2), [0, 1]),
    ],
)
def test_the_distribution_by_hand(
    temperature: float, allowed: tuple[int, ...] | None, probabilities: list[float]
) -> None:
    logprobs, ids = distribution(LOGITS, temperature, allowed)
    assert logprobs.exp().tolist() == pytest.approx(probabilities, abs=1e-7)  # float32 logits
    assert ids.tolist() == list(allowed or range(4))


def test_a_free_reply_stops_at_an_end_or_at_its_limit() -> None:
    ended = free()
    ended.take(torch.tensor([0.0, 0, 0, 100]))
    assert (ended.done, ended.ended, ended.token_ids, ended.allowed) == (True, True, [3], [None])
    cut = free()
    for _ in range(3):
        cut.take(torch.tensor([100.0, 0, 0, 0]))
    assert (cut.done, cut.ended, cut.token_ids) == (True, False, [0, 0, 0])


def test_a_foreign_end_stops_a_reply_and_is_no_part_of_it() -> None:
    reply = free(stops={2})
    reply.take(torch.tensor([100.0, 0, 0, 0]))
    reply.take(torch.tensor([0.0, 0, 100, 0]))
    assert (reply.done, reply.ended, reply.token_ids, reply.logprobs) == (True, False, [0], [0.0])


def test_forced_tokens_cost_nothing_and_choices_are_renormalised() -> None:
    reply = free(choices=trie([(5, 1, 6, 9), (5, 3, 9)]), seed=4)
    assert (reply.token_ids, reply.logprobs, reply.done) == ([5], [0.0], False)
    reply.take(torch.cat([LOGITS, torch.full((6,), 50.0)]))  # what is not allowed does not count
    taken = reply.token_ids[1]
    assert reply.logprobs[1] == pytest.approx(math.log({1: 1 / 3, 3: 2 / 3}[taken]))
    assert reply.allowed[:2] == [(5,), (1, 3)]
    assert reply.done
    assert reply.ended
    assert reply.token_ids == {1: [5, 1, 6, 9], 3: [5, 3, 9]}[taken]


def test_a_single_choice_needs_no_model() -> None:
    reply = free(choices=trie([(5, 6, 9)]))
    assert (reply.done, reply.token_ids, reply.logprobs) == (True, [5, 6, 9], [0.0, 0.0, 0.0])


def test_same_seed_same_tokens_and_another_seed_differs() -> None:
    def sample(seed: int) -> list[int]:
        reply = free(seed=seed, max_tokens=20, end=99)
        while not reply.done:
            reply.take(LOGITS)
        return reply.token_ids

    assert sample(1) == sample(1)
    assert sample(1) != sample(2)


def test_frequencies_follow_the_distribution() -> None:
    counts = [0] * 4
    for seed in range(4000):
        reply = free(seed=seed, max_tokens=1, end=99)
        reply.take(LOGITS)
        counts[reply.token_ids[0]] += 1
    expected = [400, 800, 1200, 1600]
    chi_square = sum((c - e) ** 2 / e for c, e in zip(counts, expected, strict=True))
    assert chi_square < 16.27  # 0.999 quantile for 3 degrees of freedom


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=6), st.integers(0, 10_000))
@settings(max_examples=50)
def test_a_token_without_mass_is_never_drawn(scores: list[float], seed: int) -> None:
    logits = torch.tensor(scores)
    logits[0] = -torch.inf
    reply = free(seed=seed, max_tokens=1, end=99)
    reply.take(logits)
    assert reply.token_ids != [0]


def test_a_model_that_computes_no_number_is_refused_not_sampled() -> None:
    for choices in (None, trie([(1, 2, 9), (1, 3, 9)])):
        reply = free(choices=choices)
        with pytest.raises(ModelError, match="is no number"):
            reply.take(torch.full((10,), torch.nan))
