"""Resident memory of `empo2 adapt` with the default model and one JVM, at its highest.

The proportional set size of the process and all its children is read ten times a second, so that
shared pages count once. Type: python -m benchmarks.adapt_memory
"""

import subprocess
import sys
import tempfile
import time

import psutil

from benchmarks.harness import write_result

BAR_GB = 3.0
COMMAND = ("adapt", "--task", "scienceworld/find-non-living-thing", "--trials", "2", "--fresh")


def tree_bytes(root: psutil.Process) -> tuple[int, int]:
    """Bytes of the process and its children, and of its Java children alone."""
    total = java = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            size = process.memory_full_info().pss
        except psutil.Error:  # it ended while we looked
            continue
        total += size
        java += size if "java" in process.name() else 0
    return total, java


def main() -> None:
    """Run the command and watch it."""
    with tempfile.TemporaryDirectory() as folder:
        code = "from empo2_agent.cli import main; main()"
        running = subprocess.Popen(
            [sys.executable, "-c", code, *COMMAND],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        root, highest, java = psutil.Process(running.pid), 0, 0
        while running.poll() is None:
            try:
                now, now_java = tree_bytes(root)
            except psutil.NoSuchProcess:
                break
            highest, java = max(highest, now), max(java, now_java)
            time.sleep(0.1)
    if running.wait() != 0:
        raise SystemExit(f"empo2 {' '.join(COMMAND)} ended with {running.returncode}")
    gigabytes = highest / 2**30
    write_result(
        "adapt_memory",
        ours={"peak_gb": gigabytes, "java_peak_gb": java / 2**30},
        theirs=None,
        ratio=None,
        bar=BAR_GB,
        met=gigabytes < BAR_GB,
        note="empo2 " + " ".join(COMMAND),
    )


if __name__ == "__main__":
    main()
