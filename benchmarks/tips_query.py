"""Finding tips for a state, without embedding it: `python -m benchmarks.tips_query`.

Ours: `ChromaTips.search`, one key at a time, in memories of 1,000, 10,000 and 100,000 tips on disk.
A scope (a task) holds at most 1,000 tips, so 100,000 tips are 100 full scopes; searches go to
random scopes that are in use. Also measured: the first search of a scope after opening (its rows
are read from disk), a search right after a tip was added, the case of 100,000 tips in one scope
(the cap raised), and what a query of Chroma itself with a `where` filter takes on the same memory.

Theirs: what the authors' release does for each query, restated: a Python loop over the entries of
one slot of 1,000, keys held as lists, one numpy cosine each, floor 0.5, sorted by score, first ten.
Without its HTTP request, on the same vectors, interleaved with ours.

Vectors are random, but lie as states do: every task around a direction of its own, every state of
a task (40 of them) around another, so that most tips of a scope are above the floor. One tip in
three says nearly the same as an earlier one. Each size runs in processes of its own: one fills the
memory, one opens and searches it; resident memory is the larger of the two.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.harness import write_result
from empo2_agent.memory.chroma import ChromaTips
from empo2_agent.types import Task, Tip

DIMENSIONS = 384
SCOPE = 1000
STATES = 40
SIZES = (1_000, 10_000, 100_000)
SEARCHES = 1000
LOOPS = 100
BAR_MS = 10.0
BAR_MB = 1024.0


def task_vectors(task: int) -> NDArray[np.float32]:
    """Unit vectors of the keys of one task, (1000, 384)."""
    rng = np.random.default_rng(task)

    def drawn(count: int) -> NDArray[np.float64]:
        return unit(rng.normal(size=(count, DIMENSIONS)))

    states = drawn(STATES)[rng.integers(STATES, size=SCOPE)]
    return unit(0.75 * drawn(1) + 0.55 * states + 0.36 * drawn(SCOPE)).astype(np.float32)


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same directions with length one, (count, 384)."""
    lengths: NDArray[np.float64] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths


class Ready:
    """An `Embedder` for keys that begin with the task's and the row's number; embeds nothing."""

    name = "ready"

    def __init__(self, tasks: int) -> None:
        self.vectors = [task_vectors(task) for task in range(tasks)]

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """See `Embedder.embed`."""
        numbers = [text.split(maxsplit=2)[:2] for text in texts]
        return [self.vectors[int(task)][int(row)].tolist() for task, row in numbers]


def make_tips(task: int) -> list[Tip]:
    """The tips of one task, of about 25 words and a key of about 600 characters."""
    rng = random.Random(task)
    vocabulary = [f"word{n}" for n in range(300)]
    said: list[list[str]] = []
    tips = []
    for row in range(SCOPE):
        if said and rng.randrange(3) == 0:
            wording = list(rng.choice(said))
            wording[rng.randrange(len(wording))] = rng.choice(vocabulary)
        else:
            wording = rng.choices(vocabulary, k=25)
        said.append(wording)
        tips.append(
            Tip(
                id=f"run/{task}/{row}",
                text=" ".join(wording),
                key=f"{task} {row} " + "there is a door to the hallway. " * 18,
                action="go to hallway",
                score=float(rng.randrange(0, 101)),
                max_score=100.0,
                environment="bench",
                task=f"task-{task}",
                variation=0,
                run="run",
                episode=row,
                step=9,
                model="none",
                created=f"2026-01-01T{row // 3600:02}:{row // 60 % 60:02}:{row % 60:02}+00:00",
            )
        )
    return tips


def resident_mb() -> float:
    """Resident memory of this process."""
    return float(psutil.Process().memory_info().rss) / 2**20


