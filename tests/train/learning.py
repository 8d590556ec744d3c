"""A learner over tiny weights, whose optimizer also keeps what every step was given."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from empo2_agent.train.learner import Learner, LossOptions, Update
from empo2_agent.train.optimizer import Optimizer
from empo2_agent.train.samples import Sample, samples_of
from empo2_agent.train.weights import Weights
from empo2_agent.types import Episode
from tests.train.played import TEMPERATURE, Mode, uneven


class KeepingOptimizer(Optimizer):
    """An optimizer that keeps, for each step, the gradients and the model they are of."""

    def __init__(self, weights: Weights, **options: Any) -> None:
        super().__init__(weights.trained, **options)
        self._source = weights
        self.gradients: list[list[Tensor]] = []
        self.models: list[PreTrainedModel] = []

    def step(self) -> float:
        """See `Optimizer.step`."""
        trained = self._source.trained
        self.gradients.append(
            [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in trained]
        )
        self.models.append(twin(self._source.model))
        return super().step()


def twin(model: PreTrainedModel) -> PreTrainedModel:
    """A copy with the same weights, adapter included, and an attention of transformers."""
    copied = copy.deepcopy(model)
    copied.zero_grad()
    copied.set_attn_implementation("sdpa")
    return copied


def make_learner(
    model: PreTrainedModel,
    options: LossOptions,
    *,
    lora: bool,
    learning_rate: float = 0.0,
    gradient_checkpointing: bool = False,
    moved: float = 0.05,
    **arguments: Any,
) -> tuple[Learner, KeepingOptimizer]:
    """A learner whose weights have moved since the episodes were played (and since the reference)."""
    weights = Weights(
        model, lora_rank=4 if lora else 0, lora_alpha=8, seed=0,
        gradient_checkpointing=gradient_checkpointing,
    )  # fmt: skip
    optimizer = KeepingOptimizer(
        weights, learning_rate=learning_rate, warmup_steps=0, weight_decay=0.0, max_grad_norm=1e9
    )
    settings: dict[str, Any] = {"tokens_per_batch": 4000, "temperature": TEMPERATURE, **arguments}
    learner = Learner(weights, optimizer, options, **settings)
    move(weights, moved)
    return learner, optimizer


def move(weights: Weights, by: float) -> None:
    """Change every trained weight a little, the same for the same `by`."""
    chance = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in weights.trained:
            weight.add_(by * torch.randn(weight.shape, generator=chance, dtype=torch.float64))


def learn(learner: Learner, samples: Sequence[Sample]) -> Update:
    """Carry out an update to its end."""
    passes = learner.update(samples)
    while True:
        try:
            next(passes)
        except StopIteration as stop:
            update: Update = stop.value
            return update


def gradients(
    model: PreTrainedModel, samples: Sequence[Sample], *, lora: bool = False, **arguments: Any
) -> tuple[float, list[Tensor]]:
    """Loss and gradients of one optimizer step over all samples."""
    options = arguments.pop("options", LossOptions())
    learner, optimizer = make_learner(model, options, lora=lora, **arguments)
    update = learn(learner, samples)
    [found] = optimizer.gradients
    return update.loss, found


def samples_in(episodes: Sequence[Episode], mode: Mode) -> list[Sample]:
    """All samples of some episodes, with uneven advantages."""
    return [
        sample
        for number, (episode, row) in enumerate(zip(episodes, uneven(episodes), strict=True))
        for sample in samples_of(episode, row, off_policy=mode == "off-policy", sequence=number)
    ]


def apart(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest difference of any two numbers, relative to the largest of all there are."""
    assert len(found) == len(expected) > 0
    size = max(float(one.abs().max()) for one in expected)
    assert size > 0, "nothing is compared with nothing"
    pairs = zip(found, expected, strict=True)
    return max(float((one - other).abs().max()) for one, other in pairs) / size
