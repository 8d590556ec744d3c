"""Episodes in a real JVM: what is said, what counts, what ends."""

import random
from collections.abc import Iterator

import pytest

from empo2_agent.errors import UsageError
from empo2_agent.testing import check_environment
from empo2_agent.types import Status, StepResult, Task
from empo2_scienceworld import PLUGIN
from empo2_scienceworld.actions import FORBIDDEN, UNKNOWN
from empo2_scienceworld.world import World

pytestmark = pytest.mark.env


def task(name: str, variation: int = 0) -> Task:
    return Task("scienceworld", name, variation)


def make(**settings: str | int | float | bool) -> World:
    world = PLUGIN.make({**PLUGIN.defaults, **settings})
    assert isinstance(world, World)
    return world


def play(world: World, actions: list[str]) -> list[StepResult]:
    return [world.step(action) for action in actions]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    one = make()
    yield one
    one.close()


@pytest.mark.parametrize(
    ("name", "actions"),
    [
        ("find-animal", []),
        ("find-plant", ["focus on picture"]),  # the wrong thing: fails at once
        ("power-component", []),
    ],
)
def test_it_keeps_the_contract(name: str, actions: list[str]) -> None:
    check_environment(PLUGIN, task(name), actions)


def test_it_keeps_the_contract_with_other_settings() -> None:
    check_environment(
        PLUGIN,
        task("melt", 3),
        ["wait1"] * 4,
        settings={"simplifications": "", "hide_actions": False, "compact": False, "max_ticks": 5},
    )


def test_the_first_observation_says_all_that_is_needed(world: World) -> None:
    first = world.reset(task("find-animal"), seed=0)
    lines = first.observation.splitlines()
    assert lines[0].startswith("Task: Your task is to find a(n) animal.")
    assert lines[1] == "Focus only on: the thing."
    assert lines[2].startswith("In the hallway you see: ")
    assert lines[3].startswith("Open doors: ")
    assert lines[4].startswith("You carry: ")
    assert first.state.startswith("In the hallway, carrying ")
    assert "Task: Your task is to find a(n) animal." in first.state


def test_only_what_is_new_is_said(world: World) -> None:
    world.reset(task("melt"), seed=0)
    entered, opened, taken, nothing = play(
        world, ["go to kitchen", "open cupboard", "pick up thermometer", "open cupboard"]
    )
    assert entered.observation.startswith("You move to the kitchen.\nIn the kitchen you see: ")
    assert "\nNow here: a cupboard. The cupboard door is open. In the cupboard is: " in (
        opened.observation
    )
    assert "You carry" not in opened.observation
    assert taken.observation.splitlines()[1].startswith("You carry: ")
    assert "thermometer" in taken.observation.splitlines()[1]
    assert nothing.observation == nothing.info["reply"]


def test_looking_around_is_not_said_twice(world: World) -> None:
    world.reset(task("melt"), seed=0)
    assert world.step("look around").observation.count("In the hallway") == 1


def test_full_texts_where_they_are_wanted() -> None:
    world = make(compact=False)
    try:
        first = world.reset(task("melt"), seed=0)
        assert "This room is called the hallway. In it, you see:" in first.observation
        moved = world.step("go to kitchen")
        assert "a substance called air" in moved.observation
    finally:
        world.close()


def test_a_wrong_focus_fails_and_nothing_changes_after(world: World) -> None:
    world.reset(task("find-animal"), seed=0)
    end = world.step("focus on picture")
    assert (end.reward, end.status) == (-100.0, Status.FAILED)
    for action in ("reset task", "look around", "focus on picture"):
        assert world.step(action) == StepResult(
            end.observation, 0.0, Status.FAILED, end.state, end.info
        )
    assert world.actions() == []


def test_the_score_of_the_last_episode_does_not_leak(world: World) -> None:
    world.reset(task("find-animal"), seed=0)
    world.step("focus on picture")
    fresh = world.reset(task("find-animal"), seed=0)
    assert fresh.info["score"] == 8.0  # this world begins with a part of the goal done
    total = 0.0
    for action in ("task", "help", "objects", "look around"):
        result = world.step(action)
        total += result.reward
        assert (total, result.info["score"], result.status) == (8.0, 8.0, None)


@pytest.mark.parametrize("action", ["reset task", "Reset THE  task", "reset\ttask"])
def test_resetting_the_task_is_forbidden(world: World, action: str) -> None:
    world.reset(task("boil"), seed=0)
    result = world.step(action)
    assert result.observation == FORBIDDEN
    assert (result.reward, result.status, result.info["moves"]) == (0.0, None, 0.0)
    assert not any(a.startswith("reset") for a in world.actions())


def test_what_cannot_be_parsed_costs_nothing(world: World) -> None:
    before = world.reset(task("boil"), seed=0)
    for action in ("fly to the moon", "", "go to\x00kitchen", "Küche", "x" * 10_000):
        result = world.step(action)
        assert result.observation == UNKNOWN
        assert (result.state, result.info["moves"]) == (before.state, 0.0)


