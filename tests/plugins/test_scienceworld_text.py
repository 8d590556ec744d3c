"""Texts of the engine, as it gives them, made short without losing what can be acted on."""

import pytest

from empo2_scienceworld.text import changes, may_focus, read_inventory, read_room

KITCHEN = (
    "This room is called the kitchen. In it, you see: \n"
    "\tthe agent\n\ta substance called air\n\ta chair. On the chair is: nothing.\n"
    "\ta cupboard. The cupboard door is closed. \n\ta substance called soap\n"
    "You also see:\n\tA door to the bathroom (that is open)\n"
    "\tA door to the hallway (that is open)\n\tA door to the outside (that is closed)\n"
)
OUTSIDE = (
    "This outside location is called the outside. Here you see: \n"
    "\tthe agent\n\ta substance called air\n\ta fountain (containing a substance called water)\n"
    "\tthe ground\nYou also see:\n\tA door to the foundry (that is open)\n"
)


def test_a_room_is_two_lines() -> None:
    room = read_room(KITCHEN)
    assert room is not None
    assert room.text == (
        "In the kitchen you see: a chair. On the chair is: nothing; "
        "a cupboard. The cupboard door is closed; soap.\n"
        "Open doors: bathroom, hallway. Closed doors: outside."
    )


def test_the_outside_is_a_room_too() -> None:
    room = read_room(OUTSIDE)
    assert room is not None
    assert (room.name, room.things) == ("outside", ("a fountain (containing water)", "the ground"))
    assert room.doors == "Open doors: foundry."


@pytest.mark.parametrize("text", ["", "The door is not open.", "a bowl (containing nothing)"])
def test_other_texts_are_no_rooms(text: str) -> None:
    assert read_room(text) is None


def test_a_door_of_another_form_is_kept_as_it_is() -> None:
    room = read_room(KITCHEN + "\tA hatch in the floor\n")
    assert room is not None
    assert room.doors.endswith("A hatch in the floor.")


def test_the_inventory_is_a_list() -> None:
    text = "In your inventory, you see:\n\tan orange\n\ta metal pot (containing nothing)\n"
    assert read_inventory(text) == "an orange; a metal pot (containing nothing)"
    assert read_inventory("In your inventory, you see:\n\tnothing\n") == "nothing"
    assert read_inventory("In your inventory, you see:\n") == "nothing"


def test_changes_are_what_is_new_or_different() -> None:
    before = read_room(KITCHEN)
    after = read_room(
        KITCHEN.replace("is closed. \n\ta sub", "is open. \n\ta jug\n\ta jug\n\ta sub")
    )
    assert before is not None
    assert after is not None
    assert changes(before, before) == ()
    assert changes(before, after) == ("a cupboard. The cupboard door is open", "a jug", "a jug")
    assert changes(after, before) == ("a cupboard. The cupboard door is closed",)


@pytest.mark.parametrize(
    ("task", "focus"),
    [
        (
            "Your task is to boil water. First, focus on the substance. Then, take actions.",
            ("the substance",),
        ),
        (
            "First, focus on the thermometer. Next, focus on the chocolate. If the melting point "
            "of chocolate is above -10.0 degrees celsius, focus on the blue box. If the melting "
            "point of chocolate is below -10.0 degrees celsius, focus on the orange box. The boxes "
            "are located around the kitchen.",
            ("the thermometer", "the chocolate", "the blue box", "the orange box"),
        ),
        (
            "Your task is to focus on the 4 life stages of the turtle, starting from earliest.",
            ("the 4 life stages of the turtle",),
        ),
        ("When you are done, focus on the salt water", ("the salt water",)),
        ("Your task is to rest.", ()),
    ],
)
def test_what_may_be_focused_is_read_from_the_task(task: str, focus: tuple[str, ...]) -> None:
    assert may_focus(task) == focus
