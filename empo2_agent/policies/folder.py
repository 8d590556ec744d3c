"""Is a folder a model that can be loaded? Answered without loading it."""

import json
from pathlib import Path

from empo2_agent.errors import ModelError

_HEADER_LIMIT = 100_000_000  # bytes: the safetensors format's own limit


def check_folder(folder: Path) -> Path:
    """Return `folder`, absolute, if it holds a whole model.

    Raises:
        ModelError: A file is missing, unreadable or cut short.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{folder} is no model folder: it has no config.json.") from error
    except ValueError as error:
        raise ModelError(f"{folder / 'config.json'} is damaged: it is no JSON.") from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise ModelError(f"{folder / 'config.json'} names no model_type: not a model's settings.")
    check_weights(folder)
    if not any((folder / file).exists() for file in ("tokenizer.json", "tokenizer_config.json")):
        raise ModelError(f"{folder} has no tokenizer (tokenizer.json or tokenizer_config.json).")
    return folder.absolute()


def check_weights(folder: Path) -> None:
    """Refuse a folder without weights, or with a file of them that is not whole.

    Raises:
        ModelError: A file is missing or cut short.
    """
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ModelError(f"{folder} has no *.safetensors weights.")
    for file in weights:
        if not _whole(file):
            raise ModelError(f"{file} is damaged or cut short: copy or download it again.")


def _whole(file: Path) -> bool:
    """Whether a safetensors file is as long as its own header says.

    The format: 8 bytes header length (little endian), a JSON header, the tensors' bytes.
    """
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > _HEADER_LIMIT:
            return False
        try:
            header = json.loads(stream.read(length))
            ends = [entry["data_offsets"][1] for key, entry in header.items() if key[:2] != "__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return False
    return bool(file.stat().st_size == 8 + length + max(ends, default=0))
