"""Notices when training goes wrong, and says why. A function of the metrics seen, nothing else.

So a resumed run that feeds its recorded steps again is warned of the same things.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from empo2_agent.train.metrics import StepMetrics

Kind = Literal[
    "entropy", "flat-groups", "tip-gap", "mismatch", "repeated", "non-finite", "collapse"
]
Rows = Sequence[StepMetrics]

WINDOW = 5
"""Steps that one mean is over: a step alone is a handful of episodes, and noise."""
ENTROPY_SHARE = 0.1
"""Of the entropy of the first steps. Learning lowers it by a half or more without harm; at a tenth
a group's episodes are copies of one another, and their advantages are noise."""
FLAT_WINDOW, FLAT_SHARE = 10, 0.5
"""Steps, and the share of their groups beyond which most of the playing teaches nothing."""
SOLVED = 0.9
"""Success beyond which groups without variance are good news."""
TIP_GAP = 2.0
"""Nats a token. A factor of seven: what was acted at 5 % falls below the mask of log -5."""
MISMATCH_MEAN, MISMATCH_MAX = 0.05, 1.0
"""Nats. Measured on SmolLM2-135M, rounding to bfloat16 moves a token by at most 0.47."""
REPEATED_SHARE = 0.5
"""Of all actions. Waiting for a kettle repeats some; half of them is a policy that is stuck."""
COLLAPSE_WINDOW = 8
"""Plain steps that the score is a mean over. With the five standard errors below, 150 steps of
an unchanging policy, groups of 8, raise a false alarm in about one run of a hundred, and a fall
from 0.8 to 0.1 is seen after four steps. Halfway alone is crossed by noise in every run."""
COLLAPSE_ERRORS = 5.0
"""Standard errors of the difference of two such means that the score must have fallen."""
COLLAPSE_LEAST = 0.1
"""Of the best mean. A policy that always had the same score has no standard error."""
CALM_STEPS = 5
"""An alarm is over once its cause was absent for so many steps running."""
REPEAT_STEPS = 50
"""An alarm that stays is raised again after so many steps."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something is wrong. `message`: one line with what was seen, its cause and what to do."""

    kind: Kind
    message: str


@dataclass(slots=True)
class _Bell:
    """An alarm that has been raised and is not over."""

    alarm: Alarm
    raised: int
    calm: int = 0


def standing(rows: Rows) -> list[StepMetrics]:
    """The steps that no roll-back undid. One that led to a roll-back is itself undone."""
    kept: list[StepMetrics] = []
    for row in rows:
        kept.append(row)
        if row.rolled_back_to is not None:
            kept = [one for one in kept if one.step <= row.rolled_back_to]
    return kept


class Monitor:
    """Is told of every step, in order.

    Args:
        rows: The steps of a run that is gone on with.
    """

    def __init__(self, rows: Rows = ()) -> None:
        self._rows: list[StepMetrics] = []
        self._bells: dict[Kind, _Bell] = {}
        for row in rows:
            self.add(row)
            if row.rolled_back_to is not None:
                self.forget(row.rolled_back_to)

    @property
    def active(self) -> list[Alarm]:
        """The alarms that are not over, as they were last seen."""
        return [bell.alarm for bell in self._bells.values()]

    def add(self, metrics: StepMetrics) -> list[Alarm]:
        """The alarms to raise after this step: new ones, and old ones every 50 steps.

        A step without a usable episode says nothing, and is left out.
        """
        if not metrics.episodes:
            return []
        self._rows.append(metrics)
        checked = [self._check(kind, check(self._rows)) for kind, check in _CHECKS.items()]
        return [alarm for alarm in checked if alarm is not None]

    def forget(self, step: int) -> None:
        """The run went back to where it stood after `step`: what came later is undone."""
        self._rows = [row for row in self._rows if row.step <= step]
        self._bells.clear()  # they were about weights that are gone

    def _check(self, kind: Kind, message: str | None) -> Alarm | None:
        bell, now = self._bells.get(kind), len(self._rows)
        if message is None:
            if bell is not None:
                bell.calm += 1
                if bell.calm == CALM_STEPS:
                    del self._bells[kind]
            return None
        alarm = Alarm(kind, message)
        if bell is None or now - bell.raised >= REPEAT_STEPS:
            self._bells[kind] = _Bell(alarm, now)
            return alarm
        bell.alarm, bell.calm = alarm, 0
        return None


