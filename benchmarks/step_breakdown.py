"""What the time of a training step is spent on, from the metrics that `empo2 train` writes.

Tips are in play: the environment, retrieval and what is embedded for it must stay small beside the
model. The first step, which starts Java, is told apart. Type: python -m benchmarks.step_breakdown
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import write_result

STEPS, BAR = 5, 0.15
COMMAND = (
    "train", "--task", "scienceworld/find-non-living-thing", "--preset", "cpu",
    "--set", "explore.tips_share=0.5", "--seed", "11", "--quiet", "--json",
)  # fmt: skip
"""With this seed, two of the four steps after the first are played with tips."""
MODEL = ("model", "tips", "update")
"""What the model computes."""
BOUNDED = ("environment", "retrieval", "storing", "novelty")
"""What the bar is on. `environment` is what a rollout leaves over, its scheduler included; storing
and novelty embed states, as retrieval does."""


def train(folder: Path) -> list[dict[str, Any]]:
    """Run the command; a line of metrics for each step."""
    command = (*COMMAND, "--steps", str(STEPS), "--run-dir", str(folder / "run"))
    code = "from empo2_agent.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *command], cwd=folder, stdout=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"empo2 {' '.join(command)} ended with {done.returncode}")
    lines = (folder / "run" / "metrics.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def main() -> None:
    """Run a few steps and add up their seconds."""
    with tempfile.TemporaryDirectory() as folder:
        steps = train(Path(folder))
    seconds = _sums(steps[1:])
    total = sum(seconds.values())
    share = _share(steps[1:])
    write_result(
        "step_breakdown",
        ours={
            "share": share,
            "shares": {part: value / total for part, value in seconds.items()},
            "seconds_per_step": total / (STEPS - 1),
            "first_step": _sums(steps[:1]),
            "share_with_first_step": _share(steps),
            "modes": [step["mode"] for step in steps[1:]],
            "tips_shown": sum(step["tips_shown"] for step in steps[1:]),
            "learnt_steps": sum(step["learnt_tokens"] > 0 for step in steps[1:]),
        },
        theirs=None,
        ratio=None,
        bar=BAR,
        met=share < BAR,
        note=f"empo2 {' '.join(COMMAND)} --steps {STEPS}; share: of {', '.join(BOUNDED)} together "
        "in the steps after the first, whose environment includes the start of Java",
    )


def _sums(steps: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {
        part: sum(step["seconds"].get(part, 0.0) for step in steps) for part in (*MODEL, *BOUNDED)
    }


def _share(steps: Sequence[dict[str, Any]]) -> float:
    seconds = _sums(steps)
    return sum(seconds[part] for part in BOUNDED) / sum(seconds.values())


if __name__ == "__main__":
    main()
