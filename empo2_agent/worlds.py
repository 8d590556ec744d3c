"""Environments, each with a thread of its own, kept for many episodes and replaced when they break."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from empo2_agent.interfaces import Environment
from empo2_agent.needs import Act, Admissible, Reset, Value
from empo2_agent.worker import Worker


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds an environment call may take before its episode ends as ENV_ERROR."""

    step: float
    reset: float


class Worlds:
    """Environments with a thread each, kept for as many episodes as one likes.

    Args:
        make: Builds one environment; called in the thread that will own it.
        deadlines: Seconds for each call. Building counts as a reset.

    A context manager: at its end all environments are closed, hanging ones killed.
    """

    def __init__(self, make: Callable[[], Environment], deadlines: Deadlines) -> None:
        self._make = make
        self._deadlines = deadlines
        self._seats: list[Seat] = []

    def __enter__(self) -> "Worlds":
        return self

    def __exit__(self, *_: object) -> None:
        for seat in self._seats:
            seat.close()
        self._seats.clear()

    def warm_up(self, count: int) -> None:
        """Build the first `count` environments now, all at the same time.

        Raises:
            Empo2Error: From building one.
        """
        for future in [seat.submit(None) for seat in self.seats(count)]:
            future.result()

    def seats(self, count: int) -> "list[Seat]":
        """The first `count` seats, built where they are missing."""
        while len(self._seats) < count:
            self._seats.append(Seat(self._make, self._deadlines))
        return self._seats[:count]


class _Cell:
    """One environment and the only thread that ever calls it."""

    def __init__(self, make: Callable[[], Environment]) -> None:
        self._make = make
        self._worker = Worker()
        self._world: Environment | None = None
        self._abandoned = threading.Event()

    def submit(self, need: Reset | Act | Admissible | None) -> "Future[tuple[Value, float]]":
        """Carry out a need (None: only build the world); the value and its milliseconds."""
        return self._worker.submit(lambda: self._timed(need))

    def abandon(self) -> None:
        """Give up a world that broke or hangs. One that is still being built is closed then."""
        self._abandoned.set()
        if self._world is not None:
            self._world.kill()
        self._worker.submit(self._close)
        self._worker.stop()

    def close(self, seconds: float) -> None:
        """Close the world in its thread; after `seconds` it is killed."""
        self._abandoned.set()  # should it still be under construction
        done = self._worker.submit(self._close)
        self._worker.stop()
        try:
            done.result(seconds)
        except Exception:  # noqa: BLE001 - a world that cannot close is ended instead
            if self._world is not None:
                self._world.kill()

    def _close(self) -> None:
        if self._world is not None:
            self._world.close()

    def _timed(self, need: Reset | Act | Admissible | None) -> tuple[Value, float]:
        started = time.monotonic()
        value = self._call(need)
        return value, (time.monotonic() - started) * 1000

    def _call(self, need: Reset | Act | Admissible | None) -> Value:
        if self._world is None and not self._abandoned.is_set():
            self._world = self._make()
        if self._world is None or self._abandoned.is_set():
            raise RuntimeError("the environment was given up")
        if isinstance(need, Reset):
            return self._world.reset(need.task, seed=need.seed)
        if isinstance(need, Act):
            return self._world.step(need.action)
        listed = self._world.actions() if isinstance(need, Admissible) else None
        return None if listed is None else tuple(listed)


class Seat:
    """A place to play at: one environment at a time, replaced when it breaks."""

    def __init__(self, make: Callable[[], Environment], deadlines: Deadlines) -> None:
        self._make = make
        self._deadlines = deadlines
        self._cell = _Cell(make)

    def submit(self, need: Reset | Act | Admissible | None) -> "Future[tuple[Value, float]]":
        """Carry out a need (None: only build the world); the value and its milliseconds."""
        return self._cell.submit(need)

    def deadline(self, need: Reset | Act | Admissible) -> float:
        """Seconds this need may take."""
        return self._deadlines.reset if isinstance(need, Reset) else self._deadlines.step

    def abandon(self) -> None:
        """Give up the world; the next need gets a new one."""
        self._cell.abandon()
        self._cell = _Cell(self._make)

    def close(self) -> None:
        """Close the world, or kill it where it does not close in time."""
        self._cell.close(self._deadlines.reset)
