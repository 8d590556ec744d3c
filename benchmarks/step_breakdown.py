"""What the time of a training step is spent on, from the metrics that `empo2 train` writes.

Tips are in play: the environment, retrieval and what is embedded for it must stay small beside the
model. Type: python -m benchmarks.step_breakdown
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import write_result

STEPS, BAR = 6, 0.15
COMMAND = (
    "train", "--task", "scienceworld/find-non-living-thing", "--preset", "cpu",
    "--set", "explore.tips_share=0.5", "--seed", "1", "--quiet",
)  # fmt: skip
MODEL = ("model", "tips", "update")
"""What the model computes; `environment` is what the rollout leaves over, its scheduler included."""
REST = ("environment", "retrieval", "storing", "novelty")
BOUNDED = ("environment", "retrieval", "novelty", "storing")
"""What the bar is on. Novelty and storing embed states, as retrieval does."""


def train(folder: Path) -> list[dict[str, Any]]:
    """Run the command; a line of metrics for each step."""
    command = (*COMMAND, "--steps", str(STEPS), "--run-dir", str(folder / "run"))
    code = "from empo2_agent.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *command], cwd=folder, check=False)
    if done.returncode != 0:
        raise SystemExit(f"empo2 {' '.join(command)} ended with {done.returncode}")
    lines = (folder / "run" / "metrics.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def main() -> None:
    """Run a few steps and add up their seconds."""
    with tempfile.TemporaryDirectory() as folder:
        steps = train(Path(folder))
    seconds = {
        part: sum(step["seconds"].get(part, 0.0) for step in steps) for part in (*MODEL, *REST)
    }
    total = sum(seconds.values())
    share = sum(seconds[part] for part in BOUNDED) / total
    write_result(
        "step_breakdown",
        ours={
            "share": share,
            "shares": {part: value / total for part, value in seconds.items()},
            "seconds_per_step": total / len(steps),
            "modes": [step["mode"] for step in steps],
            "tips_shown": sum(step["tips_shown"] for step in steps),
            "learnt_steps": sum(step["learnt_tokens"] > 0 for step in steps),
        },
        theirs=None,
        ratio=None,
        bar=BAR,
        met=share < BAR,
        note=f"empo2 {' '.join(COMMAND)} --steps {STEPS}; share: of {', '.join(BOUNDED)} together; "
        "starting Java is in the first step's environment",
    )


if __name__ == "__main__":
    main()
