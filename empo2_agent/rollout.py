"""Many episodes at once over one policy: a thread for each environment, a deadline for each call.

Rounds are in step: all environment calls under way are awaited, then all recalls are answered in
one batch, then all requests. So the batches, and with them every number, do not depend on timing.
Long requests (tips) wait until no short one is left: nobody waits for somebody else's essay.
"""

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
        built = [seat.build() for seat in self.seats(count)]
        for future in built:
            future.result(self._deadlines.reset)

    def seats(self, count: int) -> "list[_Seat]":
        """The first `count` seats, built where they are missing."""
        while len(self._seats) < count:
            self._seats.append(_Seat(self._make, self._deadlines))
        return self._seats[:count]


class _Seat:
    """One environment, its thread, and the episode that is using them."""

    def __init__(self, make: Callable[[], Environment], deadlines: Deadlines) -> None:
        self._make = make
        self._deadlines = deadlines
        self._worker = Worker()
        self._world: Environment | None = None

    def build(self) -> "Future[None]":
        """Make the world in its own thread, where there is none yet."""
        return self._worker.submit(self._built)

    def submit(self, need: Reset | Act | Admissible) -> "Future[Value]":
        return self._worker.submit(lambda: self._call(need))

    def deadline(self, need: Reset | Act | Admissible) -> float:
        return self._deadlines.reset if isinstance(need, Reset) else self._deadlines.step

    def abandon(self) -> None:
        """Give up a world that broke or hangs; the next episode gets a new one."""
        if self._world is not None:
            self._world.kill()
        self._worker.stop()
        self._worker, self._world = Worker(), None

    def close(self) -> None:
        world = self._world
        if world is not None:
            done = self._worker.submit(world.close)
            try:
                done.result(self._deadlines.reset)
            except Exception:  # noqa: BLE001 - a world that cannot close is ended instead
                world.kill()
        self._worker.stop()
        self._world = None

    def _built(self) -> None:
        if self._world is None:
            self._world = self._make()

    def _call(self, need: Reset | Act | Admissible) -> Value:
        self._built()
        assert self._world is not None
        if isinstance(need, Reset):
            return self._world.reset(need.task, seed=need.seed)
        if isinstance(need, Act):
            return self._world.step(need.action)
        listed = self._world.actions()
        return None if listed is None else tuple(listed)


@dataclass(slots=True)
class _Game:
    """An episode in progress at a seat."""

    index: int
    run: EpisodeRun
    seat: _Seat
    conversation: int
    need: Need
    call: "Future[Value] | None" = None
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
        try:
            value = game.call.result(max(0.0, game.since + limit - time.monotonic()))
        except TimeoutError:
            _break(game, f"no answer within {limit:g} seconds to {game.need}")
        except Exception as error:
            if isinstance(error, Empo2Error) and isinstance(game.need, Reset):
                raise  # it cannot even start: the user has to mend something
            _break(game, f"{type(error).__name__}: {error}")
        else:
            elapsed_ms = (time.monotonic() - game.since) * 1000
            game.call = None
            _send(game, Answer(value, elapsed_ms))


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
