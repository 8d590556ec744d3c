import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from empo2_agent.episode import play
from empo2_agent.errors import EnvironmentUnavailableError
from empo2_agent.needs import EpisodeRun, Recall, Rules
from empo2_agent.rollout import Finished, Progress, run
from empo2_agent.stage import ATTEMPTS, Stage, Wanted, episode_seed, play_all
from empo2_agent.testing import ScriptedPolicy
from empo2_agent.types import Completion, Episode, Recalled, Request, Status, StepResult, Task
from empo2_agent.worlds import Deadlines, Worlds

RULES = Rules(
    max_steps=5,
    max_prompt_tokens=5000,
    max_reply_tokens=20,
    max_score=1.0,
    style="free",
    temperature=0.0,
)
DEADLINES = Deadlines(step=30.0, reset=30.0)  # busy machines are slow, and not broken


class Counter:
    """A world that is over after as many steps as its variation says, and notes who called."""

    def __init__(self, *, breaks: Sequence[int] = (), hangs: Sequence[int] = ()) -> None:
        self.threads: set[int] = set()
        self.breaks, self.hangs = breaks, hangs
        self.released = threading.Event()
        self.closed = self.killed = 0

    def reset(self, task: Task, *, seed: int) -> StepResult:
        self.threads.add(threading.get_ident())
        self.task, self.count = task, 0
        return StepResult(f"count to {task.variation}")

    def step(self, action: str) -> StepResult:
        self.threads.add(threading.get_ident())
        self.count += 1
        if self.task.variation in self.breaks:
            raise ConnectionError("the world went away")
        if self.task.variation in self.hangs:
            self.released.wait()
            raise ConnectionError("killed")
        over = self.count >= self.task.variation
        return StepResult(f"{self.count}", float(over), Status.SUCCESS if over else None)

    def actions(self) -> None:
        return None

    def close(self) -> None:
        self.threads.add(threading.get_ident())
        self.closed += 1

    def kill(self) -> None:
        self.killed += 1
        self.released.set()


class House:
    """Builds worlds and remembers them."""

    def __init__(self, *, breaks: Sequence[int] = (), hangs: Sequence[int] = ()) -> None:
        self.worlds: list[Counter] = []
        self.breaks, self.hangs = breaks, hangs

    def make(self) -> Counter:
        self.worlds.append(Counter(breaks=self.breaks, hangs=self.hangs))
        return self.worlds[-1]


def starts(
    policy: ScriptedPolicy, lengths: Sequence[int], rules: Rules = RULES, memory: bool = False
) -> list[tuple[int, EpisodeRun]]:
    return [
        (
            n,
            play(
                Task("count", "up", length),
                rules,
                chat=policy.chat,
                instructions="Count.",
                memory=memory,
                seed=n,
                conversation=n,
            ),
        )
        for n, length in enumerate(lengths)
    ]


def finished(events: Iterator[Progress | Finished]) -> dict[int, Episode]:
    return {event.index: event.episode for event in events if isinstance(event, Finished)}


class Batches(ScriptedPolicy):
    """Says "up" and notes the size of each batch."""

    def __init__(self) -> None:
        super().__init__(lambda request: "up")
        self.sizes: list[int] = []

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        self.sizes.append(len(requests))
        return super().generate(requests)


def test_rounds_are_in_step_and_freed_seats_are_taken() -> None:
    house, policy = House(), Batches()
    with Worlds(house.make, DEADLINES) as worlds:
        episodes = finished(run(starts(policy, [1, 3, 2]), worlds, policy, None, concurrency=2))
    assert [len(episodes[n].steps) for n in range(3)] == [1, 3, 2]
    assert policy.sizes == [2, 2, 2]  # 0 and 1; then 1 and 2, which took the seat of 0
    assert len(house.worlds) == 2
    assert [len(world.threads) for world in house.worlds] == [1, 1]
    assert house.worlds[0].threads != house.worlds[1].threads
    assert [world.closed for world in house.worlds] == [1, 1]
    assert sorted(policy.released) == [0, 1, 2]


def test_seats_keep_their_worlds_between_runs() -> None:
    house, policy = House(), Batches()
    with Worlds(house.make, DEADLINES) as worlds:
        for _ in range(3):
            finished(run(starts(policy, [1, 1]), worlds, policy, None, concurrency=2))
        assert len(house.worlds) == 2


@pytest.mark.parametrize("trouble", ["breaks", "hangs"])
def test_a_world_in_trouble_ends_its_own_episode_only(trouble: str) -> None:
    house, policy = House(**{trouble: [2]}), Batches()
    deadlines = Deadlines(step=30.0 if trouble == "breaks" else 1.0, reset=30.0)
    with Worlds(house.make, deadlines) as worlds:
        episodes = finished(run(starts(policy, [2, 3, 1]), worlds, policy, None, concurrency=2))
    assert episodes[0].status is Status.ENV_ERROR
    expected = "the world went away" if trouble == "breaks" else "no answer within 1 seconds"
    assert expected in episodes[0].error
    assert [episodes[n].status for n in (1, 2)] == [Status.SUCCESS, Status.SUCCESS]
    assert sum(world.killed for world in house.worlds) == 1
    assert len(house.worlds) == 3  # the broken one was replaced


