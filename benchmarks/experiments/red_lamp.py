"""Experiment (a): the red lamp, a small model, EMPO² against GRPO and without each of its parts.

Each seed has a house of its own that the model has not seen and must learn: success is rare there
at first, and the steps are few. All arms start from the same imitated weights (other houses) and
play the same number of episodes; they are evaluated in that house without memory.
Type: python -m benchmarks.experiments.red_lamp FOLDER
"""

import sys
from pathlib import Path

from benchmarks.experiments.runner import ensure, metrics, settings, write
from benchmarks.experiments.small_model import make

HOUSES = {0: 10, 1: 12, 2: 13, 3: 14}
"""For each seed the variation, of the split dev."""
STEPS = 25
MAX_STEPS = ("--max-steps", "8")
COMMON = (
    "train.checkpoint_every=25",
    "learner.lora_rank=0",
    "memory.scope=variation",
    "memory.max_tip_tokens=64",
    "episode.max_prompt_tokens=3000",
)
RL = ("learner.learning_rate=1e-4",)
EXPLORING = ("explore.intrinsic_coefficient=0.1",)
ARMS = {
    "empo2": ("empo2", EXPLORING),
    "grpo": ("grpo", ()),
    "no-off-policy": ("empo2", (*EXPLORING, "explore.off_policy_share=0.0")),
    "no-on-policy-with-tips": ("empo2", (*EXPLORING, "explore.off_policy_share=1.0")),
    "no-intrinsic": ("empo2", ("explore.intrinsic_coefficient=0.0",)),
}


def main(folder: Path) -> None:
    """Run what is missing, and collect."""
    rows = []
    for seed, house in HOUSES.items():
        task = f"toy/red-lamp/{house}"
        model = make(folder / f"model-{seed}", seed)
        start = folder / f"start-{seed}"
        ensure(
            "train", start, "--task", "red-lamp", "--model", str(model), "--steps", "0",
            "--seed", str(seed), "--warm-start", "gold",
            *settings((*COMMON, "train.variations=10", "learner.learning_rate=1e-3",
                       "warm.epochs=15")),
        )  # fmt: skip
        begun = start / "checkpoints" / "step-000000"
        rows.append(_measured(folder, "start", seed, task, begun, []))
        for arm, (algorithm, own) in ARMS.items():
            run = folder / f"{arm}-{seed}"
            chosen = [p for p in (*COMMON, *RL, *own) if arm != "grpo" or "memory." not in p]
            ensure(
                "train", run, "--task", task, "--model", str(begun), "--steps", str(STEPS),
                "--algorithm", algorithm, "--seed", str(seed), *MAX_STEPS, *settings(chosen),
            )  # fmt: skip
            last = run / "checkpoints" / f"step-{STEPS:06d}"
            rows.append(_measured(folder, arm, seed, task, last, metrics(run)))
            write("red_lamp", rows)


def _measured(
    folder: Path,
    arm: str,
    seed: int,
    task: str,
    checkpoint: Path,
    steps: list[dict[str, object]],
) -> dict[str, object]:
    result = ensure(
        "eval", folder / f"eval-{arm}-{seed}", "--task", task, "--model", str(checkpoint),
        "--repeats", "40", "--seed", "1000", *MAX_STEPS, "--set", "sampling.temperature=1.0",
    )  # fmt: skip
    print(arm, seed, result["success"], flush=True)
    kept = ("step", "mode", "score", "intrinsic", "entropy", "flat_groups", "tips_shown", "tip_gap")
    return {
        "arm": arm,
        "seed": seed,
        "house": task,
        "success": result["success"],
        "steps": [{key: row[key] for key in kept} for row in steps],
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
