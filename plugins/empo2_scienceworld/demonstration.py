"""From the engine's own solution of a task to actions an agent can choose from.

The solution looks around a lot, opens what is open, and calls things by names that are not in the
list of admissible actions. The one rule: what is returned was played, and solves the task.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from empo2_agent.errors import UsageError
from empo2_agent.interfaces import Environment
from empo2_agent.types import Status, StepResult, Task
from empo2_scienceworld.engine import Meaning

_PERCEPTION = ("look", "examine", "inventory", "task")
_REFUSED = (" is already ", "You can't move something into itself")
_GO, _TELEPORT = "go to ", "teleport to "
_MOMENT, _MOMENTS, _IN_MOMENTS = "wait1", "wait", 10
_PATIENCE = 10  # moments
_CANDIDATES = 60  # admissible texts tried for one action: about as many as there are things around

# The list lacks the terminals of a thing that is no wire. Named alone, such a thing offers one.
_TERMINAL = re.compile(r"^(connect .+?) terminal [12](?= to )")


@dataclass(frozen=True, slots=True)
class _Move:
    """One thing the solution does."""

    lines: tuple[str, ...]
    """The action; then the number that answers the engine's question, where it asked one."""
    quiet: bool = False
    """When it was played nothing was earned, and nothing looked different afterwards."""
    refused: bool = False
    """It asks for what is so already, or cannot be."""
    ticks: int = 0

    @property
    def looks(self) -> bool:
        """It only looks."""
        return self.lines[0].split(" ", 1)[0] in _PERCEPTION


def demonstrate(
    world: Environment,
    meanings: Callable[[str], list[Meaning]],
    gold: Sequence[str],
    task: Task,
    seed: int,
) -> list[str]:
    """The first way that solves the task: directly, with waiting where time counts, as it is.

    Args:
        world: Where to play; it is reset for every try.
        meanings: What a line means in the present state of `world`.
        gold: The engine's solution, answers to its questions among the lines.
        task: What it solves.
        seed: For `world.reset`.

    Raises:
        UsageError: It does not solve the task.
    """
    moves, status = _watch(world, gold, task, seed)
    if status is not Status.SUCCESS:
        raise UsageError(
            f"ScienceWorld knows no solution of {task.name} {task.variation} with these settings "
            f"(tried its own, which ended: {status or 'unsolved'}). "
            "Raise environment.max_ticks, or leave this task out."
        )
    worth_doing = [move for move in moves if not move.refused]
    for plan in (_direct(worth_doing), _patient(worth_doing), _patient(moves)):
        played, status = _play(world, meanings, plan, task, seed)
        if status is Status.SUCCESS:
            return played
    return [line for move in moves for line in move.lines]


def _watch(
    world: Environment, gold: Sequence[str], task: Task, seed: int
) -> tuple[list[_Move], Status | None]:
    """Play the solution as it is, and see what each move does."""
    before, moves = world.reset(task, seed=seed), list[_Move]()
    for lines in _with_answers(gold):
        if before.done:
            break
        results = [world.step(line) for line in lines]
        moves.append(_seen(lines, before, results[-1]))
        before = results[-1]
    return moves, before.status


def _with_answers(gold: Sequence[str]) -> Iterator[tuple[str, ...]]:
    lines = list(gold)
    while lines:
        count = 2 if len(lines) > 1 and lines[1].isdigit() else 1
        yield tuple(lines[:count])
        del lines[:count]


def _seen(lines: tuple[str, ...], before: StepResult, after: StepResult) -> _Move:
    quiet = (after.state, after.info["score"]) == (before.state, before.info["score"])
    refused = any(words in str(after.info["reply"]) for words in _REFUSED)
    ticks = int(float(after.info["moves"]) - float(before.info["moves"]))
    return _Move(lines, quiet, refused, ticks)


def _direct(moves: Iterable[_Move]) -> list[_Move]:
    """Without looks; a way through several rooms is one teleport."""
    plan: list[_Move] = []
    for move in moves:
        if move.looks:
            continue
        way = plan and plan[-1].lines[0].startswith((_GO, _TELEPORT))
        if way and move.lines[0].startswith(_GO):
            plan[-1] = _Move((_TELEPORT + move.lines[0].removeprefix(_GO),))
        else:
            plan.append(move)
    return plan


def _patient(moves: Iterable[_Move]) -> list[_Move]:
    """Where a look or a refusal took time, waiting takes as much."""
    plan: list[_Move] = []
    for nothing, run in groupby(moves, key=lambda move: move.looks or move.refused):
        if not nothing:
            plan += run
            continue
        many, few = divmod(sum(move.ticks for move in run), _IN_MOMENTS)
        plan += [_Move((_MOMENTS,))] * many + [_Move((_MOMENT,))] * few
    return plan


def _play(
    world: Environment,
    meanings: Callable[[str], list[Meaning]],
    plan: Iterable[_Move],
    task: Task,
    seed: int,
) -> tuple[list[str], Status | None]:
    """Play a plan in admissible words.

    A quiet move that has none is left out. What is not there yet is waited for, and so is the end.
    """
    result, played = world.reset(task, seed=seed), list[str]()

    def do(*lines: str) -> None:
        nonlocal result
        for line in lines:
            result = world.step(line)
            played.append(line)

    for move in plan:
        for _ in range(_PATIENCE):
            if result.done or meanings(move.lines[0]):
                break
            do(_MOMENT)
        if result.done:
            break
        offered = list(world.actions() or ())
        do(*(_admissible(move.lines, offered, meanings) or (() if move.quiet else move.lines)))
    for _ in range(_PATIENCE):
        if not result.done:
            do(_MOMENT)
    return played, result.status


def _admissible(
    lines: tuple[str, ...], offered: Sequence[str], meanings: Callable[[str], list[Meaning]]
) -> tuple[str, ...] | None:
    """The same action in words of the list, best without a question; None where there are none."""
    line, answer = lines[0], int(lines[1]) if len(lines) > 1 else 0
    meant = meanings(line)
    if len(meant) == 1 and line in offered:
        return (line,)
    asking = lines if line in offered else None
    for text in _nearest(line, offered) if answer < len(meant) else ():
        same = meanings(text)
        if same == [meant[answer]]:
            return (text,)
        if asking is None and meant[answer] in same:
            asking = (text, str(same.index(meant[answer])))
    loose = _TERMINAL.sub(r"\1", line)
    if asking is None and loose != line:
        return _admissible((loose, *lines[1:]), offered, meanings)
    return asking


def _nearest(line: str, offered: Sequence[str]) -> list[str]:
    """The same verb first, and then most words in common."""
    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(line.split())

    def likeness(text: str) -> tuple[bool, float]:
        matcher.set_seq1(text.split())
        return text.split(" ", 1)[0] == line.split(" ", 1)[0], matcher.ratio()

    return sorted(offered, key=likeness, reverse=True)[:_CANDIDATES]