def test_a_world_that_starts_too_slowly_is_never_shared_and_is_closed_in_the_end() -> None:
    house, policy, may_start = House(), Batches(), threading.Event()
    slow = iter([True])

    def make() -> Counter:
        if next(slow, False):
            may_start.wait()
        return house.make()

    with Worlds(make, Deadlines(step=30.0, reset=1.0)) as worlds:
        broken = finished(run(starts(policy, [1]), worlds, policy, None, concurrency=1))
        played = finished(run(starts(policy, [2]), worlds, policy, None, concurrency=1))
        may_start.set()
    assert (broken[0].status, played[0].status) == (Status.ENV_ERROR, Status.SUCCESS)
    patience = time.monotonic() + 5
    while len(house.worlds) < 2 or not all(world.closed for world in house.worlds):
        assert time.monotonic() < patience, [world.closed for world in house.worlds]
        time.sleep(0.01)
    assert all(len(world.threads) == 1 for world in house.worlds)


def test_a_broken_policy_stops_everything_and_closes_the_worlds() -> None:
    def fail(request: Request) -> str:
        raise RuntimeError("out of memory")

    house, policy = House(), ScriptedPolicy(fail)
    with (
        pytest.raises(RuntimeError, match="out of memory"),
        Worlds(house.make, DEADLINES) as worlds,
    ):
        finished(run(starts(policy, [2, 2]), worlds, policy, None, concurrency=2))
    assert [world.closed for world in house.worlds] == [1, 1]
    assert policy.released == [0, 1]


def test_what_the_user_must_mend_is_passed_on() -> None:
    def no_java() -> Counter:
        raise EnvironmentUnavailableError("no Java")

    policy = Batches()
    with (
        pytest.raises(EnvironmentUnavailableError, match="no Java"),
        Worlds(no_java, DEADLINES) as worlds,
    ):
        finished(run(starts(policy, [1]), worlds, policy, None, concurrency=1))


def test_recalls_of_a_round_are_answered_together() -> None:
    asked: list[list[str]] = []

    def recall(wanted: Sequence[Recall]) -> list[list[Recalled]]:
        asked.append([one.key for one in wanted])
        return [[] for _ in wanted]

    policy = Batches()
    with Worlds(House().make, DEADLINES) as worlds:
        finished(run(starts(policy, [1, 2], memory=True), worlds, policy, recall, concurrency=2))
    assert asked == [["count to 1", "count to 2"], ["1"]]


def test_tips_wait_until_no_action_is_wanted() -> None:
    rules = Rules(**{**{n: getattr(RULES, n) for n in RULES.__slots__}, "max_tip_tokens": 90})
    policy = Batches()
    with Worlds(House().make, DEADLINES) as worlds:
        finished(run(starts(policy, [1, 3], rules), worlds, policy, None, concurrency=2))
    assert policy.sizes == [2, 1, 1, 2]
    assert [request.max_tokens for request in policy.requests] == [20, 20, 20, 20, 90, 90]


def test_ctrl_c_ends_running_episodes_as_interrupted_and_reports_them() -> None:
    calls = iter([None, None, KeyboardInterrupt()])

    def say(request: Request) -> str:
        if (error := next(calls)) is not None:
            raise error
        return "up"

    policy, seen = ScriptedPolicy(say), list[Episode]()

    def follow(worlds: Worlds) -> None:
        for event in run(starts(policy, [3, 4]), worlds, policy, None, concurrency=2):
            if isinstance(event, Finished):
                seen.append(event.episode)

    with Worlds(House().make, DEADLINES) as worlds, pytest.raises(KeyboardInterrupt):
        follow(worlds)
    assert [(e.status, len(e.steps)) for e in seen] == [(Status.INTERRUPTED, 1)] * 2


def stage(house: House, policy: ScriptedPolicy, worlds: Worlds) -> Stage:
    return Stage(policy, worlds, RULES, lambda task: "Count.", None, concurrency=2)


def wanted(length: int) -> Wanted:
    return Wanted(Task("count", "up", length), seed=1, memory=False, tip=False)


def test_a_broken_episode_is_played_again() -> None:
    house, policy = House(), Batches()
    broken = iter([Counter(breaks=[2]), Counter(breaks=[2])])  # one for each seat

    def make() -> Counter:
        return next(broken, None) or house.make()

    with Worlds(make, DEADLINES) as worlds:
        events = list(play_all(stage(house, policy, worlds), [wanted(2), wanted(1)]))
    statuses = [(e.index, e.episode.status) for e in events if isinstance(e, Finished)]
    assert sorted(statuses) == [
        (0, Status.ENV_ERROR),
        (0, Status.SUCCESS),
        (1, Status.SUCCESS),
    ]


def test_a_world_that_keeps_breaking_is_an_error_that_says_so() -> None:
    house, policy, seen = House(breaks=[2]), Batches(), list[Episode]()

    def follow(worlds: Worlds) -> None:
        for event in play_all(stage(house, policy, worlds), [wanted(2), wanted(1)]):
            if isinstance(event, Finished):
                seen.append(event.episode)

    message = rf"count/up/2 broke {ATTEMPTS} times: ConnectionError"
    with (
        Worlds(house.make, DEADLINES) as worlds,
        pytest.raises(EnvironmentUnavailableError, match=message),
    ):
        follow(worlds)
    assert [e.status for e in seen].count(Status.ENV_ERROR) == ATTEMPTS


def test_seeds_differ_by_place_and_are_the_same_on_every_machine() -> None:
    assert episode_seed(0, 1, 2) == episode_seed(0, 1, 2) == 899316174
    places = {episode_seed(s, t, k) for s in range(3) for t in range(3) for k in range(3)}
    assert len(places) == 27