def _mean(values: Sequence[float]) -> float:
    """Of the finite ones; NaN, which no comparison holds for, where there are none."""
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


def _entropy(rows: Rows) -> str | None:
    first = _mean([row.entropy for row in rows[:WINDOW]])
    last = _mean([row.entropy for row in rows[-WINDOW:]])
    if not last < ENTROPY_SHARE * first:
        return None
    return (
        f"entropy fell to {last:.2g} nats a token from {first:.2g} at first: the policy no longer "
        "tries anything else; lower learner.learning_rate or raise loss.clip_high"
    )


def _flat_groups(rows: Rows) -> str | None:
    seen = rows[-FLAT_WINDOW:]
    groups = sum(len(row.tasks) for row in seen)
    flat = round(sum(row.flat_groups * len(row.tasks) for row in seen))
    if len(seen) < FLAT_WINDOW or flat <= FLAT_SHARE * groups:
        return None
    success = _mean([row.success for row in seen])
    advice = (
        "the task is solved; stop, or train on others"
        if success > SOLVED
        else "raise train.group_size or train.redraw, or take an easier task"
    )
    return (
        f"{flat} of the last {groups} groups taught nothing: all episodes of a group had the same "
        f"return (success {success:.0%}); {advice}"
    )


def _tip_gap(rows: Rows) -> str | None:
    gaps = [row.tip_gap for row in rows if row.tip_gap is not None]
    if not gaps or not gaps[-1] > TIP_GAP:
        return None
    return (
        f"what was done with tips is {gaps[-1]:.2g} nats a token less likely without them: the "
        "policy alone does not follow, and masking drops what it should learn; lower "
        "explore.off_policy_share"
    )


def _mismatch(rows: Rows) -> str | None:
    mean, most = rows[-1].mismatch_mean, rows[-1].mismatch_max
    if not (mean > MISMATCH_MEAN or most > MISMATCH_MAX):
        return None
    return (
        f"engine and learner differ by {mean:.2g} nats a token, at most {most:.2g}: rounding, or "
        "the engine plays with other weights; try model.dtype=float32"
    )


def _repeated(rows: Rows) -> str | None:
    share = _mean([row.repeated for row in rows[-WINDOW:]])
    if len(rows) < WINDOW or not share > REPEATED_SHARE:
        return None
    return (
        f"{share:.0%} of actions repeat the one before: the policy is stuck in a loop; raise "
        "train.temperature or explore.intrinsic_coefficient"
    )


def _non_finite(rows: Rows) -> str | None:
    if not rows[-1].skipped:
        return None
    return (
        f"updates skipped in step {rows[-1].step}: {rows[-1].skipped}, as their loss or gradient "
        "was not finite; lower learner.learning_rate, or set model.dtype=float32"
    )


def _collapse(rows: Rows) -> str | None:
    """Has the score without tips lost more than half of what lay between its worst and its best?

    The scatter of single steps is estimated from successive differences (von Neumann 1941), which
    a slow trend, that is learning, does not enlarge.
    """
    scores = [r.score for r in rows if r.mode == "plain" and math.isfinite(r.score)]
    n = COLLAPSE_WINDOW
    if len(scores) <= n:
        return None
    means = [sum(scores[i : i + n]) / n for i in range(len(scores) - n + 1)]
    best, worst, now = max(means), min(means), means[-1]
    variance = sum((b - a) ** 2 for a, b in pairwise(scores)) / (2 * (len(scores) - 1))
    least = max(COLLAPSE_ERRORS * math.sqrt(2 * variance / n), COLLAPSE_LEAST * abs(best))
    if not now < (best + worst) / 2 or not best - now > least:
        return None
    return (
        f"the score without tips fell to {now:.3g} from {best:.3g} (means of {n} steps): updates "
        "are too large; lower learner.learning_rate, or let train.roll_back go back to the best"
    )


_CHECKS: dict[Kind, Callable[[Rows], str | None]] = {
    "entropy": _entropy,
    "flat-groups": _flat_groups,
    "tip-gap": _tip_gap,
    "mismatch": _mismatch,
    "repeated": _repeated,
    "non-finite": _non_finite,
    "collapse": _collapse,
}
