"""Many episodes at once over one policy: a thread for each environment, a deadline for each call.

Rounds are in step: all environment calls under way are awaited, then all recalls are answered in
one batch, then all requests. So the batches, and with them every number, do not depend on timing.
Long requests (tips) wait until no short one is left: nobody waits for somebody else's essay.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from empo2_agent.errors import Empo2Error
from empo2_agent.interfaces import Policy
from empo2_agent.needs import (
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
from empo2_agent.types import Episode, Recalled, Request
from empo2_agent.worlds import Seat, Worlds

Recaller = Callable[[Sequence[Recall]], list[list[Recalled]]]


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


@dataclass(slots=True)
class _Game:
    """An episode in progress at a seat."""

    index: int
    run: EpisodeRun
    seat: Seat
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
