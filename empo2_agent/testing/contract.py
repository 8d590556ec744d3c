"""The contract of an environment, as a check that anybody's plugin can be put through.

Every breach is an AssertionError that says which promise was broken, and by what.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import ParamSpec, TypeVar

from empo2_agent.errors import UsageError
from empo2_agent.interfaces import Demonstrating, Environment, EnvironmentPlugin
from empo2_agent.testing.catalogue import check_catalogue
from empo2_agent.testing.leftovers import Leftovers
from empo2_agent.types import Status, StepResult, Task
from empo2_agent.worker import Worker

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

HOSTILE = (
    "xyzzy the unknowable",
    "",
    " \n\t",
    "a\nb\r\nc",
    "nul \x00 and escape \x1b[31m",
    "\"'`$(true); <|im_end|> </action> {{0}} \\",
    "ünïcödé 名前 \u202e \ud800",
    "-1",
    "go " * 5000,
)
"""Actions no world can parse: each must be an observation."""

_WALK_STEPS = 20


def check_environment(
    plugin: EnvironmentPlugin,
    task: Task | None = None,
    actions: Sequence[str] = (),
    *,
    settings: Mapping[str, str | int | float | bool] | None = None,
    seconds: float = 60.0,
) -> None:
    """Assert everything that `Environment` and `EnvironmentPlugin` promise.

    Args:
        plugin: What the entry point names.
        task: What to play; the first variation of the first task where none is given.
        actions: What to do there. Give actions that end the episode: only then can it be seen
            that the end is final. Without any, admissible ones are drawn (the same every time).
        settings: Values for keys of `plugin.defaults` that shall differ.
        seconds: Within this every call must return.

    Raises:
        AssertionError: A promise is broken; says which.
    """
    check_catalogue(plugin)
    task = task or Task(plugin.name, plugin.tasks()[0].name)
    values = {**plugin.defaults, **(settings or {})}
    leftovers = Leftovers()
    one = _Player(plugin, values, task, seconds)
    try:
        chosen = list(actions) or one.walk()
        first = one.play(chosen)
        _check_score(plugin, first)
        one.check_latch(first, chosen)
        one.check_hostile()
        one.check_demonstration()
        again = one.play(chosen, listing=False)
        _same(first, again, "played again in the same object, without listing actions")
    finally:
        one.close()
    leftovers.check("after close()")
    other = _Player(plugin, values, task, seconds)
    try:
        _same(first, other.play(chosen), "played in a new object")
        other.check_kill(chosen[0], leftovers)
    finally:
        other.close()
    leftovers.check("after kill() and close()")


class _Player:
    """One environment; every call but `kill` is made from one thread, and has a deadline."""

    def __init__(
        self,
        plugin: EnvironmentPlugin,
        settings: Mapping[str, str | int | float | bool],
        task: Task,
        seconds: float,
    ) -> None:
        self._worker = Worker()
        self._seconds = seconds
        self._task = task
        self._world: Environment = self._call(plugin.make, settings)

    def _call(
        self,
        method: Callable[Parameters, Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        future = self._worker.submit(lambda: method(*args, **kwargs))
        try:
            return future.result(self._seconds)
        except TimeoutError:
            if future.done():
                raise  # its own
            name = getattr(method, "__name__", "a call")
            raise AssertionError(f"{name}() did not return within {self._seconds:g} s") from None

    def reset(self, seed: int = 7) -> StepResult:
        """Start the task, and look at what came."""
        result = self._call(self._world.reset, self._task, seed=seed)
        assert isinstance(result, StepResult), f"reset() gives no StepResult but {result!r}"
        assert result.observation.strip(), "reset() shows nothing"
        assert result.reward == 0, f"reset() gives the reward {result.reward}"
        assert not result.done, f"reset() ends the episode with {result.status}"
        return result

    def step(self, action: str) -> StepResult:
        """One action that must not fail."""
        result = self._call(self._world.step, action)
        assert isinstance(result, StepResult), f"step({action!r}) gives no StepResult"
        return result

    def walk(self) -> list[str]:
        """A few admissible actions, drawn the same way every time."""
        draw, taken, result = random.Random(0), list[str](), self.reset()
        while not result.done and len(taken) < _WALK_STEPS:
            offered = self._call(self._world.actions)
            taken.append(draw.choice(offered) if offered else "look")
            result = self.step(taken[-1])
        return taken

    def play(self, actions: Sequence[str], *, listing: bool = True) -> list[StepResult]:
        """Results of the reset and of every action up to the end."""
        results = [self.reset()]
        for action in actions:
            if results[-1].done:
                break
            if listing:
                self._check_actions()
            results.append(self.step(action))
        return results

    def _check_actions(self) -> None:
        offered = self._call(self._world.actions)
        if offered is None:
            return
        for action in offered:
            assert isinstance(action, str), f"the admissible action {action!r} is no text"
            assert action.strip(), "an admissible action is empty"
        assert len(set(offered)) == len(offered), "an admissible action is listed twice"
        again = self._call(self._world.actions)
        assert list(again or ()) == list(offered), "admissible actions differ from call to call"

    def observe(self, action: str) -> StepResult:
        """One action of any kind: it must be answered, whatever it is."""
        shown = repr(action if len(action) < 60 else action[:60] + "...")
        try:
            result = self.step(action)
        except AssertionError:
            raise
        except Exception as error:  # whatever is raised is the breach reported
            message = f"step({shown}) must be an observation, but raised {error!r}"
            raise AssertionError(message) from error
        assert result.observation.strip(), f"step({shown}) shows nothing"
        return result

    def check_latch(self, results: Sequence[StepResult], actions: Sequence[str]) -> None:
        """After the end nothing may change."""
        end = results[-1]
        if not end.done:
            return
        for action in (actions[0], actions[-1], *HOSTILE[:2]):
            after = self.observe(action)
            changed = f"{end.status} became {after.status} by {action!r}"
            assert after.status == end.status, f"done does not latch: {changed}"
            assert after.reward == 0, f"done does not latch: {action!r} earned {after.reward}"
        self._call(self._world.actions)

    def check_hostile(self) -> None:
        """What cannot be parsed must be an observation."""
        self.reset()
        for action in HOSTILE:
            if self.observe(action).done:
                self.reset()

    def check_demonstration(self) -> None:
        """What is said to solve the task must solve it, where anything is said."""
        if not isinstance(self._world, Demonstrating):
            return
        try:
            actions = self._call(self._world.demonstration, self._task, seed=7)
        except UsageError:
            return
        results = self.play(actions, listing=False)
        end, taken = results[-1].status, len(results) - 1
        assert end is Status.SUCCESS, f"the demonstration ends with {end}"
        assert taken == len(actions), f"the demonstration goes on after action {taken}, its end"

    def check_kill(self, action: str, leftovers: Leftovers) -> None:
        """Killed from another thread, no process stays and no call hangs."""
        self.reset()
        own = leftovers.processes()
        self._world.kill()
        leftovers.check_ended(own, "kill() left running")
        try:
            self._call(self._world.step, action)
        except AssertionError:
            raise
        except Exception:  # noqa: BLE001 - any failure will do, as long as it does not hang
            return
        assert not own, "a call succeeds although kill() ended the processes behind it"

    def close(self) -> None:
        """Close twice, which must be harmless, and end the thread."""
        try:
            self._call(self._world.close)
            try:
                self._call(self._world.close)
            except Exception as error:  # whatever is raised is the breach reported
                raise AssertionError(f"a second close() must be harmless: {error!r}") from error
        finally:
            self._worker.stop()


def _check_score(plugin: EnvironmentPlugin, results: Sequence[StepResult]) -> None:
    score = sum(result.reward for result in results)
    assert score <= plugin.max_score + 1e-6, f"the score {score} is above {plugin.max_score}"
    if results[-1].status is Status.SUCCESS:
        complete = abs(score - plugin.max_score) < 1e-6
        assert complete, f"status success with the score {score} instead of {plugin.max_score}"


def _same(first: Sequence[StepResult], second: Sequence[StepResult], how: str) -> None:
    for number, (one, two) in enumerate(zip(first, second, strict=False)):
        message = f"same task, seed and actions, but step {number} differs {how}:\n{one}\n{two}"
        assert one == two, message
    assert len(first) == len(second), f"the episode has another length {how}"
