"""The red lamp: hidden by the variation, found by exploring, quickly by whoever knows where."""

from collections import deque

import pytest

from empo2_agent.errors import UsageError
from empo2_agent.testing import check_environment
from empo2_agent.types import Status, Task
from empo2_toy import PLUGIN
from empo2_toy.house import CONTAINERS, DOORS, LAMP, PLACES, VARIATIONS, House, LampWorld


def task(variation: int) -> Task:
    return Task("toy", "red-lamp", variation)


def way(start: str, goal: str) -> list[str]:
    """Actions that lead from room to room, the fewest."""
    todo, seen = deque([(start, list[str]())]), {start}
    while todo:
        room, path = todo.popleft()
        if room == goal:
            return path
        for door in DOORS[room]:
            if door not in seen:
                seen.add(door)
                todo.append((door, [*path, f"go to {door}"]))
    raise AssertionError(f"no way from {start} to {goal}")


def solution(variation: int) -> list[str]:
    house = House.of(variation)
    place = next(name for name, things in house.inside.items() if LAMP in things)
    room = next(room for room, names in CONTAINERS.items() if place in names)
    return [*way(house.room, room), f"open {place}", f"take {LAMP}", f"turn on {LAMP}"]


@pytest.mark.parametrize("variation", [0, 7, 19])
def test_it_keeps_the_contract(variation: int) -> None:
    check_environment(PLUGIN, task(variation), solution(variation))


def test_it_keeps_the_contract_on_a_random_walk() -> None:
    check_environment(PLUGIN)


@pytest.mark.parametrize("variation", range(VARIATIONS))
def test_whoever_knows_the_place_needs_half_of_the_steps_at_most(variation: int) -> None:
    world = LampWorld()
    world.reset(task(variation), seed=0)
    results = []
    for action in solution(variation):
        assert action in world.actions()
        results.append(world.step(action))
    assert [r.reward for r in results] == [0.0] * (len(results) - 1) + [1.0]
    assert results[-1].status is Status.SUCCESS
    assert len(results) <= PLUGIN.step_limit // 2


@pytest.mark.parametrize("variation", range(VARIATIONS))
def test_the_demonstration_is_a_shortest_solution(variation: int) -> None:
    world = LampWorld()
    actions = world.demonstration(task(variation), seed=0)
    result = world.reset(task(variation), seed=0)
    for action in actions:
        assert action in world.actions()
        result = world.step(action)
    assert result.status is Status.SUCCESS
    assert len(actions) == len(solution(variation))


def test_no_observation_names_the_lamp_before_its_container_is_open() -> None:
    for variation in range(VARIATIONS):
        world = LampWorld()
        shown = world.reset(task(variation), seed=0).observation.removeprefix(
            "Your task: find the red lamp and turn it on."
        )
        for action in way("hall", "attic"):
            shown += world.step(action).observation
        assert LAMP not in shown


def test_looking_everywhere_does_not_fit_into_the_step_limit() -> None:
    assert len(PLACES) + len(DOORS) > PLUGIN.step_limit


def test_the_places_are_spread_over_the_variations_and_the_splits() -> None:
    hidden = [
        next(name for name, things in House.of(v).inside.items() if LAMP in things)
        for v in range(VARIATIONS)
    ]
    assert all(hidden.count(place) == VARIATIONS // len(PLACES) for place in PLACES)
    assert set(hidden[: VARIATIONS // 2]) == set(PLACES)


def test_another_lamp_is_no_success() -> None:
    world = LampWorld()
    world.reset(task(0), seed=0)
    assert world._house is not None
    world._house.carried.append("blue lamp")
    result = world.step("turn on blue lamp")
    assert (result.status, result.reward) == (None, 0.0)


def test_the_state_holds_room_things_and_what_is_carried() -> None:
    world = LampWorld()
    result = world.reset(task(3), seed=0)
    for action in solution(3)[:-1]:
        result = world.step(action)
    assert result.state.startswith("You are in the ")
    assert "(empty)" in result.state  # the open container the lamp was taken from
    assert "You carry: red lamp." in result.state


@pytest.mark.parametrize("action", ["GO  TO Kitchen", "look", "turn on the sun", "open", "turn on"])
def test_odd_actions_are_observations(action: str) -> None:
    world = LampWorld()
    world.reset(task(0), seed=0)
    assert world.step(action).observation


def test_unknown_tasks_variations_and_splits_are_refused() -> None:
    world = LampWorld()
    with pytest.raises(UsageError, match="0 to 19"):
        world.reset(task(20), seed=0)
    with pytest.raises(UsageError, match="0 to 19"):
        world.demonstration(task(20), seed=0)
    with pytest.raises(UsageError, match="only red-lamp"):
        world.reset(Task("toy", "blue-lamp"), seed=0)
    with pytest.raises(UsageError, match="train, dev, test, all"):
        PLUGIN.variations("red-lamp", "valid")
    assert [len(PLUGIN.variations("red-lamp", s)) for s in ("train", "dev", "test")] == [10, 5, 5]
