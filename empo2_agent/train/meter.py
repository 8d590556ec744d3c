"""Where the time of a step goes: a policy and a recaller that are timed as they are called."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from empo2_agent.interfaces import ChatFormat, Policy
from empo2_agent.needs import Recall
from empo2_agent.rollout import Recaller
from empo2_agent.types import Completion, Recalled, Request


class Meter:
    """Seconds by what they were spent on."""

    def __init__(self) -> None:
        self._seconds: Counter[str] = Counter()

    @contextmanager
    def timing(self, what: str) -> Iterator[None]:
        """Add the block's wall time to `what`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[what] += time.perf_counter() - started  # type: ignore[assignment] # floats

    def take(self) -> dict[str, float]:
        """What was counted since the last call. `environment` is what `rollout` leaves over."""
        found = {what: float(seconds) for what, seconds in self._seconds.items()}
        self._seconds.clear()
        known = sum(found.get(part, 0.0) for part in ("model", "tips", "retrieval"))
        found["environment"] = max(0.0, found.get("rollout", 0.0) - known)
        return found


class TimedPolicy:
    """A policy whose replies count as `model`, and those of `tip_tokens` as `tips`."""

    def __init__(self, policy: Policy, meter: Meter, tip_tokens: int) -> None:
        self._policy = policy
        self._meter = meter
        self._tip_tokens = tip_tokens

    @property
    def chat(self) -> ChatFormat:
        """See `interfaces.Policy`."""
        return self._policy.chat

    @property
    def name(self) -> str:
        """See `interfaces.Policy`."""
        return self._policy.name

    @property
    def context_limit(self) -> int:
        """See `interfaces.Policy`."""
        return self._policy.context_limit

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """See `interfaces.Policy`. The scheduler asks for tips in batches of their own."""
        tips = all(r.max_tokens == self._tip_tokens and r.choices is None for r in requests)
        with self._meter.timing("tips" if tips else "model"):
            return self._policy.generate(requests)

    def release(self, conversation: int) -> None:
        """See `interfaces.Policy`."""
        self._policy.release(conversation)


def timed(recall: Recaller, meter: Meter) -> Recaller:
    """The same recaller; its calls count as `retrieval`."""

    def timed_recall(wanted: Sequence[Recall]) -> list[list[Recalled]]:
        with meter.timing("retrieval"):
            return recall(wanted)

    return timed_recall