def timed(action: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1000


def spread(milliseconds: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    p50, p95 = np.percentile(milliseconds, [50, 95])
    return {"p50_ms": round(float(p50), 3), "p95_ms": round(float(p95), 3)}


def fill(folder: Path, size: int) -> dict[str, object]:
    """Make the memory."""
    tasks = size // SCOPE
    with ChromaTips(folder, Ready(tasks)) as memory:
        started = time.perf_counter()
        for task in range(tasks):
            memory.add(make_tips(task))
        seconds = time.perf_counter() - started
        return {"tips_per_second_added": round(size / seconds), "filling_mb": round(resident_mb())}


class Loop:
    """What the authors' release does for one query."""

    def __init__(self, vectors: NDArray[np.float32], tips: Sequence[Tip]) -> None:
        self.entries = [
            (vector.tolist(), tip.text, tip.score)
            for vector, tip in zip(vectors, tips, strict=True)
        ]

    def search(self, key: list[float]) -> list[str]:
        """The texts of ten entries above the floor, by score."""
        near = []
        for vector, text, score in self.entries:
            norms = np.linalg.norm(key) * np.linalg.norm(vector)
            if np.dot(key, vector) / norms > 0.5:
                near.append((score, text))
        near.sort(key=lambda one: -one[0])
        return [text for _, text in near[:10]]


def search(folder: Path, size: int) -> dict[str, object]:
    """Open the memory and search it."""
    tasks = size // SCOPE
    ready = Ready(tasks)
    rng = random.Random(0)
    theirs = Loop(ready.vectors[0], make_tips(0))
    with ChromaTips(folder, ready) as memory:

        def one(task: int) -> object:
            key = f"{task} {rng.randrange(SCOPE)} "
            return memory.search([key], Task("bench", f"task-{task}"))

        first = [timed(lambda task=task: one(task)) for task in range(tasks)]  # type: ignore[misc] # mypy cannot infer a lambda with a default
        ours_ms, theirs_ms = [], []
        for n in range(SEARCHES):
            ours_ms.append(timed(lambda: one(rng.randrange(tasks))))
            if n % (SEARCHES // LOOPS) == 0:
                key = ready.embed([f"0 {rng.randrange(SCOPE)} "])[0]
                theirs_ms.append(timed(lambda: theirs.search(key)))  # noqa: B023 # called at once
        held = resident_mb()
        after_adding = []
        for n in range(50):
            tip = make_tips(0)[0]
            memory.add([_renamed(tip, n)])
            after_adding.append(timed(lambda: one(0)))
        collection = memory._store.collection
        filtered = [
            timed(
                lambda: collection.query(
                    query_embeddings=ready.embed([f"0 {rng.randrange(SCOPE)} "]),
                    n_results=200,
                    where={"in_task": f"bench/task-{rng.randrange(tasks)}"},
                )
            )
            for _ in range(50)
        ]
    return {
        **spread(ours_ms),
        "searching_mb": round(held),
        "first_search_of_a_scope": spread(first),
        "right_after_an_add": spread(after_adding),
        "chroma_query_with_where_200_results": spread(filtered),
        "release_loop": spread(theirs_ms),
    }


def one_scope(folder: Path, size: int) -> dict[str, object]:
    """All tips in one scope, searched."""
    rng = random.Random(0)
    tasks = size // SCOPE
    with ChromaTips(folder, Ready(tasks), scope="environment", capacity=size) as memory:

        def one() -> object:
            key = f"{rng.randrange(tasks)} {rng.randrange(SCOPE)} "
            return memory.search([key], Task("bench", "task-0"))

        first = timed(one)
        return {
            **spread([timed(one) for _ in range(100)]),
            "first_search_seconds": round(first / 1000, 1),
            "searching_mb": round(resident_mb()),
        }


def _renamed(tip: Tip, n: int) -> Tip:
    values = {name: getattr(tip, name) for name in tip.__slots__}
    return Tip(**{**values, "id": f"new/{n}", "text": f"new{n} {tip.text}", "created": f"2027/{n}"})


PARTS = {"fill": fill, "search": search, "one_scope": one_scope}


def in_own_process(part: str, folder: Path, size: int) -> dict[str, object]:
    """Run one of `PARTS` in a process of its own, for its resident memory."""
    command = [sys.executable, "-m", "benchmarks.tips_query", part, str(folder), str(size)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, object] = json.loads(done.stdout)
    return result


def main() -> None:
    """Measure all sizes and write the result."""
    ours: dict[str, object] = {}
    parts: dict[str, object] = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            parts = in_own_process("fill", Path(folder), size)
            parts |= in_own_process("search", Path(folder), size)
            if size == max(SIZES):
                parts["all_in_one_scope"] = in_own_process("one_scope", Path(folder), size)
        ours[f"{size}"] = parts
        print(size, parts, file=sys.stderr)
    loop = parts.pop("release_loop")
    assert isinstance(loop, dict)
    p95, held, filling = (parts[name] for name in ("p95_ms", "searching_mb", "filling_mb"))
    assert isinstance(p95, float)
    assert isinstance(held, int)
    assert isinstance(filling, int)
    write_result(
        "tips_query",
        ours=ours,
        theirs={"per_query_over_1000_entries": loop},
        ratio=round(loop["p95_ms"] / p95, 1),
        bar=BAR_MS,
        met=p95 < BAR_MS and max(held, filling) < BAR_MB,
        note=(
            "bar: p95 in ms of one search among 100,000 tips in 100 scopes of 1,000, and both "
            "resident memories below 1,024 MB; ratio: p95 of the release's loop over ours. "
            "all_in_one_scope is beyond the cap of 1,000 a scope and not held to the bar"
        ),
    )


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(PARTS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        main()
