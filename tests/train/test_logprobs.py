"""Log-probabilities of many rows in one pass, against one row at a time."""

import math
import random
from pathlib import Path

import pytest
import torch

from empo2_agent.train.layout import WORTH_SHARING
from empo2_agent.train.logprobs import logits_of, logprobs_of
from empo2_agent.train.samples import Row
from tests.train.played import exact_policy, own_attention


def make_rows() -> list[Row]:
    """Two families of rows that begin alike, and one row on its own between them."""
    chance = random.Random(3)

    def draw(count: int) -> list[int]:
        return [chance.randrange(3, 290) for _ in range(count)]

    one, other = draw(WORTH_SHARING + 4), draw(WORTH_SHARING)
    tokens = [[*one, *draw(7)], [*one, *draw(1)], one, draw(20), [*other, *draw(5)], [*other, 9, 8]]
    return [Row(tuple(row), (3, len(row) - 2, len(row) - 1)) for row in tokens]


def test_logits_are_those_of_every_row_alone(tiny_model_dir: Path) -> None:
    rows = make_rows()
    own = own_attention(tiny_model_dir)
    with torch.no_grad():
        found = logits_of(exact_policy(tiny_model_dir).model, rows)
        expected = [
            own(input_ids=torch.tensor([row.token_ids]), use_cache=False).logits[0][
                list(row.places)
            ]
            for row in rows
        ]
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-9, atol=1e-9)


def test_log_probabilities_among_what_was_allowed(tiny_model_dir: Path) -> None:
    model = exact_policy(tiny_model_dir).model
    row = Row((5, 6, 7, 8), (1, 2, 3))
    allowed = ((40, 41), None, (43, 50, 42, 44))
    targets = (41, 60, 42)
    found = logprobs_of(model, [row], targets, allowed, 2.0)
    with torch.no_grad():
        logits = own_attention(tiny_model_dir)(input_ids=torch.tensor([row.token_ids])).logits[0]
    for n, (place, ids, target) in enumerate(zip(row.places, allowed, targets, strict=True)):
        among = range(logits.shape[-1]) if ids is None else ids
        scores = {i: logits[place, i].item() / 2.0 for i in among}
        total = math.log(sum(math.exp(score) for score in scores.values()))
        logprobs = {i: score - total for i, score in scores.items()}
        entropy = -sum(math.exp(one) * one for one in logprobs.values())
        assert found.logprobs_T[n].item() == pytest.approx(logprobs[target], abs=1e-9)
        assert found.entropy_T[n].item() == pytest.approx(entropy, abs=1e-9)
    assert not found.entropy_T.requires_grad
