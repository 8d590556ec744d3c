"""Which actions reach the engine, and which are offered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empo2_scienceworld.actions import (
    LONGEST,
    about,
    listed,
    names_in,
    normalise,
    reachable,
    resets_the_task,
    without_stop_words,
)


@pytest.mark.parametrize(
    ("action", "line"),
    [
        ("go to kitchen", "go to kitchen"),
        ("  go\tto\n kitchen\r\n", "go to kitchen"),
        ("", ""),
        (" \n ", ""),
        ("go to\x00kitchen", ""),
        ("reset task\x00", ""),
        ("reset\x1f task\x7f", ""),
        ("gehe zur Küche", ""),
        ("\u212aitchen", ""),
        ("\ud800", ""),
        ("x" * LONGEST, "x" * LONGEST),
        ("x" * (LONGEST + 1), ""),
    ],
)
def test_only_plain_lines_reach_the_engine(action: str, line: str) -> None:
    assert normalise(action) == line


@given(st.text())
def test_a_normalised_line_is_plain_and_stays_what_it_is(action: str) -> None:
    line = normalise(action)
    assert line.isascii()
    assert not set(line) & set("\n\r\t\x00\x1b")
    assert normalise(line) == line


@pytest.mark.parametrize(
    "action",
    ["reset task", "RESET  Task", "reset the task", "\treset\na task", "the reset an task the"],
)
def test_resetting_is_recognised_in_all_its_forms(action: str) -> None:
    assert resets_the_task(normalise(action))


@pytest.mark.parametrize("action", ["task", "reset", "reset tasks", "task reset", "focus on task"])
def test_other_actions_are_no_reset(action: str) -> None:
    assert not resets_the_task(action)


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("inclined plane with a cloth surface", "inclined plane with cloth surface"),
        ("unknown substance a", "unknown substance"),
        ("the anode", "anode"),
        ("banana", "banana"),
        ("", ""),
    ],
)
def test_articles_are_not_read(line: str, read: str) -> None:
    assert without_stop_words(line) == read


OFFERED = [
    "focus on apple",
    "focus on apple",
    "inventory",
    "look around",
    "look at agent",
    "look in kitchen",
    "open door",
    "reset task",
    "task",
    "wait",
    "wait1",
]


def test_free_actions_are_hidden_duplicates_and_resets_always() -> None:
    assert listed(OFFERED, hide=True) == ["focus on apple", "open door", "wait", "wait1"]
    shown = listed(OFFERED, hide=False)
    assert shown == [a for a in dict.fromkeys(OFFERED) if a != "reset task"]


NAMES = {"cup", "cupboard", "cup in cupboard", "bee 0", "jug", "door to hall", "hall"}


@pytest.mark.parametrize(
    ("action", "things"),
    [
        ("pick up cup", ("cup",)),
        ("pick up cup in cupboard", ("cup in cupboard",)),
        ("move cup to cupboard", ("cup", "cupboard")),
        ("move cup in cupboard to jug", ("cup in cupboard", "jug")),
        ("move bee 0 to door to hall", ("bee 0", "door to hall")),
        ("open door to hall", ("door to hall",)),
        ("wait", ()),
        ("go to kitchen", ()),
    ],
)
def test_what_an_action_is_about(action: str, things: tuple[str, ...]) -> None:
    assert about(action, NAMES) == things


def test_actions_on_what_cannot_be_reached_are_left_out() -> None:
    actions = ["focus on cup", "focus on bee 0", "pick up bee 0", "move cup to jug", "wait"]
    assert names_in(actions) == ["cup", "bee 0"]
    assert reachable(actions, {"cup", "bee 0", "jug"}, {"cup", "jug"}) == [
        "focus on cup",
        "move cup to jug",
        "wait",
    ]
