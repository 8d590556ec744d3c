"""Reading an action out of a reply, and the three ways to keep it admissible.

`free`: the reply is the action. `correct`: the nearest admissible action is executed.
`constrained`: the reply is sampled along a trie of the admissible actions' tokens.
"""

import re
from collections.abc import Iterable, Sequence

from rapidfuzz.distance import Indel

from empo2_agent.text import clean

_TAGGED = re.compile(r"<action>(.*?)</action>", re.DOTALL | re.IGNORECASE)

Node = dict[int, "Node"]
"""A position in a trie of token sequences: the ids that may follow, and where each leads."""


def read_action(reply: str) -> str:
    """The text in the last `<action>` tag, else the first line that says anything."""
    tagged = _TAGGED.findall(reply)
    lines = [line.strip() for line in clean(tagged[-1] if tagged else reply).splitlines()]
    return next((line for line in lines if line), "")


def nearest(action: str, admissible: Sequence[str]) -> str:
    """The admissible action most like `action`, letter by letter in order; the first of equals.

    Order matters: `move apple to box` is nearer to itself than to `move box to apple`. Similarity
    is the normalised Indel distance (insertions and deletions over both lengths).
    """
    wanted = action.casefold()
    return max(
        admissible,
        key=lambda known: Indel.normalized_similarity(wanted, known.casefold()),
        default=action,
    )


def trie(sequences: Iterable[Sequence[int]]) -> Node:
    """All sequences in one tree. Each must end in a token that occurs nowhere else in it.

    The end token makes `go` and `go to kitchen` two leaves instead of one on the way to another.
    """
    root: Node = {}
    for sequence in sequences:
        node = root
        for token in sequence:
            node = node.setdefault(token, {})
    return root


def forced(node: Node) -> tuple[tuple[int, ...], Node]:
    """The tokens that must follow `node` before there is a choice, and where they lead."""
    path: list[int] = []
    while len(node) == 1:
        token, node = next(iter(node.items()))
        path.append(token)
    return tuple(path), node
