"""Opening a Chroma collection of tips, on disk or on a server, and closing it again.

One rule: whatever goes wrong in Chroma leaves here as a `MemoryStoreError` that names the memory.
Imported lazily, since it imports chromadb.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import chromadb
import httpx
from chromadb.api.shared_system_client import SharedSystemClient
from chromadb.config import Settings
from chromadb.errors import NotFoundError
from filelock import FileLock, Timeout

from empo2_agent.errors import MemoryStoreError
from empo2_agent.memory.location import split_address

COLLECTION = "empo2-tips"
FORMAT = 1
"""Version of the rows' layout; raised when old rows can no longer be read."""

GREETING_SECONDS = 10.0
SERVER_TIMEOUT_SECONDS = 60.0
SQLITE_MAGIC = b"SQLite format 3\0"


class Store:
    """An open collection. A folder is locked for this process until `close`.

    Args:
        location: A folder, made if need be, or the address of a Chroma server.
        embedder: Name of what the vectors are made with; must be the one the store was made with.

    Raises:
        MemoryStoreError: In use, not writable, damaged, unreachable, of another embedder.
        UsageError: An address that cannot be read.
    """

    def __init__(self, location: Path | str, embedder: str) -> None:
        self.name = str(location)
        self.shared = isinstance(location, str)
        """Whether others may write while we hold it (a server)."""
        self._lock = None if isinstance(location, str) else _lock_folder(location)
        self._client: Any = None  # chromadb has no usable types
        try:
            self._client = _connect(location)
            with self.errors("open"):
                self.collection: Any = _collection(self._client, embedder)
            _check(self.collection.metadata or {}, embedder, self.name)
        except BaseException:  # the lock must not outlive a failed attempt, whatever it was
            self.close()
            raise

    @contextmanager
    def errors(self, doing: str) -> Iterator[None]:
        """Turn what Chroma raises into a `MemoryStoreError`."""
        with _chroma_errors(f"cannot {doing} the tip memory {self.name}", self.shared):
            yield

    def close(self) -> None:
        """Release files, sockets and the lock. Safe to call twice."""
        client, self._client = self._client, None
        if client is not None:
            sessions = _sessions(client)
            client.close()
            for session in sessions:
                session.close()  # the client leaves its sockets open until they are collected
        if self._lock is not None:
            _unlock(self._lock)
            self._lock = None


def _connect(location: Path | str) -> Any:
    settings = Settings(anonymized_telemetry=False)
    if isinstance(location, str):
        host, port, tls = split_address(location)
        _greet(location)
        with _chroma_errors(f"cannot open the tip memory {location}", shared=True):
            client = chromadb.HttpClient(host=host, port=port, ssl=tls, settings=settings)
        for session in _sessions(client):
            session.timeout = SERVER_TIMEOUT_SECONDS  # Chroma's own is never
        return client
    failed = f"cannot open the tip memory {location}"
    _check_database(location / "chroma.sqlite3", failed)
    try:
        with _chroma_errors(failed, shared=False):
            return chromadb.PersistentClient(path=str(location), settings=settings)
    except MemoryStoreError:
        # Chroma keeps a client that failed to start and would hand it out at the next attempt.
        SharedSystemClient._identifier_to_system.pop(str(location), None)
        raise


def _greet(address: str) -> None:
    """Find out whether a Chroma server is there; Chroma's client would wait for ever to know."""
    try:
        answer = httpx.get(f"{address.rstrip('/')}/api/v2/heartbeat", timeout=GREETING_SECONDS)
        if not answer.is_success:
            raise MemoryStoreError(
                f"what answers at {address} is no Chroma server (status {answer.status_code})."
            )
    except httpx.HTTPError as error:
        raise MemoryStoreError(
            f"no Chroma server answers at {address}: {error}.\nStart one: chroma run --path DIR"
        ) from error


def _sessions(client: Any) -> list[Any]:
    """The HTTP sessions of a client; none for a folder. Chroma has no public way to them."""
    servers = (client._server, client._admin_client._server)
    return [server._session for server in servers if hasattr(server, "_session")]


def _check_database(path: Path, failed: str) -> None:
    """Refuse what is plainly no database: Chroma itself takes an empty file for a new store."""
    try:
        with path.open("rb") as file:
            start = file.read(len(SQLITE_MAGIC))
    except FileNotFoundError:
        return
    except OSError as error:
        raise MemoryStoreError(f"{failed}: {path.name}: {error.strerror}.") from error
    if start != SQLITE_MAGIC:
        raise MemoryStoreError(f"{failed}: {path.name} is damaged.\n{_MEND}")


def _collection(client: Any, embedder: str) -> Any:
    with suppress(NotFoundError):
        return client.get_collection(COLLECTION, embedding_function=None)
    return client.get_or_create_collection(  # another process may make it in between
        COLLECTION,
        embedding_function=None,
        metadata={"format": FORMAT, "embedder": embedder},
        configuration={"hnsw": {"space": "cosine"}},
    )


def _check(metadata: dict[str, Any], embedder: str, name: str) -> None:
    if metadata.get("format") != FORMAT:
        raise MemoryStoreError(
            f"the tip memory {name} has format {metadata.get('format')}, this version reads "
            f"{FORMAT}.\nGive another memory with --memory, or update empo2-agent."
        )
    if metadata.get("embedder") != embedder:
        raise MemoryStoreError(
            f"the tip memory {name} was written with the embedding model "
            f"{metadata.get('embedder')}, not {embedder}: their vectors do not compare.\n"
            "Give another memory with --memory; tips move over with empo2 tips export and import."
        )


_MEND = (
    "Move it away, or give another memory with --memory. Every run keeps its tips in tips.jsonl."
)


@contextmanager
def _chroma_errors(failed: str, shared: bool) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryStoreError):
        raise
    except BaseException as error:  # Chroma raises its own, ValueError, httpx's, and Rust panics
        detail = " ".join(str(error).split()) or type(error).__name__
        mend = "Is the server still running?" if shared else _MEND
        raise MemoryStoreError(f"{failed}: {detail[:200].rstrip('.')}.\n{mend}") from error


def _lock_folder(folder: Path) -> FileLock:
    """Take the folder for this process. The lock goes with the process, however it ends.

    Raises:
        MemoryStoreError: Another process has it, or the folder cannot be written.
    """
    lock = FileLock(folder / "memory.lock", timeout=0, thread_local=False)
    owner = _owner_file(lock)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        owner.write_text(f"{os.getpid()}\n", "ascii")
    except Timeout:
        raise MemoryStoreError(
            f"the tip memory {folder} is in use by {_holder(owner)}.\n"
            "Wait for it, give another folder with --memory, or share one through chroma run."
        ) from None
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        lock.release()
        detail = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise MemoryStoreError(
            f"cannot write the tip memory {folder}: {detail}.\nGive another folder with --memory."
        ) from error
    return lock


def _unlock(lock: FileLock) -> None:
    with suppress(OSError):
        _owner_file(lock).unlink(missing_ok=True)
    lock.release()


def _owner_file(lock: FileLock) -> Path:
    return Path(lock.lock_file).with_suffix(".owner")


def _holder(owner: Path) -> str:
    with suppress(OSError, ValueError):
        pid = int(owner.read_text("ascii"))
        return "this process" if pid == os.getpid() else f"process {pid}"
    return "another process"
