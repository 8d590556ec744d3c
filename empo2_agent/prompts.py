"""Every text of ours that a model reads. Texts of an environment are in its plugin."""

from collections.abc import Sequence

from empo2_agent.text import one_line
from empo2_agent.types import Recalled

TIP_REQUEST = (
    "The episode is over. In one line and one sentence of under 100 words, sum up what you did, "
    "what you learned about this world, and how far you were from completing the task."
)


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


def tip_request(final_observation: str, score: float, max_score: float) -> str:
    """What the policy is asked once an episode is over."""
    return f"{final_observation}\n\n{TIP_REQUEST} The score was {score:g} out of {max_score:g}."
