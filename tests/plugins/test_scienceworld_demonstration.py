"""How ScienceWorld's tasks are solved: in admissible words, and checked by playing it."""

from collections.abc import Iterator

import pytest

from empo2_agent.errors import UsageError
from empo2_agent.interfaces import Demonstrating
from empo2_agent.types import Status, Task
from empo2_scienceworld import PLUGIN
from empo2_scienceworld.demonstration import demonstrate
from empo2_scienceworld.world import World

pytestmark = pytest.mark.env


def task(name: str, variation: int = 0) -> Task:
    return Task("scienceworld", name, variation)


def make(**settings: str | int | float | bool) -> World:
    world = PLUGIN.make({**PLUGIN.defaults, **settings})
    assert isinstance(world, World)
    return world


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    one = make()
    yield one
    one.close()


@pytest.mark.parametrize(
    ("name", "variation", "most"),
    [
        ("find-non-living-thing", 0, 3),
        ("lifespan-shortest-lived", 1, 2),  # a way through three rooms is one teleport
        ("power-component", 0, 6),
        ("test-conductivity", 0, 13),  # terminals that the list lacks
        ("chemistry-mix", 0, 14),  # the recipe goes by another name in the list
        ("identify-life-stages-1", 1, 25),  # the wolf must grow up
        ("boil", 0, 30),  # no looking, but the time it took
        ("use-thermometer", 1, 15),  # how warm a thing is depends on how long doors took
        ("grow-plant", 0, 30),  # which of two seeds is a question
        ("inclined-plane-friction-named-surfaces", 0, 10),  # names with an article in them
    ],
)
def test_a_demonstration_solves_its_task_in_admissible_words(
    world: World, name: str, variation: int, most: int
) -> None:
    assert isinstance(world, Demonstrating)
    actions = world.demonstration(task(name, variation), seed=0)
    result = world.reset(task(name, variation), seed=0)
    for action in actions:
        assert not result.done
        assert action in world.actions()
        result = world.step(action)
    assert result.status is Status.SUCCESS
    assert result.info["score"] == 100.0
    assert len(actions) <= most


def test_it_is_the_same_every_time_and_in_every_state(world: World) -> None:
    first = world.demonstration(task("find-plant"), seed=3)
    world.reset(task("melt"), seed=0)
    world.step("focus on picture")
    assert world.demonstration(task("find-plant"), seed=3) == first


def test_closed_doors_are_opened_and_nobody_teleports() -> None:
    world = make(simplifications="")
    try:
        actions = world.demonstration(task("find-non-living-thing"), seed=0)
    finally:
        world.close()
    assert actions[:2] == ["open door to kitchen", "go to kitchen"]
    assert not any(action.startswith("teleport") for action in actions)


def test_what_does_not_fit_into_the_ticks_is_refused() -> None:
    world = make(max_ticks=5)
    try:
        with pytest.raises(UsageError, match=r"no solution of boil 0.*tick_limit"):
            world.demonstration(task("boil"), seed=0)
        assert world.demonstration(task("lifespan-shortest-lived"), seed=0)
    finally:
        world.close()


def test_a_solution_that_fails_is_refused(world: World) -> None:
    one = task("find-plant")
    for gold, end in ((["focus on picture"], "failed"), ([], "unsolved")):
        with pytest.raises(UsageError, match=end):
            demonstrate(world, lambda line: [], gold, one, 0)


def test_unknown_tasks_and_variations_are_refused(world: World) -> None:
    with pytest.raises(UsageError, match="no variation"):
        world.demonstration(task("boil", 99), seed=0)
    with pytest.raises(UsageError, match="no task"):
        world.demonstration(task("bake"), seed=0)


def test_meanings_tell_same_from_different(world: World) -> None:
    world.reset(task("chemistry-mix-paint-secondary-color"), seed=0)
    world.step("teleport to art studio")
    meanings = world._engine.meanings
    (taken,) = meanings("pick up jug")
    assert meanings("move jug to inventory") == [taken]
    assert meanings("the pick up") == meanings("xyzzy") == []
    assert meanings("look at jug") != [taken]
    assert len(meanings("pick up wood cup")) == 3
    assert world._engine.open_question() == 0


def test_it_does_not_matter_which_end_of_a_wire_comes_first(world: World) -> None:
    world.reset(task("power-component"), seed=0)
    world.step("teleport to workshop")
    meanings = world._engine.meanings
    (there,) = meanings("connect battery anode to black wire terminal 1")
    assert meanings("connect black wire terminal 1 to battery anode") == [there]
    assert meanings("connect black wire terminal 2 to battery anode") != [there]


def test_things_with_an_article_in_their_name_are_offered(world: World) -> None:
    world.reset(task("inclined-plane-friction-named-surfaces"), seed=0)
    world.step("teleport to workshop")
    assert "focus on inclined plane with a cloth surface" in world.actions()
