"""What a checkpoint holds beside the weights: all that the next step depends on.

Random numbers need no state of their own: every draw of a run derives from its seed and the number
of the step, group and episode it is made for.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch

from empo2_agent.errors import ModelError
from empo2_agent.memory.novelty import Novelty, Visits
from empo2_agent.runs import tip_from_json, tip_to_json
from empo2_agent.types import Tip


@dataclass(slots=True)
class Position:
    """Where a run stands after a step."""

    step: int = 0
    version: int = 0
    """Of the weights."""
    lines: dict[str, int] = field(default_factory=dict)
    """Lines of the run's growing files."""
    best_step: int | None = None
    best_score: float | None = None
    skipped_in_a_row: int = 0
    rolled_back: int = 0
    """How often the run went back to its best checkpoint."""
    window: list[float] = field(default_factory=list)
    """Mean scores of the steps played without tips since the last checkpoint."""


def save_state(
    folder: Path,
    position: Position,
    learner: Mapping[str, Any],
    tips: Iterable[Tip],
    novelty: Novelty,
) -> None:
    """Write everything into `folder`."""
    (folder / "position.json").write_text(json.dumps(asdict(position)), "utf-8")
    torch.save(dict(learner), folder / "learner.pt")
    lines = [json.dumps(tip_to_json(tip)) + "\n" for tip in tips]
    (folder / "tips.jsonl").write_text("".join(lines), "utf-8")
    arrays: dict[str, Any] = {}
    for number, visits in enumerate(novelty.scopes.values()):
        arrays[f"vectors-{number}"], arrays[f"counts-{number}"] = visits.vectors, visits.counts
    (folder / "novelty.json").write_text(json.dumps(list(novelty.scopes)), "utf-8")
    np.savez(folder / "novelty.npz", **arrays)


def load_state(folder: Path, novelty: Novelty) -> tuple[Position, dict[str, Any], list[Tip]]:
    """Where the run stands, the learner's state and the tips; fills `novelty`.

    Raises:
        ModelError: The checkpoint is damaged.
    """
    try:
        position = Position(**json.loads((folder / "position.json").read_text("utf-8")))
        learner = torch.load(folder / "learner.pt", weights_only=True)
        tips = [
            tip_from_json(json.loads(line))
            for line in (folder / "tips.jsonl").read_text("utf-8").splitlines()
        ]
        scopes = json.loads((folder / "novelty.json").read_text("utf-8"))
        with (folder / "novelty.npz").open("rb") as file, np.load(file) as arrays:
            novelty.scopes = {
                scope: Visits(arrays[f"vectors-{n}"], arrays[f"counts-{n}"])
                for n, scope in enumerate(scopes)
            }
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, BadZipFile) as error:
        raise ModelError(f"the checkpoint {folder.parent} is damaged: {error!r}.") from error
    return position, learner, tips
