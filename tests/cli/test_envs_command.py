import json
from pathlib import Path

import pytest

from tests.cli.conftest import Empo2
from tests.plugin_package import COUNTING, install


@pytest.fixture(autouse=True)
def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment of somebody else's, and one that does not import."""
    folder = install(tmp_path / "p", "counting", COUNTING, package="counting-for-envs")
    install(folder, "broken-for-envs", "import a_module_nobody_has")
    forgetful = COUNTING.replace('"counting", 1.0', '"forgetful", 1.0')
    forgetful = forgetful.replace("if self.over:", "if False:")
    install(folder, "forgetful", forgetful)
    monkeypatch.syspath_prepend(folder)


def test_list(empo2: Empo2) -> None:
    shown = empo2("envs", "list")
    assert shown.code == 0
    rows = {line.split()[0]: line.split() for line in shown.out.splitlines() if line}
    assert rows["counting"] == ["counting", "counting-for-envs", "1.5", "2", "1.0", "20"]
    assert rows["toy"][1] == "empo2-agent"
    assert "No module named 'a_module_nobody_has'" in shown.out
    entries = {
        entry["environment"]: entry
        for entry in json.loads(empo2("envs", "list", "--json").out)["environments"]
    }
    assert (entries["counting"]["tasks"], entries["counting"]["error"]) == (2, None)
    assert entries["scienceworld"]["tasks"] == 30
    assert entries["broken-for-envs"]["tasks"] is None
    assert "ModuleNotFoundError" in entries["broken-for-envs"]["error"]


def test_tasks_of_one_environment(empo2: Empo2) -> None:
    rows = json.loads(empo2("envs", "tasks", "counting", "--json").out)["tasks"]
    assert rows == [
        {"task": "counting/count-up", "variations": 8, "description": "Count up."},
        {"task": "counting/count-again", "variations": 4, "description": ""},
    ]
    failed = empo2("envs", "tasks", "broken-for-envs")
    assert (failed.code, failed.out) == (3, "")
    unknown = empo2("envs", "tasks", "countin")
    assert unknown.code == 2
    assert "Did you mean counting?" in unknown.err


def test_tasks_of_all_say_what_was_left_out(empo2: Empo2) -> None:
    shown = empo2("envs", "tasks")
    assert shown.code == 0
    assert "counting/count-up" in shown.out
    assert "toy/red-lamp" in shown.out
    assert "left out: environment broken-for-envs" in shown.err


def test_check_passes_what_keeps_the_contract(empo2: Empo2) -> None:
    arguments = ("--task", "count-up/1", "--action", "next", "--action", "next")
    assert empo2("envs", "check", "counting", *arguments).out == "counting keeps the contract.\n"
    document = json.loads(empo2("envs", "check", "counting", "--json").out)
    assert document == {"environment": "counting", "ok": True, "broken": None}


def test_check_says_what_is_broken(empo2: Empo2) -> None:
    arguments = ("envs", "check", "forgetful", "--task", "count-up/0", "--action", "next")
    shown = empo2(*arguments)
    assert (shown.code, shown.out) == (1, "")
    assert shown.err.startswith("error: forgetful breaks the contract: ")
    document = json.loads(empo2(*arguments, "--json").out)
    assert document["ok"] is False
    assert document["broken"]
    wrong = empo2("envs", "check", "counting", "--task", "count-up/99")
    assert wrong.code == 2
    assert "variations 0 to 7" in wrong.err
