"""Answering the recalls of many episodes at once: one search, then each episode's own limits."""

from collections.abc import Callable, Sequence

from empo2_agent.interfaces import TipMemory
from empo2_agent.memory.tips import within_budget
from empo2_agent.needs import SAME_TIP, Recall
from empo2_agent.rollout import Recaller
from empo2_agent.text import overlap, words
from empo2_agent.transcript import TIP_GAP
from empo2_agent.types import Recalled


def recaller(
    memory: TipMemory, cost: Callable[[str], int], *, per_turn: int, per_episode: int
) -> Recaller:
    """A function that finds tips for recalls.

    Args:
        memory: Where tips are.
        cost: Tokens of a text for the model that will read it.
        per_turn: Most tokens of tips in one turn.
        per_episode: Most tokens of tips in one episode.
    """

    def recall(wanted: Sequence[Recall]) -> list[list[Recalled]]:
        found: list[list[Recalled]] = [[] for _ in wanted]
        for task in dict.fromkeys(one.task for one in wanted):
            places = [n for n, one in enumerate(wanted) if one.task == task]
            answers = memory.search([wanted[n].key for n in places], task)
            for n, tips in zip(places, answers, strict=True):
                found[n] = within_budget(
                    [one for one in tips if not _was_shown(one, wanted[n].shown)],
                    lambda block: cost(TIP_GAP + block),
                    per_turn=per_turn,
                    left_for_episode=per_episode - wanted[n].tokens_spent,
                )
        return found

    return recall


def _was_shown(one: Recalled, shown: Sequence[str]) -> bool:
    said = words(one.tip.text)
    return any(overlap(said, words(text)) >= SAME_TIP for text in shown)
