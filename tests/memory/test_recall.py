from collections.abc import Iterable, Sequence

from empo2_agent.memory.recall import recaller
from empo2_agent.needs import Recall
from empo2_agent.prompts import tip_block
from empo2_agent.transcript import TIP_GAP
from empo2_agent.types import Recalled, Task, Tip
from tests.memory.helpers import recalled

ONE, TWO = Task("toy", "red-lamp", 1), Task("toy", "red-lamp", 2)
TIPS = [
    recalled(f"tip {name}", text=f"{name} is where it was") for name in ("attic", "bin", "cellar")
]


class Shelf:
    """A memory that finds the same for every key, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], Task]] = []

    def add(self, tips: Iterable[Tip]) -> int:
        raise AssertionError("a recall never writes")

    def search(self, keys: Sequence[str], task: Task) -> list[list[Recalled]]:
        self.asked.append((tuple(keys), task))
        return [TIPS for _ in keys]

    def count(self, task: Task | None = None) -> int:
        return len(TIPS)

    def close(self) -> None:
        raise AssertionError("a recall never closes")


def price(*tips: Recalled) -> int:
    return len(TIP_GAP + tip_block(tips))


def ask(
    per_turn: int, per_episode: int, *, shown: tuple[str, ...] = (), spent: int = 0
) -> list[str]:
    recall = recaller(Shelf(), len, per_turn=per_turn, per_episode=per_episode)
    return [one.tip.id for one in recall([Recall("k", ONE, shown, spent)])[0]]


def test_one_search_for_each_task_and_answers_in_the_order_of_the_questions() -> None:
    shelf = Shelf()
    recall = recaller(shelf, len, per_turn=10_000, per_episode=10_000)
    found = recall([Recall("a", ONE, (), 0), Recall("b", TWO, (), 0), Recall("c", ONE, (), 0)])
    assert shelf.asked == [(("a", "c"), ONE), (("b",), TWO)]
    assert [len(tips) for tips in found] == [3, 3, 3]


def test_what_was_shown_is_not_shown_again_whatever_its_id() -> None:
    assert ask(10_000, 10_000, shown=("Attic is, where it was!",)) == ["tip bin", "tip cellar"]


def test_the_budget_of_a_turn_counts_the_block_as_the_prompt_will_hold_it() -> None:
    exact = price(TIPS[0], TIPS[1])
    assert ask(exact, 10_000) == ["tip attic", "tip bin"]
    assert ask(exact - 1, 10_000) == ["tip attic"]
    assert ask(price(TIPS[0]) - 2, 10_000) == ["tip bin"]  # shorter: the long one is passed over


def test_the_budget_of_an_episode_counts_what_was_spent() -> None:
    exact = price(TIPS[0], TIPS[1])
    assert ask(10_000, exact + 50, spent=50) == ["tip attic", "tip bin"]
    assert ask(10_000, exact + 50, spent=51) == ["tip attic"]
    assert ask(10_000, 50, spent=50) == []
