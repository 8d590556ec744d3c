"""What `--model` may name beside a model: a LoRA adapter, a checkpoint, a training run."""

import json
from pathlib import Path
from typing import NamedTuple

from empo2_agent.errors import ModelError
from empo2_agent.policies.cache import Progress
from empo2_agent.policies.folder import check_weights
from empo2_agent.policies.models import ensure_model, is_here

CONFIG = "adapter_config.json"
BASE = "empo2.json"
"""Beside an adapter: the name its base model has for `--model`, which may not be a hub's."""


class ModelFiles(NamedTuple):
    """A model on this disk."""

    folder: Path
    """Weights and tokenizer."""
    adapter: Path | None
    """A LoRA adapter that belongs on top of them."""


def find_model(name: str | None, progress: Progress | None = None) -> ModelFiles:
    """The files of a model, fetched first where they are not there yet.

    Args:
        name: What `models.ensure_model` takes; a folder with a LoRA adapter; a checkpoint; or the
            folder of a training run: its best checkpoint, or the last where none is called best.
        progress: Told about a download.

    Raises:
        ModelError: See `models.ensure_model`; an adapter that is incomplete; a run without
            checkpoints.
    """
    base, adapter = _parts(name)
    return ModelFiles(ensure_model(base, progress), adapter)


def find_here(name: str | None) -> ModelFiles | None:
    """The same without fetching anything: None where `find_model` would have to.

    Raises:
        ModelError: See `find_model`.
    """
    base, adapter = _parts(name)
    return ModelFiles(ensure_model(base), adapter) if is_here(base) else None


def _parts(name: str | None) -> tuple[str | None, Path | None]:
    """What `ensure_model` is to be asked for, and the adapter on top of it."""
    if name is None:
        return None, None
    folder = Path(name).expanduser()
    if (folder / "run.json").exists():
        folder = checkpoint_of(folder)
    if (folder / CONFIG).exists():
        check_weights(folder)
        return base_of(folder), folder.absolute()
    return (str(folder) if folder.is_dir() else name), None


def checkpoint_of(run: Path) -> Path:
    """The best checkpoint of a training run, or the last.

    Raises:
        ModelError: There is none.
    """
    found = (run / "checkpoints").glob("step-*")
    saved = sorted((f for f in found if f.name[5:].isdigit()), key=lambda f: int(f.name[5:]))
    if not saved:
        raise ModelError(f"{run} has no checkpoint: it is no run of empo2 train, or a young one.")
    try:
        position = json.loads((saved[-1] / "state" / "position.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"the checkpoint {saved[-1]} is damaged: {error}.") from error
    best = run / "checkpoints" / f"step-{position.get('best_step') or 0:06d}"
    return best if best.is_dir() else saved[-1]


def rank_of(adapter: Path) -> tuple[int, float]:
    """Rank and alpha of an adapter.

    Raises:
        ModelError: It does not say.
    """
    try:
        config = json.loads((adapter / CONFIG).read_text("utf-8"))
        return int(config["r"]), float(config["lora_alpha"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{adapter / CONFIG} is no LoRA adapter's: {error!r}.") from error


def base_of(adapter: Path) -> str:
    """Name or folder of the model an adapter belongs on.

    Raises:
        ModelError: It does not say.
    """
    for file, key in ((BASE, "base"), (CONFIG, "base_model_name_or_path")):
        try:
            named = json.loads((adapter / file).read_text("utf-8")).get(key)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, AttributeError) as error:
            raise ModelError(f"{adapter / file} cannot be read: {error}.") from error
        if named:
            return str(named)
    raise ModelError(f"{adapter / CONFIG} does not name the model the adapter belongs on.")
