import subprocess
import sys
import threading
from functools import partial

import pytest

from empo2_agent.worker import Worker


def test_all_calls_come_from_one_other_thread_in_order() -> None:
    worker, seen = Worker(), list[int]()

    def note(number: int) -> int:
        seen.append(number)
        return threading.get_ident()

    futures = [worker.submit(partial(note, number)) for number in range(5)]
    assert len({future.result(5) for future in futures}) == 1
    assert futures[0].result() != threading.get_ident()
    assert seen == [0, 1, 2, 3, 4]
    worker.stop()


def test_an_exception_belongs_to_whoever_asked() -> None:
    worker = Worker()
    failed = worker.submit(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        failed.result(5)
    assert worker.submit(lambda: "still there").result(5) == "still there"
    worker.stop()


def test_a_hanging_call_does_not_keep_the_process_alive() -> None:
    code = (
        "import threading; from empo2_agent.worker import Worker; "
        "Worker().submit(threading.Event().wait); print('over')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "over\n"
