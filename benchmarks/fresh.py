"""Measuring in a process of its own, whose memory nothing else has touched."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
_PROCESS = Path("/proc/self")


def in_fresh_process(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What `work` returns, called in a new process."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args, **kwargs).result()


def resident_bytes() -> int:
    """Memory of this process now; its peak is counted from here on."""
    (_PROCESS / "clear_refs").write_text("5")
    return _status("VmRSS")


def peak_bytes() -> int:
    """The most this process had since `resident_bytes`.

    Not `ru_maxrss`: a new process inherits that from the one that started it.
    """
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = (_PROCESS / "status").read_text("ascii").splitlines()
    [kilobytes] = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return 1024 * int(kilobytes)
