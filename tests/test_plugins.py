import os
import subprocess
import sys
from pathlib import Path

import pytest

from empo2_agent.errors import EnvironmentUnavailableError, UsageError
from empo2_agent.plugins import load_plugin, plugin_names, plugin_package
from tests.plugin_package import COUNTING, SCORELESS, install

EMPO2 = ("-c", "from empo2_agent.cli import main; main()")
PLAY = """
from empo2_agent.tasks import resolve_task
task, plugin = resolve_task("count-up")
world = plugin.make(dict(plugin.defaults))
result = world.reset(task, seed=0)
score = 0.0
while not result.done:
    result = world.step("next")
    score += result.reward
print(task.id, result.status, score)
"""


def run_beside(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Another process that has `folder` on its path, as after `pip install --target`."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_plugin_in_a_folder_of_its_own_is_listed_and_played(tmp_path: Path) -> None:
    folder = install(tmp_path / "elsewhere", "counting", COUNTING)
    listed = run_beside(folder, *EMPO2, "envs", "list")
    assert listed.returncode == 0, listed.stderr
    assert "counting      empo2-counting 1.5" in listed.stdout
    played = run_beside(folder, "-c", PLAY)
    assert played.stdout == "counting/count-up/4 success 1.0\n", played.stderr


def test_without_that_folder_it_is_unknown() -> None:
    assert "counting" not in plugin_names()
    with pytest.raises(UsageError, match="no environment 'counting'"):
        load_plugin("counting")


def test_our_own_plugins_come_through_the_entry_point() -> None:
    assert {"scienceworld", "toy"} <= set(plugin_names())
    assert load_plugin("toy").name == "toy"
    assert plugin_package("toy").startswith("empo2-agent ")


def test_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UsageError, match=r"no environment 'sciencewrld'. Did you mean scienceworld"
    ):
        load_plugin("sciencewrld")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "import a_module_nobody_has",
            "ModuleNotFoundError: No module named 'a_module_nobody_has'",
        ),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("x = (", "SyntaxError"),
        ("", "AttributeError"),
    ],
)
def test_a_plugin_that_fails_to_import_names_package_and_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, said: str
) -> None:
    name = f"broken{abs(hash(source))}"  # a module name is imported once in a process
    monkeypatch.syspath_prepend(install(tmp_path, name, source))
    with pytest.raises(EnvironmentUnavailableError) as raised:
        load_plugin(name)
    assert f"package empo2-{name}" in str(raised.value)
    assert said in str(raised.value)
    assert f"pip install --upgrade empo2-{name}" in str(raised.value)


def test_a_broken_plugin_is_listed_with_its_reason_and_breaks_no_other(tmp_path: Path) -> None:
    folder = install(tmp_path, "broken", "import a_module_nobody_has")
    install(tmp_path, "counting", COUNTING)
    listed = run_beside(folder, *EMPO2, "envs", "list")
    assert listed.returncode == 0
    assert "No module named 'a_module_nobody_has'" in listed.stdout
    assert run_beside(folder, "-c", PLAY).returncode == 0
    failed = run_beside(folder, *EMPO2, "envs", "tasks", "broken")
    assert failed.returncode == 3
    assert failed.stderr.startswith("error: environment broken (package empo2-broken)")
    assert "Traceback" not in failed.stderr


def test_something_else_than_a_plugin_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path, "counting", SCORELESS, package="scoreless"))
    with pytest.raises(EnvironmentUnavailableError, match="it lacks max_score, step_limit"):
        load_plugin("counting")


def test_entry_point_and_plugin_agree_on_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path, "counts", COUNTING))
    with pytest.raises(EnvironmentUnavailableError, match="is called 'counting'"):
        load_plugin("counts")


def test_two_packages_with_one_name_are_ambiguous(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "counting", COUNTING, package="first-one")
    monkeypatch.syspath_prepend(install(tmp_path, "counting", COUNTING, package="second-one"))
    with pytest.raises(UsageError, match=r"first-one.*second-one|second-one.*first-one"):
        load_plugin("counting")
