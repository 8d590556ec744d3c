"""Child processes and threads that were not there before."""

import threading
from collections.abc import Sequence

import psutil

GRACE_SECONDS = 5.0
"""How long what was told to end may take to be gone."""


class Leftovers:
    """Remembers what runs now, so that only what comes later is judged."""

    def __init__(self) -> None:
        self._processes = {process.pid for process in _children()}
        self._threads = {thread.ident for thread in threading.enumerate()}

    def processes(self) -> list[psutil.Process]:
        """Child processes started since, at any depth."""
        return [process for process in _children() if process.pid not in self._processes]

    def check(self, when: str) -> None:
        """Assert that no new process and no new thread that holds up the exit is running."""
        self.check_ended(self.processes(), f"left running {when}")
        threads = [
            thread
            for thread in threading.enumerate()
            if thread.ident not in self._threads and not thread.daemon
        ]
        for thread in threads:
            thread.join(GRACE_SECONDS)
        names = ", ".join(thread.name for thread in threads if thread.is_alive())
        assert not names, f"left running {when}: threads {names}"

    def check_ended(self, processes: Sequence[psutil.Process], what: str) -> None:
        """Assert that these processes end within the grace."""
        _, alive = psutil.wait_procs(processes, timeout=GRACE_SECONDS)
        names = ", ".join(f"{process.pid} ({_name(process)})" for process in alive)
        assert not names, f"{what}: {names}"


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.Error:  # it ended while we looked
        return "ended"


def _children() -> list[psutil.Process]:
    children: list[psutil.Process] = psutil.Process().children(recursive=True)
    return children
