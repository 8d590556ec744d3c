"""Log-probabilities of sampled tokens, for many rows in one pass, with gradient.

Rows are laid end to end without padding (see `layout`), and the projection onto the vocabulary is computed at the places that predict a learnt token and nowhere else. Names carry
shapes: `_T` learnt tokens of all rows, one after the other; `_V` vocabulary; `_A` allowed ids.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from empo2_agent.train.layout import lay_out
from empo2_agent.train.samples import Row


class Drawn(NamedTuple):
    """What the model says about tokens that were drawn."""

    logprobs_T: Tensor
    entropy_T: Tensor
    """Of the distribution each token was drawn from, in nats, without gradient."""


def logprobs_of(
    model: PreTrainedModel,
    rows: Sequence[Row],
    targets: Sequence[int],
    allowed: Sequence[tuple[int, ...] | None],
    temperature: float,
) -> Drawn:
    """Log-probabilities of `targets`, under the distribution they were drawn from.

    Args:
        model: Loaded with `attn_implementation=flat.NAME`.
        rows: Laid out in this order.
        targets: What follows the places of all rows, one after the other.
        allowed: For each target the ids it was drawn among; None: the whole vocabulary.
        temperature: Above 0; logits are divided by it, as they were when sampling.
    """
    logits_TV = logits_of(model, rows) / temperature
    targets_T = torch.tensor(targets, device=logits_TV.device)
    free = [n for n, ids in enumerate(allowed) if ids is None]
    bound = [n for n, ids in enumerate(allowed) if ids is not None]
    logprobs_T = logits_TV.new_zeros(len(targets))
    entropy_T = logits_TV.new_zeros(len(targets))
    for places, kept in ((free, None), (bound, [ids for ids in allowed if ids is not None])):
        if places:
            at = torch.tensor(places, device=logits_TV.device)
            found = _among(logits_TV[at], targets_T[at], kept)
            logprobs_T = logprobs_T.index_put((at,), found.logprobs_T)
            entropy_T = entropy_T.index_put((at,), found.entropy_T)
    return Drawn(logprobs_T, entropy_T)


def logits_of(model: PreTrainedModel, rows: Sequence[Row]) -> Tensor:
    """[places of all rows, vocabulary]: logits at the places of the rows, at least float32."""
    plan = lay_out([row.token_ids for row in rows])
    places = [at(place) for at, row in zip(plan.places, rows, strict=True) for place in row.places]
    kept = sorted(set(places))  # rows that begin alike predict from the same place
    index = {place: n for n, place in enumerate(kept)}
    device = model.device
    logits: Tensor = model(
        input_ids=torch.tensor([plan.token_ids], device=device),
        position_ids=torch.tensor([plan.positions], device=device),
        use_cache=False,
        logits_to_keep=torch.tensor(kept, device=device),
        parts=plan.parts,
    ).logits[0]
    logits = logits[torch.tensor([index[place] for place in places], device=device)]
    return logits if logits.dtype == torch.float64 else logits.float()


def _among(
    logits_TV: Tensor, targets_T: Tensor, allowed: Sequence[tuple[int, ...]] | None
) -> Drawn:
    """Log-probabilities among the allowed ids alone; None: among all."""
    if allowed is None:
        logprobs_TA = torch.log_softmax(logits_TV, dim=-1)
        chosen_T = targets_T
    else:
        width = max(map(len, allowed))
        device = logits_TV.device
        ids_TA = torch.tensor([[*ids, *([ids[0]] * (width - len(ids)))] for ids in allowed]).to(
            device
        )
        real_TA = torch.tensor([[k < len(ids) for k in range(width)] for ids in allowed]).to(device)
        scores_TA = logits_TV.gather(1, ids_TA).masked_fill(~real_TA, -torch.inf)
        logprobs_TA = torch.log_softmax(scores_TA, dim=-1)
        chosen_T = ((ids_TA == targets_T[:, None]) & real_TA).int().argmax(dim=1)
    logprobs_T = logprobs_TA.gather(1, chosen_T[:, None])[:, 0]
    with torch.no_grad():
        mass_TA = logprobs_TA.exp()
        entropy_T = -torch.where(mass_TA > 0, mass_TA * logprobs_TA, 0.0).sum(-1)
    return Drawn(logprobs_T, entropy_T)
