"""The policy loss. Pure functions on tensors; no model, no settings, no logging.

Names carry shapes: `_T` action tokens of all samples of a batch, one after the other.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    """A scalar to minimise, and detached sums over tokens to report."""

    loss: Tensor
    clipped: Tensor
    """Tokens whose gradient the clipping removed."""
    masked: Tensor
    """Tokens whose advantage term was dropped because they are too unlikely."""
    kl: Tensor
    """Sum over tokens of the estimate of KL(policy || reference); 0 without a reference."""


def policy_loss(
    new_T: Tensor,
    old_T: Tensor,
    advantages_T: Tensor,
    weights_T: Tensor,
    *,
    clip_low: float,
    clip_high: float,
    dual_clip: float,
    masked_T: Tensor | None = None,
    correction_T: Tensor | None = None,
    reference_T: Tensor | None = None,
    kl_coefficient: float = 0.0,
) -> PolicyLoss:
    """Clipped surrogate (arXiv 1707.06347, eq. 7) with dual clip (arXiv 1912.09729, eq. 8).

    Args:
        new_T: log pi(token | context of the update), with gradient.
        old_T: log-probabilities in the denominator of the ratio, without gradient.
        advantages_T: The advantage of each token's sample.
        weights_T: What each token counts. They sum to 1 over the whole training step, so that
            splitting a batch leaves the summed gradient unchanged (see `packing.token_weights`).
        clip_low: Ratios below 1 - clip_low earn nothing more where the advantage is negative.
        clip_high: Ratios above 1 + clip_high earn nothing more where it is positive.
        dual_clip: Where the advantage is negative the loss is at most this times its size.
        masked_T: True where the advantage term is dropped (see `too_unlikely`).
        correction_T: Truncated importance weights (see `truncated_importance`).
        reference_T: log-probabilities under the reference model, for the KL term.
        kl_coefficient: What the KL term counts, r - log r - 1 with r = reference / policy
            (Schulman's k3, http://joschu.net/blog/kl-approx.html).

    Raises:
        ValueError: Shapes differ.
    """
    _same_shape(new_T, old_T, advantages_T, weights_T, masked_T, correction_T, reference_T)
    dropped_T = torch.zeros_like(new_T, dtype=torch.bool) if masked_T is None else masked_T
    # Before the exponential: an infinite ratio of a dropped token would make its gradient NaN.
    ratio_T = torch.where(dropped_T, 0.0, new_T - old_T).exp()
    plain_T = ratio_T * advantages_T
    clipped_T = ratio_T.clamp(1 - clip_low, 1 + clip_high) * advantages_T
    surrogate_T = torch.minimum(plain_T, clipped_T)
    floor_T = torch.where(advantages_T < 0, dual_clip * advantages_T, -torch.inf)
    objective_T = torch.maximum(surrogate_T, floor_T)
    if correction_T is not None:
        objective_T = objective_T * correction_T.detach()
    objective_T = torch.where(dropped_T, 0.0, objective_T)
    kl_T = torch.zeros_like(new_T)
    if reference_T is not None:
        log_ratio_T = reference_T - new_T
        kl_T = log_ratio_T.exp() - log_ratio_T - 1
    loss = ((kl_coefficient * kl_T - objective_T) * weights_T).sum()
    with torch.no_grad():
        flat_T = (clipped_T < plain_T) | (surrogate_T < floor_T)
        return PolicyLoss(loss, (flat_T & ~dropped_T).sum(), dropped_T.sum(), kl_T.sum())


def too_unlikely(
    new_T: Tensor, turns_T: Tensor, log_delta: float, by: Literal["token", "turn"]
) -> Tensor:
    """Where the advantage term is dropped: log pi below `log_delta` in the update's context.

    Args:
        new_T: As in `policy_loss`.
        turns_T: A number for each token that only tokens of the same turn share.
        log_delta: -5 in the paper, section 4.2.
        by: `token` as in the paper; `turn` drops a whole turn for one such token.
    """
    _same_shape(new_T, turns_T)
    low_T = new_T.detach() < log_delta
    return torch.isin(turns_T, turns_T[low_T]) if by == "turn" else low_T


def truncated_importance(learner_T: Tensor, engine_T: Tensor, cap: float) -> Tensor:
    """min(exp(log mu_learner - log mu_engine), cap): corrects what the engine sampled differently."""
    _same_shape(learner_T, engine_T)
    return (learner_T - engine_T).detach().exp().clamp(max=cap)


def _same_shape(first_T: Tensor, *others: Tensor | None) -> None:
    if first_T.ndim != 1:
        raise ValueError(f"want one dimension, got {tuple(first_T.shape)}")
    for other in others:
        if other is not None and other.shape != first_T.shape:
            raise ValueError(f"want {tuple(first_T.shape)}, got {tuple(other.shape)}")
