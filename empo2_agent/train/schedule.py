"""Which mode a training step, or a group of it, is played and learnt in (paper, section 4)."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Mode:
    """How episodes are played, and what their update conditions on.

    `tips`: they are played with tips from memory. `off_policy`: the update sees the same tokens
    without the tips, so that the policy learns to do unaided what it did with help.
    """

    tips: bool
    off_policy: bool

    def __post_init__(self) -> None:
        """Refuse a combination that does not exist."""
        if self.off_policy and not self.tips:
            raise ValueError("without tips there is nothing to leave out: an update is on-policy")

    @property
    def name(self) -> str:
        """`plain`, `with-tips` or `off-policy`."""
        return ("off-policy" if self.off_policy else "with-tips") if self.tips else "plain"


def draw_mode(rng: Random, *, tips_share: float, off_policy_share: float) -> Mode:
    """Draw a mode: tips with probability p, and of those off-policy with probability q.

    Args:
        rng: Two numbers are drawn in every case, so that p and q do not shift what comes later.
        tips_share: p of the paper, 0.25 there.
        off_policy_share: q of the paper, 2/3 there.
    """
    first, second = rng.random(), rng.random()
    tips = first < tips_share
    return Mode(tips, tips and second < off_policy_share)
