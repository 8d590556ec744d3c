"""Worlds of a few lines, each with one property that the toy environment does not have."""

from collections.abc import Callable, Sequence

from empo2_agent.types import Status, StepResult, Task


class SmallWorld:
    """An Environment: what a step brings is a function of the seed and of how many there were."""

    def __init__(
        self,
        step: Callable[[int, int, str], StepResult],
        actions: Sequence[str] = ("wait", "look around", "go on"),
    ) -> None:
        self._step = step
        self._actions = list(actions)
        self._seed = self._number = 0
        self.taken: list[str] = []

    def reset(self, task: Task, *, seed: int) -> StepResult:
        """See Environment."""
        self._seed, self._number = seed, 0
        return StepResult("You are at the start.")

    def step(self, action: str) -> StepResult:
        """See Environment."""
        self._number += 1
        self.taken.append(action)
        return self._step(self._seed, self._number, action)

    def actions(self) -> list[str]:
        """See Environment."""
        return self._actions

    def close(self) -> None:
        """There is nothing to close."""

    def kill(self) -> None:
        """There is nothing that could hang."""


def pays_late(seed: int, number: int, action: str) -> StepResult:
    """Long observations; the third step, after which no more fits, pays what the seed says."""
    return StepResult("nothing happens " * 20, float(seed % 97) if number == 3 else 0.0)


def stands_still(seed: int, number: int, action: str) -> StepResult:
    """Whatever is done, the state stays the same."""
    return StepResult("Nothing changes.")


def succeeds_at_half(seed: int, number: int, action: str) -> StepResult:
    """The task is complete, with 50 of 100 points."""
    return StepResult("Done.", 50.0, Status.SUCCESS)


def fails_at_eighty(seed: int, number: int, action: str) -> StepResult:
    """The episode is over with 80 of 100 points, but the task is not complete."""
    return StepResult("Over.", 80.0, Status.FAILED)


class BreaksOnce:
    """Makes worlds the first of which breaks in its second step."""

    def __init__(self) -> None:
        self.made = 0

    def make(self) -> SmallWorld:
        """One world."""
        self.made += 1
        return SmallWorld(_breaks if self.made == 1 else _goes_on)


def _breaks(seed: int, number: int, action: str) -> StepResult:
    if number == 2:
        raise RuntimeError("the world broke")
    return StepResult("A corridor.", state=f"{action}, step {number}")


def _goes_on(seed: int, number: int, action: str) -> StepResult:
    return StepResult("A corridor.", state=f"{action}, step {number}")
