import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from empo2_agent.train.losses import policy_loss, too_unlikely, truncated_importance
from tests import reference

CLIP: dict[str, Any] = {"clip_low": 0.2, "clip_high": 0.3, "dual_clip": 10.0}


def tensor(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient", "clipped"),
    [
        (1.0, 2.0, -2.0, -2.0, 0),  # on policy: -A, slope -A
        (1.5, 1.0, -1.3, 0.0, 1),  # has gained enough: held at 1 + clip_high
        (0.5, 1.0, -0.5, -0.5, 0),  # has lost, should gain: free
        (1.5, -1.0, 1.5, 1.5, 0),  # has gained, should lose: free
        (0.5, -1.0, 0.8, 0.0, 1),  # has lost enough: held at 1 - clip_low
        (20.0, -1.0, 10.0, 0.0, 1),  # far off and bad: held at the dual clip
    ],
)
def test_value_and_gradient_by_hand(
    ratio: float, advantage: float, loss: float, gradient: float, clipped: int
) -> None:
    new = tensor([math.log(ratio)]).requires_grad_()
    found = policy_loss(new, tensor([0.0]), tensor([advantage]), tensor([1.0]), **CLIP)
    found.loss.backward()  # type: ignore[no-untyped-call] # torch
    assert found.loss.item() == pytest.approx(loss, abs=1e-9)
    assert new.grad is not None
    assert new.grad.item() == pytest.approx(gradient, abs=1e-9)
    assert found.clipped.item() == clipped


def test_a_masked_token_loses_its_advantage_term_and_keeps_its_kl_term() -> None:
    new = tensor([-700.0, -1.0]).requires_grad_()
    found = policy_loss(
        new,
        tensor([-1500.0, -1.0]),  # an infinite ratio
        tensor([1.0, 1.0]),
        tensor([0.5, 0.5]),
        masked_T=torch.tensor([True, False]),
        reference_T=tensor([-700.0 + math.log(2), -1.0]),
        kl_coefficient=0.1,
        **CLIP,
    )
    found.loss.backward()  # type: ignore[no-untyped-call] # torch
    kl = 2 - math.log(2) - 1
    assert found.loss.item() == pytest.approx(0.5 * 0.1 * kl - 0.5, abs=1e-9)
    assert new.grad is not None
    assert new.grad.tolist() == pytest.approx([0.5 * 0.1 * (1 - 2), -0.5], abs=1e-9)
    assert found.masked.item() == 1
    assert found.kl.item() == pytest.approx(kl)


def test_the_correction_scales_the_gradient_and_has_none_itself() -> None:
    new, learner = tensor([0.0]).requires_grad_(), tensor([math.log(3)]).requires_grad_()
    weight = truncated_importance(learner, tensor([0.0]), cap=2.0)
    assert weight.tolist() == [2.0]
    assert truncated_importance(tensor([0.0]), tensor([math.log(4)]), 2.0).item() == pytest.approx(
        0.25
    )
    policy_loss(
        new, tensor([0.0]), tensor([1.0]), tensor([1.0]), correction_T=weight, **CLIP
    ).loss.backward()  # type: ignore[no-untyped-call] # torch
    assert new.grad is not None
    assert new.grad.item() == pytest.approx(-2.0)
    assert learner.grad is None


NUMBERS = st.floats(-4, 0)
TOKENS = st.tuples(
    NUMBERS, NUMBERS, st.floats(-3, 3), st.floats(0, 1), st.booleans(), st.floats(0, 2), NUMBERS
)


@given(st.lists(TOKENS, min_size=1, max_size=6), st.floats(0, 0.5))
def test_equals_the_reference(rows: list[tuple[Any, ...]], kl: float) -> None:
    new, old, advantages, weights, masked, correction, other = (
        list(c) for c in zip(*rows, strict=True)
    )
    found = policy_loss(
        tensor(new), tensor(old), tensor(advantages), tensor(weights), masked_T=torch.tensor(masked),
        correction_T=tensor(correction), reference_T=tensor(other), kl_coefficient=kl, **CLIP,
    )  # fmt: skip
    expected = reference.policy_loss(
        new, old, advantages, weights, masked=masked, correction=correction, reference=other,
        kl_coefficient=kl, **CLIP,
    )  # fmt: skip
    assert found.loss.item() == pytest.approx(expected, abs=1e-9)


@given(st.lists(TOKENS, min_size=2, max_size=6), st.data())
def test_splitting_a_batch_changes_nothing(
    rows: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    def loss(part: list[tuple[Any, ...]]) -> float:
        new, old, advantages, weights, *_ = (list(c) for c in zip(*part, strict=True))
        return policy_loss(
            tensor(new), tensor(old), tensor(advantages), tensor(weights), **CLIP
        ).loss.item()

    cut = data.draw(st.integers(1, len(rows) - 1))
    assert loss(rows[:cut]) + loss(rows[cut:]) == pytest.approx(loss(rows), abs=1e-9)


def test_too_unlikely_by_token_and_by_turn() -> None:
    new, turns = tensor([-1.0, -6.0, -4.9, -5.0]), torch.tensor([0, 0, 1, 1])
    assert too_unlikely(new, turns, -5.0, "token").tolist() == [False, True, False, False]
    assert too_unlikely(new, turns, -5.0, "turn").tolist() == [True, True, False, False]


def test_wrong_shapes_are_refused() -> None:
    one, two = tensor([0.0]), tensor([0.0, 0.0])
    with pytest.raises(ValueError, match=r"want \(1,\), got \(2,\)"):
        policy_loss(one, two, one, one, **CLIP)
    with pytest.raises(ValueError, match="want one dimension"):
        policy_loss(one[None], one[None], one[None], one[None], **CLIP)
