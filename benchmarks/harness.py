"""What every benchmark shares: the machine it ran on, and the result file it leaves."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def machine() -> str:
    """Processor, cores and memory in one line."""
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        if line.startswith("model name")
    ]
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {gigabytes:.0f} GB, no GPU"


def commit() -> str:
    """The commit measured, with `+` behind it where the tree had changes."""

    def git(*args: str) -> str:
        done = subprocess.run(["git", *args], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain") else "")


def write_result(
    name: str,
    *,
    ours: Mapping[str, object],
    theirs: Mapping[str, object] | None,
    ratio: float | None,
    bar: float,
    met: bool,
    note: str,
) -> None:
    """Write `results/NAME.json` and print it."""
    document = {
        "benchmark": name,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "machine": machine(),
        "ours": dict(ours),
        "theirs": dict(theirs) if theirs is not None else None,
        "ratio": ratio,
        "bar": bar,
        "met": met,
        "note": note,
    }
    text = json.dumps(document, indent=2)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(text + "\n", "utf-8")
    print(text)
