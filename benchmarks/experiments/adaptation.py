"""Experiment (c): what tips add, on tasks a model was not trained on.

Each model goes through `empo2 adapt --trials 10 --control --fresh` with several seeds; the gain is
the mean over trials of memory minus control on the same seeds.
Type: python -m benchmarks.experiments.adaptation FOLDER NAME=MODEL [NAME=MODEL ...]
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.experiments.runner import ensure, write
from empo2_agent.stats import t_interval

TASKS = ("find-animal", "lifespan-longest-lived")
SEEDS = (0, 1, 2, 3, 4)
OPTIONS = ("--trials", "10", "--control", "--fresh", "--max-steps", "10")


def main(folder: Path, models: Sequence[tuple[str, str]]) -> None:
    """Run what is missing, and collect."""
    rows = []
    for seed in SEEDS:
        for task in TASKS:
            for name, model in models:
                result = ensure(
                    "adapt", folder / f"adapt-{name}-{task}-{seed}", "--task", task,
                    "--model", model, "--seed", str(seed), *OPTIONS,
                )  # fmt: skip
                rows.append(_row(name, task, seed, result))
                print(json.dumps({k: v for k, v in rows[-1].items() if k != "curves"}), flush=True)
        write("adaptation", {"runs": rows, "gains": _gains(rows)})


def _row(name: str, task: str, seed: int, result: dict[str, object]) -> dict[str, object]:
    trials, control = result["trials"], result["control"]
    assert isinstance(trials, list)
    assert isinstance(control, list)
    gain = result["gain_over_control"]
    assert isinstance(gain, dict)
    return {
        "model": name,
        "task": task,
        "seed": seed,
        "gain": gain["mean"],
        "baseline": result["baseline_score"],
        "last3": result["last3_score"],
        "tips_shown": sum(trial["tips_shown"] for trial in trials),
        "curves": {
            "memory": [trial["score"] for trial in trials],
            "control": [trial["score"] for trial in control],
        },
    }


def _gains(rows: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """For each model and task the mean gain over seeds, with its 95 % t interval."""
    found = []
    for key in dict.fromkeys((row["model"], row["task"]) for row in rows):
        gains = [float(str(row["gain"])) for row in rows if (row["model"], row["task"]) == key]
        interval = t_interval(gains)
        found.append(
            {
                "model": key[0],
                "task": key[1],
                "seeds": len(gains),
                "gain": interval.mean,
                "ci95": interval.ci95,
            }
        )
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), [(n, m) for n, _, m in (a.partition("=") for a in sys.argv[2:])])
