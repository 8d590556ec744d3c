""" "Ambiguous request": answered by a number, cancelled by everything else, and always said so."""

from collections.abc import Iterator

import pytest

from empo2_agent.types import StepResult, Task
from empo2_scienceworld import PLUGIN
from empo2_scienceworld.world import World

pytestmark = pytest.mark.env


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    one = PLUGIN.make(PLUGIN.defaults)
    assert isinstance(one, World)
    yield one
    one.close()


@pytest.fixture
def asked(world: World) -> StepResult:
    """The art studio has three wood cups: to take one is ambiguous."""
    world.reset(Task("scienceworld", "chemistry-mix-paint-secondary-color", 0), seed=0)
    world.step("teleport to art studio")
    return world.step("pick up wood cup")


def test_a_question_lists_its_answers(world: World, asked: StepResult) -> None:
    assert "Ambiguous request" in asked.observation
    assert "0:\tpick up wood cup" in asked.observation
    assert world.actions() == ["0", "1", "2"]


def test_a_number_answers(world: World, asked: StepResult) -> None:
    result = world.step(" 1 ")
    assert result.observation.startswith("You choose 1.\nYou move the wood cup to the inventory.")
    assert result.info["moves"] == float(asked.info["moves"]) + 1
    assert len(world.actions()) > 3


@pytest.mark.parametrize("answer", ["3", "-1", "fly away", "", "one", "99999999999", "reset task"])
def test_anything_else_cancels_at_no_cost(world: World, asked: StepResult, answer: str) -> None:
    result = world.step(answer)
    assert result.observation.startswith("The open question was cancelled.\n")
    assert result.info["moves"] == asked.info["moves"]
    assert "carrying" in result.state
    assert "wood cup" not in result.state.splitlines()[0]
    assert len(world.actions()) > 3


def test_another_action_cancels_and_is_done(world: World, asked: StepResult) -> None:
    result = world.step("go to hallway")
    assert result.observation.startswith(
        "The open question was cancelled.\nYou move to the hallway.\nIn the hallway you see: "
    )
    assert result.info["moves"] == float(asked.info["moves"]) + 1


def test_the_question_does_not_outlive_the_episode(world: World, asked: StepResult) -> None:
    world.reset(Task("scienceworld", "boil", 0), seed=0)
    assert world.step("1").observation == "No known action matches that input."
