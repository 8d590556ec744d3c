"""The tip memory on a Chroma server, shared by several writers. The server is a real one."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from empo2_agent.errors import MemoryStoreError
from empo2_agent.memory import store
from empo2_agent.memory.chroma import ChromaTips
from tests.memory.helpers import TASK, Angles, make_tip


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


def answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(folder)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            started = time.monotonic()
            while not answers(port):
                assert process.poll() is None, "the server ended"
                assert time.monotonic() - started < 60, "the server does not answer"
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.kill()


def found(memory: ChromaTips) -> set[str]:
    [recalled] = memory.search(["angle 0"], TASK)
    return {one.tip.id for one in recalled}


def test_writers_see_each_other_at_once(server: tuple[str, subprocess.Popen[bytes]]) -> None:
    address, _ = server
    with ChromaTips(address, Angles()) as one, ChromaTips(address, Angles()) as other:
        assert one.path == address
        assert one.add([make_tip("a", score=0.5)]) == 1
        assert found(one) == found(other) == {"a"}
        assert other.add([make_tip("b")]) == 1
        assert found(one) == found(other) == {"a", "b"}
        assert other.add([make_tip("copy", text=make_tip("a").text)]) == 0
        replaced = make_tip("a", text="Rewritten elsewhere.")
        assert other.add([replaced]) == 1
        assert found(one) == {"a", "b"}
        assert one.get("a") == replaced
        assert one.remove(["b"]) == 1
        assert found(other) == {"a"}
        assert one.count(TASK) == other.count() == 1
        assert one.remove(["a"]) == 1


def test_the_cap_holds_with_two_writers(server: tuple[str, subprocess.Popen[bytes]]) -> None:
    address, _ = server
    with (
        ChromaTips(address, Angles(), capacity=4) as one,
        ChromaTips(address, Angles(), capacity=4) as other,
    ):
        for day in range(10, 20):
            writer = (one, other)[day % 2]
            writer.add([make_tip(f"{day}", text=f"w{day}", created=f"2026-01-{day}")])
        assert [tip.id for tip in one.tips()] == ["16", "17", "18", "19"]
        assert found(one) == found(other) == {"16", "17", "18", "19"}


def test_another_embedder_is_refused(server: tuple[str, subprocess.Popen[bytes]]) -> None:
    address, _ = server
    ChromaTips(address, Angles()).close()
    with pytest.raises(MemoryStoreError, match="embedding model angles, not other"):
        ChromaTips(address, Angles("other"))


def _count_often(memory: ChromaTips) -> None:
    """Some calls may be answered before all threads of a server have stopped."""
    for _ in range(100):
        memory.count()


def test_a_server_that_stops_answering(
    server: tuple[str, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, process = server
    monkeypatch.setattr(store, "SERVER_TIMEOUT_SECONDS", 0.3)
    with ChromaTips(address, Angles()) as memory:
        process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(MemoryStoreError, match="timed out"):
                _count_often(memory)
        finally:
            process.send_signal(signal.SIGCONT)


def test_nobody_there() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(MemoryStoreError, match=f"no Chroma server answers at {address}") as caught:
        ChromaTips(address, Angles())
    assert "chroma run" in str(caught.value)


def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "GREETING_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"http://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(MemoryStoreError, match=r"no Chroma server answers.*timed out"):
            ChromaTips(address, Angles())


def test_another_kind_of_server() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as web:
        threading.Thread(target=web.handle_request, daemon=True).start()
        with pytest.raises(MemoryStoreError, match=r"is no Chroma server .status 501"):
            ChromaTips(f"http://127.0.0.1:{web.server_port}", Angles())


def test_a_server_that_goes_away_is_an_error_of_one_line(
    server: tuple[str, subprocess.Popen[bytes]],
) -> None:
    address, process = server
    with ChromaTips(address, Angles()) as memory:
        process.kill()  # the last test of this file: the server is not started again
        process.wait()
        with pytest.raises(MemoryStoreError, match=f"cannot read the tip memory {address}"):
            memory.search(["angle 0"], TASK)
        with pytest.raises(MemoryStoreError, match="Is the server still running"):
            memory.add([make_tip("late")])
