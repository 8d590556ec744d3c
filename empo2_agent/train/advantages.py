"""Group-relative advantages. Pure functions on floats: no tensors, no settings."""

from collections.abc import Hashable, Sequence
from statistics import fmean, stdev

EPSILON = 1e-6


def group_advantages(returns: Sequence[float], *, scale_by_std: bool) -> list[float]:
    """Return minus the group's mean, divided by its standard deviation if asked.

    A = (R - mean) / (std + 1e-6), std with Bessel's correction (arXiv 2402.03300, section 4.1;
    arXiv 2602.23008, section 4). A group without variance gives zeros.

    Args:
        returns: One for each episode of the same task and variation.
        scale_by_std: Whether to divide.

    Raises:
        ValueError: Fewer than two episodes have nothing to be compared with.
    """
    if len(returns) < 2:
        raise ValueError(f"a group needs at least two episodes, this one has {len(returns)}")
    mean = fmean(returns)
    scale = stdev(returns) + EPSILON if scale_by_std else 1.0
    return [(value - mean) / scale for value in returns]


def has_variance(returns: Sequence[float]) -> bool:
    """Whether a group can teach anything at all."""
    return max(returns) - min(returns) > EPSILON


def discounted_returns(rewards: Sequence[float], discount: float) -> list[float]:
    """For each step the discounted sum of the rewards from there on."""
    result: list[float] = []
    following = 0.0
    for reward in reversed(rewards):
        following = reward + discount * following
        result.append(following)
    return result[::-1]


def step_advantages(
    anchors: Sequence[Sequence[Hashable]],
    rewards: Sequence[Sequence[float]],
    *,
    discount: float,
    scale_by_std: bool,
) -> list[list[float]]:
    """GiGPO's advantages among steps of a group that start from the same state.

    Args:
        anchors: For each episode and step what identifies the state it starts from.
        rewards: For each episode and step the reward.
        discount: Of the returns that are compared (arXiv 2505.10978, eq. 6).
        scale_by_std: Whether to divide by the standard deviation among the same anchor.

    Returns:
        For each episode and step its advantage; 0 where no other step shares the anchor.

    Raises:
        ValueError: Anchors and rewards do not have the same shape.
    """
    if [len(row) for row in anchors] != [len(row) for row in rewards]:
        raise ValueError("anchors and rewards must have an entry for the same steps")
    returns = [discounted_returns(row, discount) for row in rewards]
    places: dict[Hashable, list[tuple[int, int]]] = {}
    for episode, row in enumerate(anchors):
        for step, anchor in enumerate(row):
            places.setdefault(anchor, []).append((episode, step))
    result = [[0.0] * len(row) for row in anchors]
    for members in places.values():
        if len(members) < 2:
            continue
        values = [returns[episode][step] for episode, step in members]
        found = group_advantages(values, scale_by_std=scale_by_std)
        for (episode, step), advantage in zip(members, found, strict=True):
            result[episode][step] = advantage
    return result
