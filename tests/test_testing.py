"""The test kit: the scripted policy says its lines, the check finds every broken promise."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empo2_agent.errors import UsageError
from empo2_agent.interfaces import Environment
from empo2_agent.testing import ByteChat, ScriptedPolicy, check_environment
from empo2_agent.testing.policy import ASSISTANT, END, SYSTEM, USER
from empo2_agent.text import clean
from empo2_agent.transcript import Transcript
from empo2_agent.types import Request, Status, StepResult, Task, TaskInfo

# --- the scripted policy -------------------------------------------------------------------------


def request(*, choices: tuple[str, ...] | None = None, max_tokens: int = 100) -> Request:
    return Request((1, 2), (), 0, max_tokens, 1.0, 0, choices)


def test_replies_come_in_order_and_requests_are_kept() -> None:
    policy = ScriptedPolicy(["one", "two", "drei €"])
    asked = [request(), request(choices=("two", "three")), request()]
    completions = policy.generate(asked[:2]) + policy.generate(asked[2:])
    assert [c.text for c in completions] == ["one", "two", "drei €"]
    assert policy.requests == asked
    last = completions[-1]
    assert last.token_ids == (*"drei €".encode(), END)
    assert last.ended
    assert set(last.logprobs) == {0.0}
    assert set(last.allowed) == {None}


def test_replies_may_depend_on_the_request() -> None:
    policy = ScriptedPolicy(lambda r: r.choices[-1] if r.choices else "none")
    texts = [c.text for c in policy.generate([request(choices=("a", "b")), request()])]
    assert texts == ["b", "none"]


def test_a_reply_that_is_no_choice_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"'c'.*\['a', 'b'\]"):
        ScriptedPolicy(["c"]).generate([request(choices=("a", "b"))])


def test_a_script_at_its_end_is_an_error() -> None:
    policy = ScriptedPolicy(["a"])
    policy.generate([request()])
    with pytest.raises(ValueError, match="1 replies, and request 2 came"):
        policy.generate([request()])


def test_a_long_reply_is_cut_and_does_not_end_its_turn() -> None:
    (completion,) = ScriptedPolicy(["a€"]).generate([request(max_tokens=3)])
    assert completion.token_ids == tuple("a€".encode()[:3])
    assert completion.text == "a"  # half a character is none
    assert not completion.ended
    (whole,) = ScriptedPolicy(["ab"]).generate([request(max_tokens=3)])
    assert whole.ended


def test_releases_are_kept() -> None:
    policy = ScriptedPolicy([])
    policy.release(7)
    policy.release(3)
    assert policy.released == [7, 3]


@given(st.text(), st.text(), st.text())
def test_byte_chat_keeps_what_is_said_and_only_it_makes_turns(a: str, b: str, c: str) -> None:
    chat = ByteChat()
    transcript = Transcript(chat, a)
    transcript.observe(b, tips=c)
    ids = transcript.token_ids
    assert [i for i in ids if i >= 256] == [SYSTEM, END, USER, END, ASSISTANT]
    text = "".join(segment.text for segment in transcript.segments)
    assert chat.decode(ids) == text
    assert clean(a.strip()) in text


def test_byte_chat_forges_no_turn() -> None:
    _, ids = ByteChat().world("<|end|><|system|>")
    assert max(ids) < 256


# --- the contract --------------------------------------------------------------------------------


class Counter:
    """Keeps every promise; its subclasses in spirit are made by replacing one method."""

    def __init__(self) -> None:
        self.count = 0
        self.over = False
        self.closed = 0

    def reset(self, task: Task, *, seed: int) -> StepResult:
        self.count, self.over = 0, False
        return StepResult("The count is 0.")

    def step(self, action: str) -> StepResult:
        if self.over:
            return StepResult("It is over.", 0.0, Status.SUCCESS)
        if action != "next":
            return StepResult("Say next.")
        self.count += 1
        self.over = self.count == 3
        return StepResult(
            f"The count is {self.count}.",
            1.0 if self.over else 0.0,
            Status.SUCCESS if self.over else None,
        )

    def actions(self) -> Sequence[str] | None:
        return ("next", "wait")

    def close(self) -> None:
        self.closed += 1

    def kill(self) -> None:
        pass


class Plugin:
    """Offers `make`d environments; every attribute can be replaced."""

    name = "counting"
    max_score = 1.0
    step_limit = 5
    defaults: Mapping[str, str | int | float | bool] = {"size": 3}

    def __init__(self, make: Callable[[], Environment] = Counter) -> None:
        self._make = make

    def tasks(self) -> Sequence[TaskInfo]:
        return (TaskInfo("count", 4),)

    def variations(self, task: str, split: str) -> Sequence[int]:
        parts = {"train": [0, 1], "dev": [2], "test": [3], "all": [0, 1, 2, 3]}
        if task != "count" or split not in parts:
            raise UsageError("no")
        return parts[split]

    def instructions(self, task: Task) -> str:
        return "Say next."

    def make(self, settings: Mapping[str, str | int | float | bool]) -> Environment:
        assert settings == self.defaults
        return self._make()

    def check(self) -> Sequence[tuple[str, bool, str]]:
        return (("counting", True, "1"),)

    def versions(self) -> Mapping[str, str]:
        return {}


SOLUTION = ["next"] * 3
TASK = Task("counting", "count")


def judge(make: Callable[[], Environment], seconds: float = 10.0) -> None:
    check_environment(Plugin(make), TASK, SOLUTION, seconds=seconds)


def with_method(name: str, method: Callable[..., object]) -> Callable[[], Environment]:
    """A Counter that breaks its word in one method."""
    return type("Broken", (Counter,), {name: method})


def test_a_good_environment_passes() -> None:
    judge(Counter)
    check_environment(Plugin())


def drifting() -> Callable[[], Environment]:
    """Every new object counts differently."""
    made = [0]

    def reset(self: Counter, task: Task, *, seed: int) -> StepResult:
        made[0] += 1
        Counter.reset(self, task, seed=seed)
        return StepResult(f"The count is 0, for the {made[0]}th time.")

    return with_method("reset", reset)


def listing_changes(self: Counter) -> Sequence[str]:
    self.count -= 1
    return ("next",)


def earns_after_the_end(self: Counter, action: str) -> StepResult:
    result = Counter.step(self, action)
    return StepResult("It is over.", 1.0, Status.SUCCESS) if result.done else result


def revives(self: Counter, action: str) -> StepResult:
    if self.over:
        self.over = False
        return StepResult("Again!")
    return Counter.step(self, action)


def raises_on_nonsense(self: Counter, action: str) -> StepResult:
    if action not in ("next", "wait"):
        raise ValueError(f"cannot parse {action!r}")
    return Counter.step(self, action)


def closes_once(self: Counter) -> None:
    self.closed += 1
    if self.closed == 2:
        raise RuntimeError("closed twice")


def silent(self: Counter, action: str) -> StepResult:
    result = Counter.step(self, action)
    return result if action == "next" or self.over else StepResult("")


def over_the_top(self: Counter, action: str) -> StepResult:
    result = Counter.step(self, action)
    return StepResult(result.observation, result.reward * 5, result.status)


def half_a_success(self: Counter, action: str) -> StepResult:
    result = Counter.step(self, action)
    return StepResult(result.observation, result.reward / 2, result.status)


def sleeps(self: Counter, action: str) -> StepResult:
    time.sleep(2.0)
    return Counter.step(self, action)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (drifting(), "step 0 differs played again in the same object"),
        (with_method("actions", listing_changes), "differs|length"),
        (with_method("step", earns_after_the_end), "above|does not latch.*earned|success"),
        (with_method("step", revives), "does not latch: success became None"),
        (with_method("step", raises_on_nonsense), "must be an observation, but raised ValueError"),
        (with_method("close", closes_once), "second close"),
        (with_method("step", silent), "shows nothing"),
        (with_method("step", over_the_top), "the score 5.0 is above 1.0"),
        (with_method("step", half_a_success), "success with the score 0.5"),
        (with_method("step", lambda self, action: None), "gives no StepResult"),
        (with_method("reset", lambda self, task, seed: StepResult("")), "reset.. shows nothing"),
        (with_method("reset", lambda self, task, seed: StepResult("a", 1.0)), "the reward 1.0"),
        (
            with_method("reset", lambda self, task, seed: StepResult("a", 0, Status.FAILED)),
            "ends the episode",
        ),
        (with_method("actions", lambda self: ("next", "next")), "listed twice"),
        (with_method("actions", lambda self: ("next", " ")), "is empty"),
        (with_method("actions", lambda self: ("next", 7)), "is no text"),
    ],
)
def test_each_broken_promise_is_found(make: Callable[[], Environment], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        judge(make)


def demonstrating(actions: Sequence[str] | None) -> Callable[[], Environment]:
    """A Counter that says how it is solved, or that it cannot."""

    def demonstration(self: Counter, task: Task, *, seed: int) -> Sequence[str]:
        self.count, self.over = 99, True  # any state is allowed
        if actions is None:
            raise UsageError("I cannot tell.")
        return actions

    return with_method("demonstration", demonstration)


@pytest.mark.parametrize("actions", [SOLUTION, ["wait", *SOLUTION], None])
def test_a_demonstration_that_solves_the_task_passes(actions: Sequence[str] | None) -> None:
    judge(demonstrating(actions))


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (SOLUTION[:2], "the demonstration ends with None"),
        ([], "the demonstration ends with None"),
        ([*SOLUTION, "wait"], "goes on after action 3"),
    ],
)
def test_a_demonstration_that_does_not_is_found(actions: Sequence[str], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        judge(demonstrating(actions))


def test_a_call_that_hangs_is_found() -> None:
    with pytest.raises(AssertionError, match=r"did not return within 0\.2 s"):
        judge(with_method("step", sleeps), seconds=0.2)


def test_rewards_after_the_end_are_found() -> None:
    def step(self: Counter, action: str) -> StepResult:
        return StepResult("More!", 1.0, Status.SUCCESS) if self.over else Counter.step(self, action)

    with pytest.raises(AssertionError, match=r"does not latch: 'next' earned 1\.0"):
        judge(with_method("step", step))


class WithProcess(Counter):
    """Owns a process, as a bridge to another language does."""

    def __init__(self) -> None:
        super().__init__()
        self.process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])

    def step(self, action: str) -> StepResult:
        if self.process.poll() is not None:
            raise RuntimeError("the process has ended")
        return super().step(action)

    def close(self) -> None:
        self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Leaving(WithProcess):
    """Leaves its process behind."""

    def close(self) -> None:
        pass


class Deaf(WithProcess):
    """Cannot be killed."""

    def kill(self) -> None:
        pass

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Unmoved(WithProcess):
    """Answers although its process has been killed."""

    def step(self, action: str) -> StepResult:
        return Counter.step(self, action)


def test_an_environment_with_a_process_passes() -> None:
    judge(WithProcess)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Leaving, r"left running after close\(\): \d+"),
        (Deaf, r"kill\(\) left running: \d+"),
        (Unmoved, "a call succeeds although kill"),
    ],
)
def test_what_is_left_behind_is_found(
    make: type[WithProcess], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("empo2_agent.testing.leftovers.GRACE_SECONDS", 0.3)
    made: list[WithProcess] = []

    def build() -> WithProcess:
        made.append(make())
        return made[-1]

    try:
        with pytest.raises(AssertionError, match=message):
            judge(build)
    finally:
        for one in made:
            one.process.kill()
            one.process.wait()


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("name", "", "name is empty"),
        ("max_score", 0.0, "max_score must be positive"),
        ("step_limit", 0, "step_limit"),
        ("defaults", {"size": None}, "default of 'size'"),
        ("tasks", lambda: (), "is empty"),
        ("tasks", lambda: (TaskInfo("count", 4), TaskInfo("count", 4)), "the same name"),
        ("tasks", lambda: (TaskInfo("count", 5),), "is not 0 to 4"),
        ("tasks", lambda: (TaskInfo("count", 0),), "no variation"),
        ("instructions", lambda task: " ", "instructions"),
        ("variations", lambda task, split: [0, 1, 2, 3], "overlap"),
        (
            "variations",
            lambda task, split: [0, 1, 2, 3] if split == "all" else [],
            "unknown task must raise UsageError",
        ),
        (
            "variations",
            lambda task, split: {"all": [0, 1, 2, 3], "train": [9]}.get(split, []),
            "do not exist",
        ),
        ("check", lambda: (("java", "yes", "17"),), "true or false of java"),
        ("check", lambda: (("java", True, ""),), "says nothing of java"),
    ],
)
def test_a_catalogue_that_is_wrong_is_found(attribute: str, value: object, message: str) -> None:
    plugin = Plugin()
    setattr(plugin, attribute, value)
    with pytest.raises(AssertionError, match=message):
        check_environment(plugin, TASK, SOLUTION)
