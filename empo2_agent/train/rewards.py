"""What an episode is worth: its score, and what it found that was new."""

from collections.abc import Sequence

from empo2_agent.types import Episode


def reached_states(episode: Episode) -> list[str]:
    """For each step the state it led to."""
    return [*(step.state for step in episode.steps[1:]), episode.final_state][: len(episode.steps)]


def step_rewards(episode: Episode, intrinsic: Sequence[float], coefficient: float) -> list[float]:
    """Reward of each step: the environment's, plus the coefficient times the intrinsic one.

    arXiv 2602.23008, section 4: the sum over an episode is its return.

    Raises:
        ValueError: Not one intrinsic reward for each step.
    """
    if len(intrinsic) != len(episode.steps):
        raise ValueError(f"{len(intrinsic)} intrinsic rewards for {len(episode.steps)} steps")
    return [
        step.reward + coefficient * bonus
        for step, bonus in zip(episode.steps, intrinsic, strict=True)
    ]


def repeated_share(episodes: Sequence[Episode]) -> float:
    """Share of actions that are the same as the one before them in their episode."""
    pairs = [
        (one.action, other.action)
        for episode in episodes
        for one, other in zip(episode.steps, episode.steps[1:], strict=False)
    ]
    return sum(a == b for a, b in pairs) / len(pairs) if pairs else 0.0
