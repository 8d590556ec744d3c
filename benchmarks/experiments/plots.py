"""Pictures of the experiments' results. Type: python -m benchmarks.experiments.plots"""

import json
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import matplotlib as mpl

from benchmarks.experiments.runner import RESULTS

mpl.use("Agg")
from matplotlib import pyplot as plt

WINDOW = 5  # steps a curve is averaged over


def smooth(values: Sequence[float]) -> list[float]:
    """Mean over the last `WINDOW` values."""
    return [fmean(values[max(0, n - WINDOW + 1) : n + 1]) for n in range(len(values))]


def plain(steps: Sequence[dict[str, Any]], key: str) -> tuple[list[int], list[float]]:
    """Steps played without tips, and a smoothed measure of them."""
    chosen = [row for row in steps if row["mode"] == "plain"]
    return [row["step"] for row in chosen], smooth([float(row[key]) for row in chosen])


def red_lamp() -> None:
    """Training curves by arm, and success after it."""
    rows = _read("red_lamp")
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    for number, arm in enumerate(arms):
        for row in (row for row in rows if row["arm"] == arm and row["steps"]):
            first = row["seed"] == min(r["seed"] for r in rows)
            left.plot(
                *plain(row["steps"], "score"),
                color=f"C{number}",
                alpha=0.7,
                label=arm if first else None,
            )
    for number, arm in enumerate(arms):
        values = [row["success"]["mean"] for row in rows if row["arm"] == arm]
        right.bar(number, fmean(values), color=f"C{number}", alpha=0.5)
        right.scatter([number] * len(values), values, color="black", s=12, zorder=3)
    left.set(xlabel="step", ylabel="success without tips (mean of 5 steps)", ylim=(0, 1))
    left.set_title("training, a line for each house")
    left.legend(fontsize=8)
    right.set_xticks(range(len(arms)), arms, rotation=20, fontsize=8)
    right.set(ylim=(0, 1), title="success after training, no memory; dots: houses")
    _save(figure, "red_lamp")


def scienceworld() -> None:
    """EMPO² and GRPO on each task: score, and share of groups without variance."""
    for path in sorted(RESULTS.glob("scienceworld-*.json")):
        rows = _read(path.stem)
        figure, axes = plt.subplots(1, 3, figsize=(13, 4))
        for number, row in enumerate(row for row in rows if row["steps"]):
            for axis, key in zip(axes, ("score", "flat_groups"), strict=False):
                axis.plot(*plain(row["steps"], key), color=f"C{number}", label=row["arm"])
        for axis, title in zip(
            axes, ("score without tips", "groups without variance"), strict=False
        ):
            axis.set(xlabel="step", title=f"{title} (mean of 5 steps)")
            axis.legend()
        means = [row["test"]["score"]["mean"] for row in rows]
        spans = [row["test"]["score"]["ci95"] for row in rows]
        below = [m - s[0] for m, s in zip(means, spans, strict=True)]
        above = [s[1] - m for m, s in zip(means, spans, strict=True)]
        axes[2].bar(range(len(rows)), means, yerr=[below, above], alpha=0.6, capsize=4)
        axes[2].set_xticks(range(len(rows)), [row["arm"] for row in rows])
        axes[2].set_title("20 unseen variations, no memory, 95 %")
        figure.suptitle(path.stem.removeprefix("scienceworld-"))
        _save(figure, path.stem)


def adaptation() -> None:
    """Score by trial with memory and without, for each model and task."""
    document = _read("adaptation")
    rows = document["runs"]
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    models = list(dict.fromkeys(row["model"] for row in rows))
    figure, axes = plt.subplots(
        len(tasks), len(models), figsize=(4 * len(models), 3 * len(tasks)), squeeze=False
    )
    for y, task in enumerate(tasks):
        for x, model in enumerate(models):
            chosen = [r["curves"] for r in rows if (r["task"], r["model"]) == (task, model)]
            axis = axes[y][x]
            for arm, color in (("memory", "C0"), ("control", "C7")):
                curves = [curve[arm] for curve in chosen]
                means = [fmean(values) for values in zip(*curves, strict=True)]
                first = 0 if arm == "memory" else 1
                axis.plot(range(first, first + len(means)), means, color=color, label=arm)
            found = next(g for g in document["gains"] if (g["model"], g["task"]) == (model, task))
            low, high = found["ci95"] or (found["gain"], found["gain"])
            axis.set_title(
                f"{model}, {task}\ngain {found['gain']:.1f} [{low:.1f}, {high:.1f}]", fontsize=9
            )
            axis.set(xlabel="trial", ylabel="score")
            axis.legend(fontsize=8)
    _save(figure, "adaptation")


def _read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def _save(figure: Any, name: str) -> None:
    figure.tight_layout()
    figure.savefig(RESULTS / f"{name}.png", dpi=110)
    plt.close(figure)


def main() -> None:
    """Draw what there are results of."""
    for name, draw in (("red_lamp", red_lamp), ("adaptation", adaptation)):
        if (RESULTS / f"{name}.json").exists():
            draw()
    scienceworld()


if __name__ == "__main__":
    main()
