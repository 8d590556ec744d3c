"""One update of the weights, by this project's learner and by a plain one, and how far they differ.

The learning rate is 0: all of an update is computed, and every round begins with the same weights.
"""

import math
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.recorded import TEMPERATURE
from empo2_agent.config import Settings
from empo2_agent.policies import flat
from empo2_agent.policies.catalog import DEFAULT
from empo2_agent.policies.models import ensure_model
from empo2_agent.policies.transformers import TransformersPolicy, load
from empo2_agent.train.learner import Learner, LossOptions
from empo2_agent.train.losses import policy_loss, too_unlikely, truncated_importance
from empo2_agent.train.optimizer import Optimizer
from empo2_agent.train.packing import token_weights
from empo2_agent.train.samples import Sample
from empo2_agent.train.weights import Weights

BUDGET = Settings().learner.tokens_per_batch
RANK = Settings().learner.lora_rank
ALPHA = Settings().learner.lora_alpha
LOSS = LossOptions()
NO_BOUND = 1e9
"""Of the gradient's norm, so that what the optimizer is given can be compared."""
SAME = 5e-3
"""How far gradients may be apart in float32 (see `apart`). In float64 the tests hold them to 1e-6."""


class Timed(NamedTuple):
    """One update."""

    seconds: float
    tokens: int
    """That went through the model."""
    loss: float


def new_learner(*, lora_rank: int) -> tuple[TransformersPolicy, Learner]:
    """The default model in float32, with the default settings of training, and who plays with it.

    An adapter is moved away from where it changes nothing: there, half of its gradient is 0.
    """
    policy = load(ensure_model(None), name=DEFAULT, dtype="float32", device="cpu")
    weights = Weights(policy.model, lora_rank=lora_rank, lora_alpha=ALPHA, seed=0)
    if lora_rank:
        chance = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for weight in weights.trained:
                weight.add_(torch.randn(weight.shape, generator=chance), alpha=0.01)
    learner = Learner(
        weights, new_optimizer(weights), LOSS, tokens_per_batch=BUDGET, temperature=TEMPERATURE
    )
    return policy, learner


def new_optimizer(weights: Weights) -> Optimizer:
    """The default one, but for the learning rate and the bound of the gradient."""
    return Optimizer(
        weights.trained,
        learning_rate=0.0,
        warmup_steps=0,
        weight_decay=0.0,
        max_grad_norm=NO_BOUND,
    )


def our_update(learner: Learner, samples: Sequence[Sample]) -> Timed:
    """What `empo2 train` does with the samples of a step."""
    learner.weights.model.set_attn_implementation(flat.NAME)
    started = time.perf_counter()
    passes = learner.update(samples)
    while True:
        try:
            next(passes)
        except StopIteration as stop:
            seconds = time.perf_counter() - started
            return Timed(seconds, stop.value.tokens, stop.value.loss)


def plain_update(
    weights: Weights,
    optimizer: Optimizer,
    samples: Sequence[Sample],
    *,
    tokens_per_batch: int | None,
    full_logits: bool,
) -> Timed:
    """The same loss on padded rows, with the attention that transformers has for the model.

    Args:
        weights: Changed to that attention.
        optimizer: Over `weights.trained`.
        samples: A row each.
        tokens_per_batch: Padded tokens in one pass, rows of like length together; None: one pass.
        full_logits: Project every token onto the vocabulary, not only those that predict.
    """
    weights.model.set_attn_implementation("sdpa")
    started = time.perf_counter()
    counts = token_weights(samples, LOSS.mean_over)
    tokens, loss = 0, 0.0
    for batch in _padded(samples, tokens_per_batch):
        logits_TV = _plain_logits(weights, batch, full_logits=full_logits) / TEMPERATURE
        found = _plain_loss(logits_TV, batch, counts)
        found.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        loss += float(found.detach())
        tokens += sum(len(sample.update.token_ids) for sample in batch)
    optimizer.step()
    return Timed(time.perf_counter() - started, tokens, loss)


def first_gradient(optimizer: Optimizer) -> list[Tensor]:
    """What the optimizer was given in its only step, from the mean it keeps."""
    assert optimizer.steps == 1, "the mean is of one gradient only after one step"
    adam = optimizer.state()["adam"]
    beta = adam["param_groups"][0]["betas"][0]
    return [adam["state"][n]["exp_avg"] / (1 - beta) for n in sorted(adam["state"])]


def apart(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """The largest difference of two numbers, relative to the largest of the same matrix."""
    return max(
        float((one - other).abs().max() / other.abs().max())
        for one, other in zip(ours, theirs, strict=True)
    )


def _padded(samples: Sequence[Sample], tokens_per_batch: int | None) -> Iterator[list[Sample]]:
    most = math.inf if tokens_per_batch is None else tokens_per_batch
    batch: list[Sample] = []
    for sample in sorted(samples, key=lambda sample: len(sample.update.token_ids)):
        if batch and (len(batch) + 1) * len(sample.update.token_ids) > most:
            yield batch
            batch = []
        batch.append(sample)
    yield batch


def _plain_logits(weights: Weights, batch: Sequence[Sample], *, full_logits: bool) -> Tensor:
    """[places of all rows, vocabulary]. Padding stands behind, where causal attention needs no mask."""
    rows = [torch.tensor(sample.update.token_ids) for sample in batch]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    row_T = torch.tensor([n for n, s in enumerate(batch) for _ in s.update.places])
    place_T = torch.tensor([place for s in batch for place in s.update.places])
    if full_logits:
        logits: Tensor = weights.model(input_ids=ids, use_cache=False).logits[row_T, place_T]
        return logits
    hidden = weights.model.model(input_ids=ids, use_cache=False).last_hidden_state
    kept: Tensor = weights.model.lm_head(hidden[row_T, place_T])
    return kept


def _plain_loss(logits_TV: Tensor, batch: Sequence[Sample], counts: dict[int, float]) -> Tensor:
    allowed = [ids for sample in batch for ids in sample.allowed]
    targets = [target for sample in batch for target in sample.targets]
    new_T = torch.stack(
        [
            row[target] - (row if ids is None else row[list(ids)]).logsumexp(0)
            for row, ids, target in zip(logits_TV, allowed, targets, strict=True)
        ]
    ).double()
    old_T = new_T.detach()
    engine_T = torch.tensor([x for s in batch for x in s.behaviour], dtype=torch.float64)
    turns_T = torch.tensor([100_000 * s.sequence + turn for s in batch for turn in s.turns])
    assert LOSS.mask_by == "token"
    return policy_loss(
        new_T,
        old_T,
        torch.tensor([x for s in batch for x in s.advantages], dtype=torch.float64),
        torch.tensor([counts[s.sequence] for s in batch for _ in s.targets], dtype=torch.float64),
        clip_low=LOSS.clip_low,
        clip_high=LOSS.clip_high,
        dual_clip=LOSS.dual_clip,
        masked_T=too_unlikely(new_T, turns_T, LOSS.mask_log_delta, LOSS.mask_by),
        correction_T=truncated_importance(old_T, engine_T, LOSS.importance_cap),
    ).loss
