"""Every text of ours that a model reads. Texts of an environment are in its plugin."""

from collections.abc import Sequence

from empo2_agent.text import one_line
from empo2_agent.types import Recalled

TIP_REQUEST = (
    "The episode is over. In one line and one sentence of under 100 words, sum up what you did, "
    "what you learned about this world, and how far you were from completing the task."
)

RECAP_ACTIONS = 15
"""Actions that the request for a tip repeats."""


def tip_entry(recalled: Recalled) -> str:
    """One tip as it is shown: the sentence, the action it belongs to and how that episode ended."""
    tip = recalled.tip
    action = f'action: "{one_line(tip.action)}"; ' if tip.action else ""
    return f"- {one_line(tip.text)} ({action}final score: {tip.score:g} of {tip.max_score:g})"


def tip_block(recalled: Sequence[Recalled]) -> str:
    """All tips of one turn; empty for none."""
    if not recalled:
        return ""
    lines = [tip_entry(one) for one in recalled]
    return "\n".join(["Tips from earlier episodes:", *lines])


def recap(steps: Sequence[tuple[str, float]]) -> str:
    """What was done, in order, with what each action earned or lost; its last part where long."""
    parts = [
        f"{one_line(action)} ({reward:+g})" if reward else one_line(action)
        for action, reward in steps
    ]
    return "; ".join(parts[-RECAP_ACTIONS:])


def tip_request(
    final_observation: str, score: float, max_score: float, steps: Sequence[tuple[str, float]]
) -> str:
    """What the policy is asked once an episode is over.

    Args:
        final_observation: What it saw last.
        score: What it got.
        max_score: What there was to get.
        steps: Actions, and the reward of each.
    """
    return (
        f"{final_observation}\n\nYou did: {recap(steps)}.\n"
        f"{TIP_REQUEST} The score was {score:g} out of {max_score:g}."
    )
