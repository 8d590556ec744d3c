"""Many episodes at once over one policy: a thread for each environment, a deadline for each call.

Rounds are in step: all environment calls under way are awaited, then all recalls are answered in
one batch, then all requests. So the batches, and with them every number, do not depend on timing.
Long requests (tips) wait until no short one is left: nobody waits for somebody else's essay.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from empo2_agent.episode import (
    Act,
    Admissible,
    Answer,
    BrokenWorldError,
    EpisodeRun,
    InterruptedEpisodeError,
    Need,
    Recall,
    Reset,
    Value,
)
from empo2_agent.errors import Empo2Error
from empo2_agent.interfaces import Environment, Policy
from empo2_agent.types import Episode, Recalled, Request
from empo2_agent.worker import Worker

Recaller = Callable[[Sequence[Recall]], list[list[Recalled]]]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds an environment call may take before its episode ends as ENV_ERROR."""

    step: float
    reset: float


@dataclass(frozen=True, slots=True)
class Progress:
    """A round is over: how many decisions were made since the last one."""

    decisions: int
    running: int


@dataclass(frozen=True, slots=True)
class Finished:
    """An episode is over. `index` is its place in what was given to `run`."""

    index: int
    episode: Episode


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
        self._seats: list[_Seat] = []

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

    def seats(self, count: int) -> "list[_Seat]":
        """The first `count` seats, built where they are missing."""
        while len(self._seats) < count:
            self._seats.append(_Seat(self._make, self._deadlines))
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


class _Seat:
    """A place to play at: one environment at a time, replaced when it breaks."""

    def __init__(self, make: Callable[[], Environment], deadlines: Deadlines) -> None:
        self._make = make
        self._deadlines = deadlines
        self._cell = _Cell(make)

    def submit(self, need: Reset | Act | Admissible | None) -> "Future[tuple[Value, float]]":
        return self._cell.submit(need)

    def deadline(self, need: Reset | Act | Admissible) -> float:
        return self._deadlines.reset if isinstance(need, Reset) else self._deadlines.step

    def abandon(self) -> None:
        self._cell.abandon()
        self._cell = _Cell(self._make)

    def close(self) -> None:
        self._cell.close(self._deadlines.reset)


@dataclass(slots=True)
class _Game:
    """An episode in progress at a seat."""

    index: int
    run: EpisodeRun
    seat: _Seat
    conversation: int
    need: Need
    call: "Future[tuple[Value, float]] | None" = None
    since: float = 0.0
    episode: Episode | None = None


def run(
    starts: Sequence[tuple[int, EpisodeRun]],
    worlds: Worlds,
    policy: Policy,
    recall: Recaller | None,
    *,
    concurrency: int,
) -> Iterator[Progress | Finished]:
    """Play all episodes; yields each as it finishes.

    Args:
        starts: For each episode its conversation number and its generator, not yet begun.
        worlds: Where environments come from.
        policy: Answers requests. Its failure ends the call.
        recall: Answers recalls; may be None where no episode has memory.
        concurrency: How many episodes are played at once.

    Ctrl-C ends running episodes as INTERRUPTED, reports them, and is raised again.

    Raises:
        Empo2Error: From building an environment: what is missing is the user's to mend.
    """
    waiting = list(enumerate(starts))[::-1]
    free = worlds.seats(min(concurrency, len(starts)))[::-1]
    games: list[_Game] = []
    try:
        while waiting or games:
            while waiting and free:
                index, (conversation, generator) = waiting.pop()
                games.append(_Game(index, generator, free.pop(), conversation, next(generator)))
                _dispatch(games[-1])
            for game in games:
                _await_world(game)
            over = [game for game in games if game.episode is not None]
            for game in over:
                games.remove(game)
                free.append(game.seat)
                policy.release(game.conversation)
                assert game.episode is not None
                yield Finished(game.index, game.episode)
            if not over:  # else freed seats are taken first, for fuller batches
                _answer_recalls(games, recall)
                yield Progress(_ask_policy(games, policy), len(games))
    except KeyboardInterrupt:
        for game in games:
            yield Finished(game.index, _interrupted(game))
        raise
    finally:
        for game in games:
            game.run.close()
            policy.release(game.conversation)
            if game.call is not None and not game.call.done():
                game.seat.abandon()


def _answer_recalls(games: Sequence[_Game], recall: Recaller | None) -> None:
    """Answer all recalls in one batch, and what the episodes then ask of their worlds."""
    asking = [game for game in games if isinstance(game.need, Recall)]
    if not asking:
        return
    if recall is None:
        raise ValueError("an episode asks for tips, but there is no memory to ask")
    started = time.monotonic()
    found = recall([game.need for game in asking if isinstance(game.need, Recall)])
    each_ms = (time.monotonic() - started) * 1000 / len(asking)
    for game, tips in zip(asking, found, strict=True):
        _send(game, Answer(tips, each_ms))
    for game in asking:
        _await_world(game)


def _ask_policy(games: Sequence[_Game], policy: Policy) -> int:
    asking = [g for g in games if isinstance(g.need, Request) and g.episode is None]
    shortest = min((g.need.max_tokens for g in asking if isinstance(g.need, Request)), default=0)
    batch = [g for g in asking if isinstance(g.need, Request) and g.need.max_tokens == shortest]
    if not batch:
        return 0
    started = time.monotonic()
    replies = policy.generate([g.need for g in batch if isinstance(g.need, Request)])
    each_ms = (time.monotonic() - started) * 1000 / len(batch)
    for game, completion in zip(batch, replies, strict=True):
        _send(game, Answer(completion, each_ms))
    return len(batch)


def _send(game: _Game, answer: Answer) -> None:
    try:
        game.need = game.run.send(answer)
    except StopIteration as stop:
        game.episode = stop.value
    else:
        _dispatch(game)


def _dispatch(game: _Game) -> None:
    """Start the environment call a game needs, if that is what it needs."""
    if isinstance(game.need, Reset | Act | Admissible):
        game.since = time.monotonic()
        game.call = game.seat.submit(game.need)


def _await_world(game: _Game) -> None:
    """Answer a game's environment calls until it needs something else."""
    while game.call is not None and isinstance(game.need, Reset | Act | Admissible):
        limit = game.seat.deadline(game.need)
        error: BaseException | None
        try:
            error = game.call.exception(max(0.0, game.since + limit - time.monotonic()))
        except TimeoutError:
            _break(game, f"no answer within {limit:g} seconds to {game.need}")
            return
        if error is None:
            call, game.call = game.call, None
            _send(game, Answer(*call.result()))
        elif isinstance(error, Empo2Error) and isinstance(game.need, Reset):
            raise error  # it cannot even start: the user has to mend something
        else:  # whatever else a world raises ends its own episode only
            _break(game, f"{type(error).__name__}: {error}")


def _break(game: _Game, reason: str) -> None:
    game.call = None
    game.seat.abandon()
    try:
        game.run.throw(BrokenWorldError(reason))
    except StopIteration as stop:
        game.episode = stop.value


def _interrupted(game: _Game) -> Episode:
    if game.episode is not None:
        return game.episode
    try:
        game.run.throw(InterruptedEpisodeError("stopped by the user"))
    except StopIteration as stop:
        episode: Episode = stop.value
        return episode
    raise RuntimeError("an episode went on after it was stopped")
