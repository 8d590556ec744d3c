"""One connection to a JVM, in the place of py4j's own pool of them (`set_gateway_client`).

py4j sends a command again over a new connection when the answer fails to come, logs through the
root logger, and keeps connecting to a dead JVM to report garbage. Here an answer that does not
come is an OSError, at once and for good, and garbage is reported before the next command.
"""

import socket
import threading
from collections import deque
from typing import Any


class Line:
    """What py4j asks of a gateway client: `send_command` and `garbage_collect_object`.

    Args:
        port: Of the gateway, on this machine.
        token: Its password.

    Raises:
        OSError: It cannot be reached.
    """

    def __init__(self, port: int, token: str) -> None:
        self.address, self.port = "127.0.0.1", port
        self.gateway_property: Any = None  # both are set by py4j
        self.converters: Any = None
        self._garbage: deque[str] = deque()
        self._lock = threading.Lock()
        self._socket = socket.create_connection((self.address, port))
        self._answers = self._socket.makefile("rb")
        self.send_command(f"A\n{token}\n")

    def send_command(self, command: str, retry: bool = True, binary: bool = False) -> str:
        """Send one command of the py4j protocol and wait for its answer; never sent twice.

        Raises:
            OSError: The JVM is gone.
        """
        with self._lock:
            while self._garbage:
                self._exchange(f"m\nd\n{self._garbage.popleft()}\ne\n")
            return self._exchange(command)

    def _exchange(self, command: str) -> str:
        self._socket.sendall(command.encode())
        answer = self._answers.readline()
        if not answer.endswith(b"\n"):
            raise ConnectionError("no answer from the JVM")
        return answer[:-1].decode().removeprefix("!")

    def garbage_collect_object(self, target_id: str) -> None:
        """Note that Java may forget an object. Called by the garbage collector at any moment."""
        self._garbage.append(target_id)

    def close(self) -> None:
        """Close the connection; later commands raise. Safe to call twice."""
        self._answers.close()
        self._socket.close()
