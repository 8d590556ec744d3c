"""Training as it is done naively: a row for each turn, one at a time, logits for every token.

It is what `train.samples`, `train.layout`, `train.logprobs` and `train.losses` must agree with, and
imports none of them: rows are cut from the ledger by number of tokens, the model uses the attention
transformers has for it, and the loss is written out token by token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from transformers import PreTrainedModel

from empo2_agent.types import Episode


@dataclass(frozen=True)
class Turn:
    """One training row: what stood before a reply, and the reply."""

    episode: int
    acting: list[int]
    update: list[int]
    reply: list[int]
    behaviour: list[float]
    allowed: list[tuple[int, ...] | None]
    advantage: float

    @property
    def drawn(self) -> list[int]:
        """Places in the reply where there was a choice."""
        return [k for k, ids in enumerate(self.allowed) if ids is None or len(ids) > 1]


@dataclass(frozen=True)
class Found:
    """What the naive way finds."""

    loss: Tensor
    masked: int
    tokens: int
    """Of all rows together."""
    learnt: int
    mismatch: float
    gap: float


def turns_of(
    episodes: Sequence[Episode], advantages: Sequence[Sequence[float]], *, off_policy: bool
) -> list[Turn]:
    """A row for every turn of every episode."""
    return [
        _turn(number, episode, place, advantages[number][place], off_policy)
        for number, episode in enumerate(episodes)
        for place in range(len(episode.steps))
    ]


def _turn(number: int, episode: Episode, place: int, advantage: float, off_policy: bool) -> Turn:
    step = episode.steps[place]
    ledger = [(i, segment.kind) for segment in episode.segments for i in segment.token_ids]
    prompt = ledger[: step.prompt_tokens]
    reply = step.sampled
    if reply is None:
        ends = 0
        for segment in episode.segments:
            if ends == step.prompt_tokens and segment.kind == "action":
                reply = segment
            ends += len(segment.token_ids)
    assert reply is not None
    return Turn(
        episode=number,
        acting=[i for i, _ in prompt],
        update=[i for i, kind in prompt if kind != "tip" or not off_policy],
        reply=list(reply.token_ids),
        behaviour=list(reply.logprobs),
        allowed=list(reply.allowed),
        advantage=advantage,
    )


def logprobs(
    model: PreTrainedModel, prompt: Sequence[int], turn: Turn, temperature: float
) -> list[Tensor]:
    """Of each token of the reply that had an alternative, its log-probability behind `prompt`."""
    row = torch.tensor([[*prompt, *turn.reply]])
    logits = model(input_ids=row, use_cache=False).logits[0] / temperature
    found = []
    for k in turn.drawn:
        scores, ids = logits[len(prompt) + k - 1], turn.allowed[k]
        possible = scores if ids is None else scores[list(ids)]
        found.append(scores[turn.reply[k]] - possible.logsumexp(0))
    return found


def naive_loss(
    model: PreTrainedModel,
    turns: Sequence[Turn],
    *,
    before: PreTrainedModel,
    reference: PreTrainedModel,
    temperature: float,
    clip_low: float,
    clip_high: float,
    dual_clip: float,
    mask_log_delta: float,
    mask_by: Literal["token", "turn", "none"],
    denominator: Literal["with", "without"],
    kl_coefficient: float,
    mean_over: Literal["token", "sequence"],
    importance_cap: float,
) -> Found:
    """The loss of one optimizer step; the keywords from `clip_low` on are those of `LossOptions`.

    Args:
        model: What is trained, as it is now.
        turns: All rows of the step.
        before: The model as it was before the update.
        reference: The model the KL term compares with.
        temperature: The replies were drawn with.
    """
    counts = {turn.episode: 0 for turn in turns}
    for turn in turns:
        counts[turn.episode] += len(turn.drawn)
    learnt = sum(counts.values())
    loss, masked, mismatch, gap = torch.zeros((), dtype=torch.float64), 0, 0.0, 0.0
    for turn in turns:
        new = logprobs(model, turn.update, turn, temperature)
        with torch.no_grad():
            acting = logprobs(before, turn.acting, turn, temperature)
            update = acting
            if turn.update != turn.acting:
                update = logprobs(before, turn.update, turn, temperature)
            other = logprobs(reference, turn.update, turn, temperature)
        low = [x.item() < mask_log_delta for x in new]
        for n, k in enumerate(turn.drawn):
            weight = 1 / learnt if mean_over == "token" else 1 / counts[turn.episode] / len(counts)
            dropped = {"token": low[n], "turn": any(low), "none": False}[mask_by]
            masked += dropped
            mismatch += abs(turn.behaviour[k] - float(acting[n]))
            gap += float(acting[n] - update[n])
            if not dropped:
                old = acting[n] if denominator == "with" else update[n]
                gain = _gain((new[n] - old).exp(), turn.advantage, clip_low, clip_high, dual_clip)
                trust = min(float((acting[n] - turn.behaviour[k]).exp()), importance_cap)
                loss = loss - weight * trust * gain
            away = other[n] - new[n]
            loss = loss + weight * kl_coefficient * (away.exp() - away - 1)
    length = sum(len(turn.update) + len(turn.reply) for turn in turns)
    return Found(loss, masked, length, learnt, mismatch, gap)


def _gain(ratio: Tensor, advantage: float, low: float, high: float, dual: float) -> Tensor:
    """What a token earns: the ratio times the advantage, as far as the clipping lets it."""
    if advantage >= 0:
        return advantage * (ratio if ratio < 1 + high else ratio.new_tensor(1 + high))
    if ratio < 1 - low:
        return advantage * ratio.new_tensor(1 - low)
    return advantage * (ratio if ratio < dual else ratio.new_tensor(dual))


def naive_gradients(model: PreTrainedModel, found: Found) -> list[Tensor]:
    """Gradients of the loss for all that is trained, in the order of the parameters."""
    trained = [p for p in model.parameters() if p.requires_grad]
    grads = torch.autograd.grad(found.loss, trained, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(trained, grads, strict=True)]
