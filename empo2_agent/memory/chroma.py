"""The tip memory: rows in a Chroma collection, searched scope by scope.

One rule: Chroma holds the truth. Shelves (`shelf.py`) are copies of the scopes in use; on a folder,
which belongs to one process, they are kept up by our own writes, on a server they are compared with
it at every search. Search is exact over all tips of the scope. Imported lazily: it imports chromadb.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, TypedDict, Unpack

from empo2_agent.errors import UsageError
from empo2_agent.interfaces import Embedder
from empo2_agent.memory.embedding import MiniLM
from empo2_agent.memory.location import resolve_location
from empo2_agent.memory.rows import from_metadata, row_id, scope_filter, tidy, to_metadata
from empo2_agent.memory.shelf import Shelf
from empo2_agent.memory.store import Store
from empo2_agent.memory.tips import Outcome, Scope, Verdict, judge, scope_key, select
from empo2_agent.text import words
from empo2_agent.types import Recalled, Task, Tip

BATCH = 500  # rows per call to Chroma; its own limit is about 5,000
WORDINGS = 8192  # texts whose sets of words are kept: some 40 MB
SHELVED = 131_072  # most rows held in memory: some 400 MB


class Options(TypedDict, total=False):
    """How tips are searched and how many are kept. The defaults are those of the settings."""

    scope: Scope
    """Which tips are searched, counted and capped together (default: task)."""
    threshold: float
    """A tip is considered if its cosine similarity is above this (0.5)."""
    max_tips: int
    """Most tips one search returns (10)."""
    near_duplicate: float
    """Word overlap (0..1) from which on a tip is a copy of a better one (0.9)."""
    capacity: int
    """Most tips of one scope (1000): the oldest go when tips are added.

    An addition removes at most twice as many as it adds: a memory filled under a narrower scope or
    a higher capacity shrinks step by step, never at one stroke. (Twice, so that writers who share
    a server, and may pick the same tip to remove, come back below the cap.)
    """


class ChromaTips:
    """A `TipMemory`.

    Args:
        location: A folder, made if need be and owned by this process until `close`; or the
            http(s) address of a Chroma server, which several processes may write to.
        embedder: Turns keys into vectors; the store remembers its name.
        options: See `Options`.

    Raises:
        MemoryStoreError: In use, not writable, damaged, unreachable, of another embedder.
        UsageError: An address that cannot be read.
    """

    def __init__(
        self,
        location: Path | str,
        embedder: Embedder,
        **options: Unpack[Options],
    ) -> None:
        self._embedder = embedder
        self._scope: Scope = options.get("scope", "task")
        self._threshold = options.get("threshold", 0.5)
        self._max_tips = options.get("max_tips", 10)
        self._near_duplicate = options.get("near_duplicate", 0.9)
        self._capacity = options.get("capacity", 1000)
        self._words_of = lru_cache(maxsize=WORDINGS)(words)
        self._shelves: OrderedDict[str, Shelf] = OrderedDict()
        self._store = Store(location, embedder.name)

    @property
    def path(self) -> str:
        """The folder or address, for records."""
        return self._store.name

    def add(self, tips: Iterable[Tip]) -> int:
        """See `TipMemory.add`. A tip whose id is known, but not its content, replaces that one.

        When it returns the tips are on disk. Tips without text are left out.

        Raises:
            ValueError: A tip without an id or with a score that is no number.
            MemoryStoreError: The store cannot be written.
        """
        rows = iter([tip for tip in map(tidy, tips) if tip.text])
        added = 0
        while batch := list(islice(rows, BATCH)):
            added += self._add_batch(list({tip.id: tip for tip in batch}.values()))
        return added

    def search(self, keys: Sequence[str], task: Task) -> list[list[Recalled]]:
        """See `TipMemory.search`.

        Raises:
            MemoryStoreError: The store cannot be read.
            ModelError: The embedder cannot be loaded.
        """
        shelf = self._shelf(task.environment, task.name, task.variation)
        if not keys or not shelf:
            return [[] for _ in keys]
        return [
            select(
                shelf.ranked(row, self._threshold),
                max_tips=self._max_tips,
                near_duplicate=self._near_duplicate,
                words_of=self._words_of,
            )
            for row in shelf.similarities(self._embedder.embed(keys))
        ]

    def explain(self, key: str, task: Task) -> list[Verdict]:
        """What `search` decides about every tip of the scope, best first, and why."""
        shelf = self._shelf(task.environment, task.name, task.variation)
        if not shelf:
            return []
        [row] = shelf.similarities(self._embedder.embed([key]))
        verdicts = judge(
            shelf.ranked(row, self._threshold),
            max_tips=self._max_tips,
            near_duplicate=self._near_duplicate,
        )
        below = (
            Verdict(one.tip, one.similarity, None, Outcome.BELOW_FLOOR)
            for one in shelf.rest(row, self._threshold)
        )
        return [*verdicts, *below]

    def count(self, task: Task | None = None) -> int:
        """See `TipMemory.count`."""
        return len(self._row_ids(self._where(task)))

    def tips(self, task: Task | None = None) -> list[Tip]:
        """All tips of the scope of `task`, or all there are; oldest first."""
        _, tips, _ = self._fetch(self._row_ids(self._where(task)), vectors=False)
        return sorted(tips, key=lambda tip: (tip.created, tip.id))

    def get(self, prefix: str) -> Tip:
        """The tip with this id, or the only one whose id begins so.

        Raises:
            UsageError: There is none, or there are several.
        """
        _, found, _ = self._fetch(self._row_ids({"tip": prefix}), vectors=False)
        found = found or [tip for tip in self.tips() if tip.id.startswith(prefix)]
        if not found or not prefix:
            raise UsageError(f"no tip has the id {prefix!r}. Type: empo2 tips list")
        if len(found) > 1:
            some = ", ".join(tip.id for tip in found[:3]) + (", ..." if len(found) > 3 else "")
            raise UsageError(f"{len(found)} tips have ids that begin with {prefix!r}: {some}.")
        return found[0]

    def remove(self, ids: Iterable[str]) -> int:
        """Remove the tips with these (whole) ids; how many there were."""
        removed = 0
        for batch in _batches(list(dict.fromkeys(ids))):
            rows = self._row_ids({"tip": {"$in": batch}})
            self._delete(rows)
            removed += len(rows)
        return removed

    def close(self) -> None:
        """See `TipMemory.close`."""
        self._shelves.clear()
        self._store.close()

    def __enter__(self) -> "ChromaTips":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _add_batch(self, tips: list[Tip]) -> int:
        rows = {row_id(tip): tip for tip in reversed(tips)}  # of exact duplicates the first stays
        there = set(self._row_ids(None, ids=list(rows)))
        new = {row: tip for row, tip in rows.items() if row not in there}
        outdated = set(self._row_ids({"tip": {"$in": [tip.id for tip in tips]}})) - set(rows)
        if new:
            self._write(list(new), list(new.values()))
        self._delete(outdated)
        by_scope = Counter(self._scope_of(tip) for tip in new.values())
        for tip in {self._scope_of(tip): tip for tip in new.values()}.values():
            shelf = self._shelf(tip.environment, tip.task, tip.variation)
            excess = min(len(shelf) - self._capacity, 2 * by_scope[self._scope_of(tip)])
            self._delete(shelf.oldest(excess))
        return len(new)

    def _write(self, ids: list[str], tips: list[Tip]) -> None:
        vectors = self._embedder.embed([tip.key for tip in tips])
        with self._store.errors("write"):
            self._store.collection.upsert(
                ids=ids,
                embeddings=vectors,
                metadatas=[to_metadata(tip) for tip in tips],
                documents=[tip.text for tip in tips],
            )
        by_shelf: dict[str, list[int]] = {}
        for i, tip in enumerate(tips):
            by_shelf.setdefault(self._scope_of(tip), []).append(i)
        for name, rows in by_shelf.items():
            if (shelf := self._shelves.get(name)) is not None:
                shelf.put(
                    [ids[i] for i in rows], [tips[i] for i in rows], [vectors[i] for i in rows]
                )

    def _scope_of(self, tip: Tip) -> str:
        return scope_key(self._scope, tip.environment, tip.task, tip.variation)

    def _delete(self, rows: Iterable[str]) -> None:
        for batch in _batches(list(rows)):
            with self._store.errors("write"):
                self._store.collection.delete(ids=batch)
            for shelf in self._shelves.values():
                shelf.drop(batch)

    def _shelf(self, environment: str, task: str, variation: int) -> Shelf:
        """The shelf of one scope, as it is in the store now."""
        name = scope_key(self._scope, environment, task, variation)
        shelf = self._shelves.get(name)
        if shelf is None or self._store.shared:
            shelf = shelf or Shelf()
            rows = self._row_ids(scope_filter(self._scope, environment, task, variation))
            shelf.drop(set(shelf.ids).difference(rows))
            missing = sorted(set(rows).difference(shelf.ids))
            shelf.put(*self._fetch(missing, vectors=True))
            self._shelves[name] = shelf
        self._shelves.move_to_end(name)
        while len(self._shelves) > 1 and sum(map(len, self._shelves.values())) > SHELVED:
            self._shelves.popitem(last=False)
        return shelf

    def _where(self, task: Task | None) -> dict[str, Any] | None:
        if task is None:
            return None
        return dict(scope_filter(self._scope, task.environment, task.name, task.variation))

    def _row_ids(self, where: dict[str, Any] | None, ids: list[str] | None = None) -> list[str]:
        with self._store.errors("read"):
            found: list[str] = self._store.collection.get(ids=ids, where=where, include=[])["ids"]
        return found

    def _fetch(self, ids: list[str], *, vectors: bool) -> tuple[list[str], list[Tip], list[Any]]:
        """Ids, tips and (if asked for) vectors of these rows; without those that are gone."""
        include = ["metadatas", "documents", *(["embeddings"] if vectors else [])]
        there: list[str] = []
        tips: list[Tip] = []
        embeddings: list[Any] = []
        for batch in _batches(ids):
            with self._store.errors("read"):
                found = self._store.collection.get(ids=batch, include=include)
                there += found["ids"]
                tips += map(from_metadata, found["metadatas"], found["documents"])
                embeddings += list(found["embeddings"]) if vectors else []
        return there, tips, embeddings


def open_memory(
    location: Path | str | None, *, embedder: Embedder | None = None, **options: Unpack[Options]
) -> ChromaTips | None:
    """Open the memory a user asked for.

    Args:
        location: None for the user's data folder, "none" for no memory, a folder or an address.
        embedder: None for MiniLM, loaded when it is first needed.
        options: See `Options`.

    Raises:
        MemoryStoreError, UsageError: See `ChromaTips`.
    """
    place = resolve_location(location)
    return None if place is None else ChromaTips(place, embedder or MiniLM(), **options)


def _batches(rows: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]
