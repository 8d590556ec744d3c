"""The maths of training restated slowly and plainly, in Python floats. Never imports `train`."""

import math


def policy_loss(
    new: list[float],
    old: list[float],
    advantages: list[float],
    weights: list[float],
    *,
    clip_low: float,
    clip_high: float,
    dual_clip: float,
    masked: list[bool],
    correction: list[float],
    reference: list[float],
    kl_coefficient: float,
) -> float:
    total = 0.0
    for t in range(len(new)):
        objective = 0.0
        if not masked[t]:
            ratio = math.exp(new[t] - old[t])
            clipped = min(max(ratio, 1 - clip_low), 1 + clip_high)
            objective = min(ratio * advantages[t], clipped * advantages[t])
            if advantages[t] < 0:
                objective = max(objective, dual_clip * advantages[t])
            objective *= correction[t]
        difference = reference[t] - new[t]
        kl = math.exp(difference) - difference - 1
        total += weights[t] * (kl_coefficient * kl - objective)
    return total


def group_advantages(returns: list[float], scale_by_std: bool) -> list[float]:
    mean = sum(returns) / len(returns)
    variance = sum((r - mean) ** 2 for r in returns) / (len(returns) - 1)
    return [(r - mean) / (math.sqrt(variance) + 1e-6 if scale_by_std else 1.0) for r in returns]


def step_advantages(
    anchors: list[list[str]], rewards: list[list[float]], discount: float
) -> list[list[float]]:
    """Without division by the standard deviation."""
    result = []
    for episode in range(len(anchors)):
        row = []
        for step in range(len(anchors[episode])):
            alike = [
                sum(r * discount**k for k, r in enumerate(rewards[e][s:]))
                for e in range(len(anchors))
                for s in range(len(anchors[e]))
                if anchors[e][s] == anchors[episode][step]
            ]
            own = sum(r * discount**k for k, r in enumerate(rewards[episode][step:]))
            row.append(own - sum(alike) / len(alike))
        result.append(row)
    return result
