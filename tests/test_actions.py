import pytest
from hypothesis import given
from hypothesis import strategies as st

from empo2_agent.actions import Node, forced, nearest, read_action, trie


@pytest.mark.parametrize(
    ("reply", "action"),
    [
        ("go north", "go north"),
        ("\n  go north \nbecause", "go north"),
        ("I think <action> take it </action>", "take it"),
        ("<action>one</action> no, <ACTION>two\nlines</ACTION>", "two"),
        ("<action></action>", ""),
        ("", ""),
        ("a\x1b[2Jb\x00c", "abc"),
    ],
)
def test_the_action_in_a_reply(reply: str, action: str) -> None:
    assert read_action(reply) == action


def test_correction_keeps_source_and_target_in_their_order() -> None:
    admissible = ["move box to apple", "move apple to box"]
    assert nearest("move the apple into the box", admissible) == "move apple to box"
    assert nearest("move the box into the apple", admissible) == "move box to apple"


def test_correction_by_hand() -> None:
    assert nearest("Opn DOOR", ["close door", "open door"]) == "open door"
    assert nearest("xyz", ["b", "a"]) == "b"  # nothing in common with either: the first
    assert nearest("anything", []) == "anything"


@given(st.lists(st.text("ab ", min_size=1, max_size=6), min_size=1, max_size=6))
def test_an_admissible_action_is_its_own_correction(admissible: list[str]) -> None:
    assert nearest(admissible[-1], admissible) == admissible[-1]


def test_forced_tokens_run_to_the_next_choice() -> None:
    root = trie([(1, 2, 9), (1, 2, 3, 9), (1, 2, 3, 4, 9)])
    path, node = forced(root)
    assert path == (1, 2)
    assert list(node) == [9, 3]
    assert forced(node[9]) == ((), {})
    assert list(forced(node[3])[1]) == [9, 4]
    assert forced(node[3][4]) == ((9,), {})


@given(st.sets(st.lists(st.integers(1, 3), max_size=4).map(tuple), min_size=1))
def test_a_trie_holds_its_sequences_and_no_other(bodies: set[tuple[int, ...]]) -> None:
    sequences = {(*body, 0) for body in bodies}
    found: set[tuple[int, ...]] = set()
    stack: list[tuple[tuple[int, ...], Node]] = [((), trie(sequences))]
    while stack:
        path, node = stack.pop()
        if not node:
            found.add(path)
        stack += [((*path, token), child) for token, child in node.items()]
    assert found == sequences
