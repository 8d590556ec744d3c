from pathlib import Path

import pytest

from empo2_agent.errors import EnvironmentUnavailableError, UsageError
from empo2_agent.tasks import resolve_task
from empo2_agent.types import Task
from tests.plugin_package import COUNTING, install


@pytest.fixture(autouse=True)
def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment with count-up (8 variations: test 4-7) and count-again (4: test 2-3)."""
    folder = install(tmp_path / "plugins", "counting", COUNTING, package="counting-for-tasks")
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.mark.parametrize(
    ("text", "variation", "split", "expected"),
    [
        ("count-up", None, None, Task("counting", "count-up", 4, "test")),
        (" count-up ", None, None, Task("counting", "count-up", 4, "test")),
        ("counting/count-up", None, "train", Task("counting", "count-up", 0, "train")),
        ("counting/count-again", None, "all", Task("counting", "count-again", 0, "all")),
        ("counting/count-up/7", None, None, Task("counting", "count-up", 7, "all")),
        ("counting/count-up/7", 7, "test", Task("counting", "count-up", 7, "test")),
        ("count-up", 0, None, Task("counting", "count-up", 0, "all")),
        ("count-up", 1, "train", Task("counting", "count-up", 1, "train")),
    ],
)
def test_resolves(text: str, variation: int | None, split: str | None, expected: Task) -> None:
    found = resolve_task(text, variation=variation, split=split)
    assert found.task == expected
    assert found.plugin.name == "counting"


@pytest.mark.parametrize(
    ("text", "variation", "split", "said"),
    [
        ("count-upp", None, None, "no installed environment has a task 'count-upp'. Did you mean count-up"),
        ("qqqqqq", None, None, "no installed environment has a task 'qqqqqq'. Type: empo2 envs tasks"),
        ("counting/count-ip", None, None, "counting has no task 'count-ip'. Did you mean count-up"),
        ("counting/qqqqqq", None, None, "Type: empo2 envs tasks counting"),
        ("countin/count-up", None, None, "there is no environment 'countin'. Did you mean counting"),
        ("counting/count-up/8", None, None, "counting/count-up has variations 0 to 7, there is no 8"),
        ("count-again", 4, None, "counting/count-again has variations 0 to 3, there is no 4"),
        ("count-up", -1, None, "variations 0 to 7, there is no -1"),
        ("count-up", 1, "test", "is not in the split test, which has 4 between 4 and 7"),
        ("count-up", None, "tset", "no split 'tset'"),
        ("count-up", None, "dev", "the split dev of counting/count-up is empty"),
        ("counting/count-up/3", 4, None, "name two variations"),
        ("counting/count-up/x", None, None, "'x' is no variation number"),
        ("counting/count-up/²", None, None, "is no variation number"),
        ("counting/count-up/1/2", None, None, "cannot read the task"),
        ("counting/", None, None, "cannot read the task"),
        ("", None, None, "cannot read the task"),
    ],
)  # fmt: skip
def test_refuses_with_the_nearest_match_or_the_range(
    text: str, variation: int | None, split: str | None, said: str
) -> None:
    with pytest.raises(UsageError) as raised:
        resolve_task(text, variation=variation, split=split)
    assert said in str(raised.value)


def test_a_name_in_two_environments_is_ambiguous(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = COUNTING.replace('"counting"', '"abacus"', 1)
    monkeypatch.syspath_prepend(install(tmp_path / "more", "abacus", other))
    with pytest.raises(
        UsageError, match="several environments: abacus/count-up, counting/count-up"
    ):
        resolve_task("count-up")
    assert resolve_task("abacus/count-up").plugin.name == "abacus"


def test_a_broken_environment_is_passed_over_but_named_when_nothing_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path / "more", "broken-for-tasks", "1 / 0"))
    assert resolve_task("count-up").task.name == "count-up"
    with pytest.raises(EnvironmentUnavailableError) as raised:
        resolve_task("something-else")
    assert "no installed environment has a task 'something-else'" in str(raised.value)
    assert "Not looked into: environment broken-for-tasks" in str(raised.value)
