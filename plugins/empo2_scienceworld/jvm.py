"""One Java process running the ScienceWorld jar: started, reached, and never left behind.

The process reads its standard input and exits at the end of it. Only this process holds the
other end, so the operating system ends the JVM whenever this process ends, also by `kill -9`.
"""

import os
import subprocess
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from empo2_agent.errors import EnvironmentUnavailableError
from empo2_scienceworld.java import START_SECONDS, jar_path, java_candidates, no_java
from empo2_scienceworld.line import Line
from empo2_scienceworld.mend import write_mended

OPTIONS = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",  # an exhausted heap ends in an error, not in endless collection
    "-XX:-UsePerfData",  # no files in the temporary folder
)
GATEWAY = ("py4j.GatewayServer", "--die-on-broken-pipe", "--enable-auth", "0")
"""Any free port, and a password, since every user of the machine could connect to it."""


class Jvm:
    """A running JVM and the py4j gateway into it."""

    def __init__(self) -> None:
        """Start the first Java that runs.

        Raises:
            EnvironmentUnavailableError: No Java runs, or the package scienceworld is missing.
        """
        jar = jar_path()
        from py4j.java_gateway import JavaGateway, find_jar_path
        from py4j.protocol import Py4JError

        self._failures = (Py4JError, OSError, ValueError)  # ValueError: the connection is closed
        self._lock = threading.Lock()
        with TemporaryDirectory(prefix="empo2-scienceworld-") as mended:
            classes = write_mended(jar, Path(mended))
            class_path = (mended, find_jar_path(), str(jar))
            self.process, port, token = _start(class_path, jar.parent)
            _let_go_when_forked(self.process)
            try:
                self._line = Line(port, token)
                self.gateway = JavaGateway()
                self.gateway.set_gateway_client(self._line)
                self.call(self._silence)
                for name in classes:  # now: later the folder is gone
                    self.call(self.gateway.jvm.java.lang.Class.forName, name)
            except BaseException:
                _end(self.process)
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
            lines = str(error).splitlines() or [type(error).__name__]
            what = next((line[2:] for line in lines if line.startswith(": ")), lines[0])  # Java's
            raise EnvironmentUnavailableError(
                f"ScienceWorld broke: {self._state()} ({what})"
            ) from error

    def _state(self) -> str:
        try:
            code = self.process.wait(1.0)  # a process takes a moment to end, or to be seen ended
        except subprocess.TimeoutExpired:
            return "a call failed"
        return f"the JVM has ended, exit code {code}"

    def kill(self) -> None:
        """End the process; a call into it that is under way fails at once. From any thread."""
        with self._lock:
            _end(self.process)

    def close(self) -> None:
        """End the process and close the connection to it. Safe to call twice."""
        self.kill()
        self._line.close()


def _start(class_path: Sequence[str], folder: Path) -> tuple[subprocess.Popen[bytes], int, str]:
    """A JVM, the port it listens on and its password."""
    tried = []
    for source, java in java_candidates():
        try:
            process = subprocess.Popen(
                [str(java), *OPTIONS, "-cp", os.pathsep.join(class_path), *GATEWAY],
                cwd=folder,  # elsewhere the engine would write an object_type_ids.tsv
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
    raise no_java(tried)


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
