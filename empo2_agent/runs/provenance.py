"""Where and with what a run was made: versions, commit, machine, process. Imports none of it."""

import os
import platform
import socket
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

PACKAGES = ("empo2-agent", "torch", "transformers", "chromadb")


def package_versions(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Versions of Python and of the packages a run depends on, as installed.

    Args:
        extra: More of them: the environment's and its data's, the engine's.
    """
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {**versions, **(extra or {})}


def git_commit(folder: Path) -> str | None:
    """The commit checked out at `folder`, with `+` behind it where files were changed."""
    commit = _git(folder, "rev-parse", "HEAD")
    return commit and commit + ("+" if _git(folder, "status", "--porcelain") else "")


def machine() -> dict[str, str | int | float]:
    """System, processor, cores and memory."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
    }


def process() -> dict[str, str | int | float]:
    """What `is_alive` needs to recognise this process later."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "created": psutil.Process().create_time(),
    }


def is_alive(recorded: Mapping[str, object]) -> bool:
    """Whether the process recorded by `process` still runs; of another machine, it is believed."""
    if recorded.get("host") != socket.gethostname():
        return True
    try:
        found = psutil.Process(int(str(recorded["pid"])))
        same = abs(found.create_time() - float(str(recorded["created"]))) < 1
        return same and bool(found.status() != psutil.STATUS_ZOMBIE)
    except (psutil.Error, KeyError, ValueError):
        return False


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
