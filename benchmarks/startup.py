"""How long `empo2 --help` and `empo2 envs list` take, as a user waits for them.

Wall time of whole processes, started as the installed command, the two in turn, median of nine
after one unmeasured start of each (so that byte code is compiled and files are in the page cache).
There is no other side: the bars are 0.5 s and 1 s.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.harness import write_result

COMMANDS = {"help": ["--help"], "envs_list": ["envs", "list"]}
BARS = {"help": 0.5, "envs_list": 1.0}
ROUNDS = 9


def seconds(arguments: list[str]) -> float:
    """Run the installed command once."""
    script = shutil.which("empo2", path=str(Path(sys.executable).parent))
    if script is None:
        raise SystemExit("the command empo2 is not installed beside this Python: make venv")
    started = time.perf_counter()
    subprocess.run([script, *arguments], check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure, and write `results/startup.json`."""
    for arguments in COMMANDS.values():
        seconds(arguments)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    medians = {name: median(found) for name, found in times.items()}
    write_result(
        "startup",
        ours={
            **{f"{name}_seconds": round(value, 3) for name, value in medians.items()},
            **{f"{name}_slowest_seconds": round(max(found), 3) for name, found in times.items()},
        },
        theirs=None,
        ratio=None,
        bar=BARS["help"],
        met=all(medians[name] <= BARS[name] for name in COMMANDS),
        note=f"bars: {BARS['help']} s for --help, {BARS['envs_list']} s for envs list; "
        f"median of {ROUNDS} whole processes each, in turn",
    )


if __name__ == "__main__":
    main()
