"""Ledgers written by hand, token by token, and what must be learnt from them."""

from collections.abc import Iterable, Sequence

from empo2_agent.types import Episode, Segment, ShownTip, Status, Step, Task

TASK = Task("toy", "red-lamp", 3)


def prompt(*ids: int) -> Segment:
    """What the world said."""
    return Segment("prompt", "", ids)


def tip(*ids: int) -> Segment:
    """A tip."""
    return Segment("tip", "", ids)


def action(*drawn: tuple[int, float, tuple[int, ...] | None]) -> Segment:
    """A reply: for each token its id, its log-probability, and what it was drawn among."""
    ids, logprobs, allowed = zip(*drawn, strict=True)
    return Segment("action", "", ids, logprobs, allowed)


def episode(
    segments: Sequence[Segment],
    prompt_tokens: Iterable[int],
    *,
    sampled: dict[int, Segment] | None = None,
    rewards: Sequence[float] | None = None,
    status: Status = Status.STEP_LIMIT,
    states: Sequence[str] | None = None,
    final_state: str = "the end",
) -> Episode:
    """An episode of this ledger; `prompt_tokens` is where each step's reply begins."""
    counts = list(prompt_tokens)
    steps = [
        Step(
            observation="",
            prompt_tokens=count,
            tips=(ShownTip("x", 1.0, 1.0),),
            action=f"do {n}",
            reply="",
            logprob=0.0,
            reward=rewards[n] if rewards else 0.0,
            state=states[n] if states else f"state {n}",
            sampled=(sampled or {}).get(n),
        )
        for n, count in enumerate(counts)
    ]
    return Episode(TASK, 0, True, status, tuple(segments), tuple(steps), final_state=final_state)
