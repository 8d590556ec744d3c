"""One daemon thread that does what it is given, in order.

`concurrent.futures` joins its threads when the interpreter ends, so that one hanging call would
keep the whole process alive. This thread never does.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


class Worker:
    """A thread of its own for calls that must all come from the same one."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        threading.Thread(target=self._work, daemon=True).start()

    def submit(self, call: Callable[[], Result]) -> "Future[Result]":
        """Queue a call; its result or exception arrives in the future."""
        future: Future[Result] = Future()
        self._jobs.put((call, future))
        return future

    def stop(self) -> None:
        """End the thread once what is queued is done."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            call, future = job
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 - belongs to whoever asked for the result
                future.set_exception(error)
