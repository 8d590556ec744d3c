"""AdamW where it must not lose small steps, must be bounded, and must go on as if never stopped."""

import io
import math

import pytest
import torch
from torch import Tensor

from empo2_agent.train.optimizer import Optimizer


def make(weights: list[torch.nn.Parameter], **changes: object) -> Optimizer:
    arguments: dict[str, object] = {
        "learning_rate": 0.01, "warmup_steps": 0, "weight_decay": 0.0, "max_grad_norm": 1e9,
    }  # fmt: skip
    return Optimizer(weights, **{**arguments, **changes})  # type: ignore[arg-type] # the same names


def parameter(values: list[float], dtype: torch.dtype = torch.float64) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor(values, dtype=dtype))


def test_small_updates_of_narrow_weights_are_not_lost() -> None:
    """At 1.0 the next bfloat16 is 0.0078 away: steps of 0.0005 only show together."""
    narrow, wide = parameter([1.0], torch.bfloat16), parameter([1.0])
    for weight in (narrow, wide):
        optimizer = make([weight], learning_rate=0.0005)
        for _ in range(100):
            weight.grad = torch.ones_like(weight)
            optimizer.step()
    assert wide.item() == pytest.approx(0.95, abs=1e-4)
    assert narrow.dtype is torch.bfloat16
    assert narrow.item() == pytest.approx(wide.item(), abs=0.004)


def test_wide_weights_are_changed_in_place() -> None:
    weight = parameter([1.0, -2.0], torch.float32)
    address = weight.data_ptr()
    optimizer = make([weight])
    weight.grad = torch.tensor([1.0, 0.0])
    optimizer.step()
    assert weight.data_ptr() == address
    assert weight.tolist() == pytest.approx([0.99, -2.0])
    assert optimizer.state()["masters"] == []


def test_the_first_steps_by_hand() -> None:
    """AdamW, arXiv 1711.05101, with betas 0.9 and 0.95 and decoupled decay."""
    weight = parameter([1.0])
    optimizer = make([weight], learning_rate=0.1, weight_decay=0.5)
    value, m, v = 1.0, 0.0, 0.0
    for step, gradient in enumerate((0.3, -0.2, 0.9), start=1):
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        assert optimizer.step() == pytest.approx(abs(gradient), abs=1e-6)
        m, v = 0.9 * m + 0.1 * gradient, 0.95 * v + 0.05 * gradient**2
        value -= 0.1 * 0.5 * value
        value -= 0.1 * (m / (1 - 0.9**step)) / (math.sqrt(v / (1 - 0.95**step)) + 1e-8)
        assert weight.item() == pytest.approx(value, abs=1e-9)


def test_the_learning_rate_rises_to_its_value() -> None:
    weight = parameter([1.0])
    optimizer = make([weight], warmup_steps=4)
    rates = []
    for _ in range(6):
        rates.append(optimizer.learning_rate)
        before = weight.item()
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        assert before - weight.item() == pytest.approx(rates[-1], rel=1e-6)
    assert rates == pytest.approx([0.0025, 0.005, 0.0075, 0.01, 0.01, 0.01])


def test_the_norm_is_bounded_over_all_weights_together() -> None:
    """Adam forgets a common scale, so the second step shows what the first was given."""
    ends = []
    for bound, gradient in ((1.0, 5.0), (1e9, 1.0)):
        one, other = parameter([1.0]), parameter([1.0])
        optimizer = make([one, other], max_grad_norm=bound)
        one.grad, other.grad = _full(0.6 * gradient), _full(0.8 * gradient)
        assert optimizer.step() == pytest.approx(gradient)
        one.grad, other.grad = _full(0.6), _full(0.0)
        optimizer.step()
        ends.append([one.item(), other.item()])
    assert ends[0] == pytest.approx(ends[1], abs=1e-6)


def _full(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_not_applied(value: float) -> None:
    weight = parameter([1.0])
    optimizer = make([weight])
    weight.grad = _full(value)
    assert not math.isfinite(optimizer.step())
    assert weight.item() == 1.0
    assert weight.grad is None
    assert optimizer.steps == 0
    weight.grad = _full(1.0)
    optimizer.step()
    assert weight.item() == pytest.approx(0.99)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_restored_optimizer_continues_bit_for_bit(dtype: torch.dtype) -> None:
    chance = torch.Generator().manual_seed(2)
    gradients = [torch.randn(8, generator=chance).to(dtype) for _ in range(12)]
    start = torch.randn(8, generator=chance).to(dtype)

    def go(optimizer: Optimizer, weight: torch.nn.Parameter, part: list[Tensor]) -> None:
        for gradient in part:
            weight.grad = gradient.clone()
            optimizer.step()

    never_stopped = torch.nn.Parameter(start.clone())
    go(make([never_stopped], warmup_steps=9), never_stopped, gradients)

    first = torch.nn.Parameter(start.clone())
    optimizer = make([first], warmup_steps=9)
    go(optimizer, first, gradients[:5])
    file = io.BytesIO()
    torch.save(optimizer.state(), file)
    file.seek(0)
    second = torch.nn.Parameter(first.detach().clone())
    optimizer = make([second], warmup_steps=9)
    optimizer.restore(torch.load(file, weights_only=True))
    go(optimizer, second, gradients[5:])
    assert torch.equal(second, never_stopped)
