"""What training is said to take, against real models and hand-worked sums."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from empo2_agent.policies.transformers import load
from empo2_agent.train.footprint import (
    HEAP_SPREAD,
    PROGRAM_BYTES,
    Load,
    Shape,
    activation_bytes,
    footprint,
    read_shape,
)
from empo2_agent.train.optimizer import Optimizer
from empo2_agent.train.weights import Weights

SHAPE = Shape(
    parameters=1000, linear=50, layers=3, hidden=8, keys=4, feed_forward=16, vocabulary=100,
    context=64,
)  # fmt: skip
LOAD = Load(
    bytes_per_number=4, lora_rank=2, learns=True, keeps_reference=False,
    gradient_checkpointing=False, pass_tokens=10, drawn_share=0.5, episode_tokens=6, spread=2.0,
    concurrent=7, world_bytes=11.0,
)  # fmt: skip
# a layer: 8 * 8 + 2 * 4 + 4 * 16 = 136 numbers; three are 408, 1632 bytes. Logits at every second
# token: 100 * 4 numbers of 4 bytes, half of that 800.
ACTIVATIONS = 1632 + 800


def test_by_hand_with_an_adapter() -> None:
    assert activation_bytes(SHAPE, LOAD) == ACTIVATIONS
    assert footprint(SHAPE, LOAD) == {
        "program": PROGRAM_BYTES,
        "weights": 4000.0,
        "adapter": 2 * 50 * 4.0,
        "gradients": 2 * 50 * 4.0,
        "optimizer": 2 * 50 * 8.0,
        "environments": 77.0,
        "activations": 10 * ACTIVATIONS * 2.0,
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"lora_rank": 0, "keeps_reference": True},
            {"gradients": 4000.0, "optimizer": 8000.0, "reference": 4000.0, "adapter": None},
        ),
        # two bytes a number, and a float32 copy of what is trained with its gradient
        (
            {"lora_rank": 0, "bytes_per_number": 2},
            {"weights": 2000.0, "gradients": 2000.0, "optimizer": 16_000.0,
             "activations": 10 * (816 + 800) * 2.0},
        ),
        ({"gradient_checkpointing": True}, {"activations": 10 * ((24 + 136) * 4 + 800) * 2.0}),
        # without an update the conversations are all there is: keys and values of 3 layers
        (
            {"learns": False},
            {"gradients": None, "optimizer": None, "adapter": None, "activations": None,
             "keys and values": 7 * 6 * 2.0 * 3 * 4 * 4},
        ),
        # the larger of the two phases counts
        (
            {"concurrent": 700},
            {"keys and values": 700 * 6 * 2.0 * 3 * 4 * 4, "activations": None},
        ),
    ],
)  # fmt: skip
def test_each_part_by_hand(change: dict[str, object], expected: dict[str, float | None]) -> None:
    found = footprint(SHAPE, replace(LOAD, **change))  # type: ignore[arg-type] # a misspelt field raises
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize("rank", [0, 3])
def test_what_is_counted_is_what_torch_holds(tiny_model_dir: Path, rank: int) -> None:
    shape = read_shape(tiny_model_dir)
    assert shape is not None
    found = footprint(shape, replace(LOAD, lora_rank=rank))
    policy = load(tiny_model_dir, name="tiny", dtype="float32", device="cpu")
    assert found["weights"] == sum(p.nbytes for p in policy.model.parameters())
    assert shape.context == policy.context_limit
    weights = Weights(policy.model, lora_rank=rank, lora_alpha=6, seed=0)
    optimizer = Optimizer(
        weights.trained, learning_rate=0.1, warmup_steps=0, weight_decay=0.0, max_grad_norm=1.0
    )
    for parameter in weights.trained:
        parameter.grad = parameter.detach().clone()
    gradients = sum(p.grad.nbytes for p in weights.trained if p.grad is not None)
    optimizer.step()
    moments = [
        tensor
        for state in optimizer.state()["adam"]["state"].values()
        for name, tensor in state.items()
        if name != "step"
    ]
    assert found["gradients"] == gradients
    assert found["optimizer"] == sum(tensor.nbytes for tensor in moments)


def test_a_folder_that_does_not_tell_is_not_guessed(tmp_path: Path, tiny_model_dir: Path) -> None:
    assert read_shape(tmp_path) is None
    config = json.loads((tiny_model_dir / "config.json").read_text())
    for name in ("hidden_size", "num_hidden_layers", "intermediate_size"):
        left = {key: value for key, value in config.items() if key != name}
        (tmp_path / "config.json").write_text(json.dumps(left))
        assert read_shape(tmp_path) is None, name


@pytest.mark.model
def test_of_the_default_model_it_says_what_was_measured(default_model_dir: Path) -> None:
    """6.1 GB at 2,000 tokens a pass, 10.8 GB at 4,000; 0.3 GB of libraries were not loaded then."""
    shape = read_shape(default_model_dir)
    assert shape is not None
    for tokens, measured in ((2000, 6.085e9), (4000, 10.766e9)):
        load = replace(
            LOAD, lora_rank=8, pass_tokens=tokens, drawn_share=1 / 12, spread=HEAP_SPREAD,
            world_bytes=0.0,
        )  # fmt: skip
        assert sum(footprint(shape, load).values()) == pytest.approx(measured + 0.3e9, rel=0.1)
