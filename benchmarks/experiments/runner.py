"""Running `empo2` commands of an experiment, one after the other, so that a stopped one goes on.

One rule: an experiment is its list of commands. A run folder that is complete is not run again, one
that was stopped is resumed; what is committed are the numbers read from the folders.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def ensure(command: str, run: Path, *options: str) -> dict[str, Any]:
    """Run `empo2 COMMAND OPTIONS` into a run folder, or what is left of it; its result.

    Args:
        command: `train`, `eval` or `adapt`.
        run: The run folder.
        options: All but --run-dir.

    Raises:
        CalledProcessError: The command failed.
    """
    found = _document(run)
    if found is None or found.get("result") is None:
        tail = ["--resume", str(run)] if found is not None else [*options, "--run-dir", str(run)]
        print(f"empo2 {command} {' '.join(tail)}", flush=True)
        environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        subprocess.run(
            [sys.executable, "-c", "from empo2_agent.cli import main; main()", command, *tail],
            check=True,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        found = _document(run)
    assert found is not None, f"{run} has no run.json"
    result: dict[str, Any] = found["result"]
    return result


def metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]


def settings(pairs: Sequence[str]) -> list[str]:
    """`--set` for each pair."""
    return [part for pair in pairs for part in ("--set", pair)]


def write(name: str, document: object) -> None:
    """Write `results/NAME.json`."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def _document(run: Path) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads((run / "run.json").read_text("utf-8"))
    except FileNotFoundError:
        return None
    return document
