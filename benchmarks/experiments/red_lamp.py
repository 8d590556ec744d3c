"""Experiment (a): the red lamp, a small model, EMPO² against GRPO and without each of its parts.

All arms start from the same imitated weights, play the same number of episodes on the same
variations, and are evaluated without memory on houses they never saw.
Type: python -m benchmarks.experiments.red_lamp FOLDER
"""

import sys
from pathlib import Path

from benchmarks.experiments.runner import ensure, metrics, settings, write
from benchmarks.experiments.small_model import make

SEEDS = (0, 1, 2)
STEPS = 60
COMMON = (
    "train.variations=10",
    "train.tasks_per_step=2",
    "train.concurrency=16",
    "train.checkpoint_every=20",
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
    for seed in SEEDS:
        model = make(folder / f"model-{seed}", seed)
        start = folder / f"start-{seed}"
        ensure(
            "train", start, "--task", "red-lamp", "--model", str(model), "--steps", "0",
            "--seed", str(seed), "--warm-start", "gold",
            *settings((*COMMON, "learner.learning_rate=1e-3", "warm.epochs=15")),
        )  # fmt: skip
        begun = start / "checkpoints" / "step-000000"
        rows.append(_measured(folder, "start", seed, begun, []))
        for arm, (algorithm, own) in ARMS.items():
            run = folder / f"{arm}-{seed}"
            ensure(
                "train", run, "--task", "red-lamp", "--model", str(begun), "--steps", str(STEPS),
                "--algorithm", algorithm, "--seed", str(seed), *settings((*COMMON, *RL, *own)),
            )  # fmt: skip
            last = run / "checkpoints" / f"step-{STEPS:06d}"
            rows.append(_measured(folder, arm, seed, last, metrics(run)))
            write("red_lamp", rows)


def _measured(
    folder: Path, arm: str, seed: int, checkpoint: Path, steps: list[dict[str, object]]
) -> dict[str, object]:
    evaluated = {}
    for split in ("train", "test"):
        result = ensure(
            "eval", folder / f"eval-{arm}-{seed}-{split}", "--task", "red-lamp", "--split", split,
            "--model", str(checkpoint), "--repeats", "8", "--seed", "1000",
            "--set", "sampling.temperature=1.0",
        )  # fmt: skip
        evaluated[split] = result["success"]
    kept = ("step", "mode", "score", "intrinsic", "entropy", "flat_groups", "tips_shown", "tip_gap")
    print(arm, seed, {split: value["mean"] for split, value in evaluated.items()}, flush=True)
    return {
        "arm": arm,
        "seed": seed,
        "success": evaluated,
        "steps": [{key: row[key] for key in kept} for row in steps],
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
