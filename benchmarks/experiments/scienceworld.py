"""Experiment (b): ScienceWorld, the default model without a warm start, EMPO² against GRPO.

Same episodes, same train variations; evaluated without memory on unseen test variations, before
and after. Type: python -m benchmarks.experiments.scienceworld FOLDER [TASK]
"""

import sys
from pathlib import Path

from benchmarks.experiments.runner import ensure, metrics, settings, write

TASKS = ("find-non-living-thing", "lifespan-shortest-lived")
STEPS = 30
SEED = 0
COMMON = (
    "model.dtype=bfloat16",
    "train.variations=4",
    "train.group_size=8",
    "train.checkpoint_every=15",
    "learner.learning_rate=3e-4",
    "memory.max_tip_tokens=48",
)
MAX_STEPS = ("--max-steps", "8")
KEPT = (
    "step", "mode", "score", "score_max", "success", "intrinsic", "entropy", "flat_groups",
    "tips_shown", "tip_gap", "mask_fraction", "mismatch_mean", "mismatch_max", "grad_norm",
)  # fmt: skip


def main(folder: Path, tasks: tuple[str, ...]) -> None:
    """Run what is missing, and collect."""
    for task in tasks:
        rows = [_measured(folder, task, "base", None, [])]
        for algorithm in ("empo2", "grpo"):
            run = folder / f"{task}-{algorithm}"
            ensure(
                "train", run, "--task", task, "--steps", str(STEPS), "--seed", str(SEED),
                "--algorithm", algorithm, *MAX_STEPS,
                *settings([p for p in COMMON if algorithm == "empo2" or "memory." not in p]),
            )  # fmt: skip
            last = run / "checkpoints" / f"step-{STEPS:06d}"
            rows.append(_measured(folder, task, algorithm, last, metrics(run)))
            write(f"scienceworld-{task}", rows)


def _measured(
    folder: Path, task: str, arm: str, model: Path | None, steps: list[dict[str, object]]
) -> dict[str, object]:
    result = ensure(
        "eval", folder / f"eval-{task}-{arm}", "--task", task, "--variations", "20",
        "--seed", "1000", *MAX_STEPS, *(("--model", str(model)) if model else ()),
    )  # fmt: skip
    print(task, arm, result["score"], flush=True)
    return {
        "arm": arm,
        "seed": SEED,
        "test": {key: result[key] for key in ("score", "success", "statuses")},
        "steps": [{key: row[key] for key in KEPT} for row in steps],
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), tuple(sys.argv[2:]) or TASKS)