def test_ticks_end_the_episode() -> None:
    world = make(max_ticks=12)
    try:
        world.reset(task("boil"), seed=0)
        first, second, third = play(world, ["wait", "wait1", "wait1"])
        assert (first.status, first.info["moves"]) == (None, 11.0)
        assert (second.status, second.info["moves"]) == (Status.TICK_LIMIT, 13.0)
        assert third.status is Status.TICK_LIMIT
        assert third.info["moves"] == 13.0
    finally:
        world.close()


def test_free_actions_cost_no_tick(world: World) -> None:
    world.reset(task("boil"), seed=0)
    results = play(world, ["look around", "inventory", "task", "help", "objects"])
    assert [result.info["moves"] for result in results] == [0.0] * 5


def test_easy_needs_no_wires_but_where_they_are_the_task(world: World) -> None:
    for name, wired in (("boil", False), ("power-component", True), ("test-conductivity", True)):
        world.reset(task(name), seed=0)
        world.step("go to workshop")
        assert any(a.startswith("connect ") for a in world.actions()) == wired
        assert any(a.startswith("teleport to ") for a in world.actions())


def test_without_simplifications_doors_are_closed_and_nobody_teleports() -> None:
    world = make(simplifications="")
    try:
        assert "Closed doors: " in world.reset(task("boil"), seed=0).observation
        assert not any(a.startswith("teleport") for a in world.actions())
    finally:
        world.close()


def test_wires_cannot_be_taken_from_a_task_that_needs_them() -> None:
    world = make(simplifications="openDoors,noElectricalAction")
    try:
        with pytest.raises(UsageError, match="noElectricalAction"):
            world.reset(task("power-component"), seed=0)
        assert world.reset(task("boil"), seed=0).observation
    finally:
        world.close()


def test_a_variation_out_of_range_is_refused(world: World) -> None:
    with pytest.raises(UsageError, match="0 to 29"):
        world.reset(task("boil", 30), seed=0)


def test_settings_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(UsageError, match="max_ticks"):
        make(max_ticks=0)
    with pytest.raises(UsageError, match="simplifications"):
        make(simplifications="easy,openDoors")


def test_a_step_needs_a_reset() -> None:
    world = make()
    try:
        with pytest.raises(RuntimeError, match="before reset"):
            world.step("look around")
        assert world.actions() == []
    finally:
        world.close()


def test_hidden_actions_still_work(world: World) -> None:
    world.reset(task("boil"), seed=0)
    assert not any(a.startswith(("look", "inventory", "task")) for a in world.actions())
    assert world.step("look at picture").observation.startswith("a picture")


def test_the_list_keeps_the_engines_order_and_is_long(world: World) -> None:
    world.reset(task("grow-plant"), seed=0)
    world.step("go to greenhouse")
    theirs = world._engine.actions()
    offered = set(world.actions())
    assert world.actions() == [a for a in dict.fromkeys(theirs) if a in offered]
    assert {a.split()[0] for a in theirs} - {a.split()[0] for a in offered} == {
        *("look", "inventory", "task", "reset"),
    }
    assert len(theirs) > 200  # more than one chunk


def test_bees_follow_the_seed_and_nobody_who_looks_on(world: World) -> None:
    actions = ["teleport to outside", *["wait1", "look around"] * 8]

    def walk(seed: int, *, listing: bool) -> list[StepResult]:
        results = [world.reset(task("grow-fruit"), seed=seed)]
        for action in ["teleport to greenhouse", "open bee hive", *actions]:
            if listing:
                world.actions()
            results.append(world.step(action))
        return results

    assert walk(1, listing=False) == walk(1, listing=True)
    assert walk(1, listing=False) != walk(2, listing=False)


@pytest.mark.parametrize(
    ("name", "variation", "hidden"),
    [
        ("find-non-living-thing", 225, "cup containing red paint in cupboard"),  # a closed one
        ("lifespan-shortest-lived", 93, "bee 0"),  # in a closed hive
        ("power-component", 0, ""),  # six doors, and a thousand ways to wire them
    ],
)
def test_listed_are_the_actions_the_engine_knows_and_no_others(
    world: World, name: str, variation: int, hidden: str
) -> None:
    draw, chosen = random.Random(1), task(name, variation)
    world.reset(chosen, seed=0)
    valid, offered = world._engine.actions(), world.actions()
    left_out = [
        a for a in valid if a not in offered and a.startswith(("move ", "pick up ", "mix "))
    ]
    assert bool(left_out) == bool(hidden)
    assert any(hidden in action for action in left_out) or not hidden
    for action, known in (
        *((a, True) for a in draw.sample(offered, 25) if not a.startswith("focus")),
        *((a, False) for a in draw.sample(left_out, min(25, len(left_out)))),
    ):
        world.reset(chosen, seed=0)
        assert (UNKNOWN not in world.step(action).observation) == known, action
