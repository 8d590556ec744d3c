"""Means with 95 % intervals. Every interval says by which method it was made.

One rule: the mean of a single value has no interval (null in JSON): neither the mean itself nor an
infinite width would be honest. Only a success rate has one.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev
from typing import Literal

Kind = Literal["t", "paired t", "bootstrap", "Wilson", "none"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its 95 % interval."""

    mean: float
    low: float | None
    """None where `kind` is `none`: there was only one value."""
    high: float | None
    kind: Kind
    n: int
    """How many values it was made from."""

    @property
    def ci95(self) -> list[float] | None:
        """The two ends, as JSON documents have them; None where there is no interval."""
        return None if self.low is None or self.high is None else [self.low, self.high]

    @property
    def all_alike(self) -> bool:
        """Whether the values did not differ: the width of 0 then says nothing about the mean."""
        ends = self.ci95
        return ends is not None and math.isclose(*ends, abs_tol=1e-12)

    def __str__(self) -> str:
        """For example `12.50 [3.10, 21.90] (95 % t, n=10)`."""
        if self.low is None or self.high is None:
            return f"{self.mean:.2f} (n={self.n}, no interval)"
        if self.all_alike:
            return f"{self.mean:.2f} (n={self.n}, all alike: no interval)"
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}] (95 % {self.kind}, n={self.n})"


def t_interval(values: Sequence[float], *, level: float = 0.95) -> Interval:
    """Student's t interval: mean -+ t(n - 1) * s / sqrt(n), s with Bessel's correction.

    Values of the same variation are not independent: average repeats before calling this.

    Raises:
        ValueError: No values.
    """
    mean = _mean(values)
    if len(values) < 2:
        return Interval(mean, None, None, "none", len(values))
    half = t_quantile((1 + level) / 2, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half, "t", len(values))


def paired_difference(
    first: Sequence[float], second: Sequence[float], *, level: float = 0.95
) -> Interval:
    """The t interval of first[i] - second[i]: for two arms played on the same seeds.

    Raises:
        ValueError: No values, or arms of different lengths.
    """
    differences = [a - b for a, b in zip(first, second, strict=True)]
    found = t_interval(differences, level=level)
    kind: Kind = "paired t" if found.kind == "t" else "none"
    return Interval(found.mean, found.low, found.high, kind, found.n)


def bootstrap_interval(
    values: Sequence[float], *, seed: int, level: float = 0.95, resamples: int = 10_000
) -> Interval:
    """Percentile bootstrap of the mean: the middle `level` of the means of resampled lists.

    Raises:
        ValueError: No values.
    """
    mean = _mean(values)
    if len(values) < 2:
        return Interval(mean, None, None, "none", len(values))
    rng = random.Random(seed)
    means = sorted(fmean(rng.choices(values, k=len(values))) for _ in range(resamples))
    tail = (1 - level) / 2
    low, high = (_percentile(means, share) for share in (tail, 1 - tail))
    return Interval(mean, low, high, "bootstrap", len(values))


def wilson_interval(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Wilson's score interval of a success rate (E. B. Wilson, 1927).

    It stays within 0..1 and has a width also at 0 of n and n of n.

    Raises:
        ValueError: n is 0, or successes is not in 0..n.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    rate = successes / n
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (rate * (1 - rate) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low = 0.0 if successes == 0 else centre - half  # exact where rounding would leave 1e-18
    high = 1.0 if successes == n else centre + half
    return Interval(rate, low, high, "Wilson", n)


def t_quantile(p: float, dof: int) -> float:
    """The value below which a share `p` (0.5 <= p < 1) of Student's t distribution lies."""
    if not 0.5 <= p < 1 or dof < 1:
        raise ValueError(f"p={p}, dof={dof}")
    low, high = 0.0, 1.0
    while _t_central(high, dof) < 2 * p - 1:
        high *= 2
    for _ in range(200):  # bisection; stops at neighbouring floats long before
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if _t_central(middle, dof) < 2 * p - 1 else (low, middle)
    return high


def _t_central(t: float, dof: int) -> float:
    """P(|T| <= t) for whole degrees of freedom: Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    theta = math.atan(t / math.sqrt(dof))
    sine, cosine = math.sin(theta), math.cos(theta)
    odd = dof % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(1 + odd, dof, 2):  # dof 1 has no terms at all
        total += term
        term *= cosine * cosine * k / (k + 1)
    return 2 / math.pi * (theta + sine * total) if odd else sine * total


def _mean(values: Sequence[float]) -> float:
    if not values:
        raise ValueError("no values")
    return fmean(values)


def _percentile(ordered: Sequence[float], share: float) -> float:
    """Linear interpolation between the two nearest ranks."""
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
