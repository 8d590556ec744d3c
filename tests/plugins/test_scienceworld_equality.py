"""The lean step and the stock wrapper's, side by side: the same world, told apart by speed alone."""

import random
from collections.abc import Iterator

import pytest

from empo2_agent.types import Status, StepResult, Task
from empo2_scienceworld import PLUGIN
from empo2_scienceworld.actions import resets_the_task
from empo2_scienceworld.jvm import Jvm
from empo2_scienceworld.tasks import TASKS
from empo2_scienceworld.world import World
from tests.plugins.stock import NO_LIMIT, Stock, comparable_jar, gold_path

pytestmark = [
    pytest.mark.env,
    pytest.mark.timeout(900),
    # The stock wrapper leaves pipes and sockets open.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

NAMES = [task.name for task in TASKS]
FEW = {"find-non-living-thing", "lifespan-longest-lived", "power-component"}
SOME_FAST = [pytest.param(name, marks=() if name in FEW else (pytest.mark.slow,)) for name in NAMES]
WALK_STEPS = 60


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stock]:
    one = Stock(comparable_jar(tmp_path_factory.mktemp("mended")))
    yield one
    one.close()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    one = PLUGIN.make({**PLUGIN.defaults, "max_ticks": NO_LIMIT, "hide_actions": False})
    assert isinstance(one, World)
    yield one
    one.close()


@pytest.fixture(scope="module")
def gold() -> Iterator[Jvm]:
    jvm = Jvm()
    yield jvm
    jvm.close()


def assert_same(world: World, ours: StepResult, theirs: dict[str, object]) -> None:
    """All that both sides say of one step."""
    reply = world._reply
    assert reply is not None
    assert {
        "observation": ours.info["reply"],
        "score": ours.info["score"],
        "reward": ours.reward,
        "done": ours.done,
        "moves": ours.info["moves"],
        "look": reply.look,
        "inv": reply.inventory,
    } == {
        key: theirs[key]
        for key in ("observation", "score", "reward", "done", "moves", "look", "inv")
    }


def start(world: World, stock: Stock, name: str, variation: int) -> None:
    ours = world.reset(Task("scienceworld", name, variation), seed=0)
    theirs = stock.load(name, variation)
    assert ours.info["reply"] == theirs["observation"]
    assert world._task in str(theirs["taskDesc"])
    stock.env.lastStepScore = 0  # theirs has counted the first look as a step


@pytest.mark.parametrize("name", SOME_FAST)
def test_along_gold_paths(world: World, stock: Stock, gold: Jvm, name: str) -> None:
    path = gold_path(gold, name, 0)
    start(world, stock, name, 0)
    results = []
    for action in path:
        if world._question and not action.isdigit():
            stock.cancel_question()  # the one place where ours means to be different
        results.append(world.step(action))
        assert_same(world, results[-1], stock.step(action))
        if results[-1].done:
            break
    assert results[-1].status is Status.SUCCESS
    assert sum(result.reward for result in results) == 100.0


@pytest.mark.parametrize("name", SOME_FAST)
def test_along_random_walks(world: World, stock: Stock, name: str) -> None:
    number = NAMES.index(name)
    draw = random.Random(number)
    start(world, stock, name, number % 10)
    valid = engine_list(world)
    for step in range(WALK_STEPS):
        # An early wrong focus would end the walk; the last steps may.
        calm = [a for a in valid if not a.startswith("focus") or step > WALK_STEPS - 5]
        action = draw.choice(calm)
        result, theirs = world.step(action), stock.step(action)
        assert_same(world, result, theirs)
        if result.done:
            break
        valid = engine_list(world)
        assert valid == list(dict.fromkeys(a for a in theirs["valid"] if not resets_the_task(a)))
        offered = world.actions()
        assert offered == [action for action in valid if action in set(offered)]


def engine_list(world: World) -> list[str]:
    """All that the engine calls valid, also what cannot be reached."""
    return [a for a in dict.fromkeys(world._engine.actions()) if not resets_the_task(a)]


def test_the_limit_of_ticks_ends_both(stock: Stock) -> None:
    world = PLUGIN.make({**PLUGIN.defaults, "max_ticks": 15})
    assert isinstance(world, World)
    stock.env.envStepLimit = 15
    try:
        start(world, stock, "boil", 0)
        statuses = []
        for action in ["go to kitchen", "wait", "look around", "wait1", "wait1"]:
            result = world.step(action)
            assert_same(world, result, stock.step(action))
            statuses.append(result.status)
        assert statuses == [None, None, None, None, Status.TICK_LIMIT]
    finally:
        stock.env.envStepLimit = NO_LIMIT
        world.close()
