"""The table of tasks, and what of it the jar says itself."""

from collections.abc import Iterator

import pytest

from empo2_agent.errors import UsageError
from empo2_agent.testing.catalogue import check_catalogue
from empo2_agent.types import Task
from empo2_scienceworld import PLUGIN
from empo2_scienceworld.jvm import Jvm
from empo2_scienceworld.tasks import (
    SIMPLIFICATIONS,
    TASKS,
    check_variation,
    is_electrical,
    parse_simplifications,
    split_variations,
)


def test_there_are_30_tasks_in_alphabetical_order() -> None:
    names = [task.name for task in TASKS]
    assert len(names) == 30
    assert names == sorted(names)
    assert (names[0], names[25], names[29]) == ("boil", "power-component", "use-thermometer")
    assert sum(task.variations for task in TASKS) == 7207


def test_the_catalogue_keeps_the_contract() -> None:
    check_catalogue(PLUGIN)


@pytest.mark.parametrize(
    ("name", "train", "dev", "test"),
    [
        ("boil", range(14), range(14, 21), range(21, 30)),
        ("identify-life-stages-2", range(4), range(4, 6), range(6, 10)),
        ("find-animal", range(150), range(150, 225), range(225, 300)),
    ],
)
def test_splits_are_ranges_of_the_index(name: str, train: range, dev: range, test: range) -> None:
    assert [split_variations(name, s) for s in ("train", "dev", "test")] == [train, dev, test]


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean find-animal"):
        PLUGIN.variations("find-animals", "train")


def test_an_unknown_split_names_the_splits() -> None:
    with pytest.raises(UsageError, match="train, dev, test, all"):
        PLUGIN.variations("boil", "validation")


@pytest.mark.parametrize("variation", [-1, 30, 10**9])
def test_a_variation_out_of_range_names_the_range(variation: int) -> None:
    with pytest.raises(UsageError, match="0 to 29"):
        check_variation(Task("scienceworld", "boil", variation))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("", ""),
        ("easy", "easy"),
        (" EASY ", "easy"),
        ("opendoors, TeleportAction,openDoors", "openDoors,teleportAction"),
    ],
)
def test_simplifications_are_read_as_the_jar_reads_them(given: str, meant: str) -> None:
    assert parse_simplifications(given) == meant


@pytest.mark.parametrize("given", ["esay", "easy,openDoors", "openDoors;openContainers"])
def test_other_simplifications_are_refused(given: str) -> None:
    with pytest.raises(UsageError, match=r"environment\.simplifications"):
        parse_simplifications(given)


def test_instructions_name_wires_only_where_they_are_needed() -> None:
    for task in TASKS:
        text = PLUGIN.instructions(Task("scienceworld", task.name))
        assert ("connect X to Y" in text) == is_electrical(task.name)
        assert "focus on X" in text


@pytest.fixture(scope="module")
def server() -> Iterator[object]:
    jvm = Jvm()
    yield jvm.gateway.jvm.scienceworld.runtime.pythonapi.PythonInterface()
    jvm.close()


@pytest.mark.env
def test_the_table_is_that_of_the_jar(server: object) -> None:
    names = list(server.getTaskNames())  # type: ignore[attr-defined]  # a Java object
    assert names == [task.name for task in TASKS]
    for task in TASKS:
        assert server.getTaskMaxVariations(task.name) == task.variations  # type: ignore[attr-defined]  # a Java object
    known = server.getPossibleSimplifications()  # type: ignore[attr-defined]  # a Java object
    assert sorted(SIMPLIFICATIONS.values()) == known.split(", ")


@pytest.mark.env
def test_the_splits_are_those_of_the_jar(server: object) -> None:
    for task in TASKS:
        server.load(task.name, 0, "", False)  # type: ignore[attr-defined]  # a Java object
        for split, getter in (("train", "Train"), ("dev", "Dev"), ("test", "Test")):
            theirs = list(getattr(server, f"getVariations{getter}")())
            assert theirs == list(split_variations(task.name, split)), (task.name, split)
