"""Models of the Hugging Face hub, through its own client: resumed, checked, never run as code.

One rule: whether the hub answers is settled by one short request before anything else, so that a
machine without network is told so in seconds.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from empo2_agent.errors import ModelError
from empo2_agent.policies.cache import Progress

_PROBE_SECONDS = 5.0
_WANTED = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
_UNWANTED = ["*/*"]  # copies in other formats live in sub-folders


class HubUnreachableError(Exception):
    """The hub does not answer, or must not be asked; the text says why."""


@dataclass(frozen=True, slots=True)
class HubModel:
    """One revision of a model on the hub."""

    name: str
    revision: str
    sha256: dict[str, str]
    """Checksums of its large files."""


def look_up(name: str) -> HubModel:
    """Ask the hub for the newest revision of `name`.

    Raises:
        HubUnreachableError: No answer, or HF_HUB_OFFLINE is set.
        ModelError: The hub answers that there is no such model, or that it is not open to you.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        info = HfApi().model_info(name, timeout=_PROBE_SECONDS, files_metadata=True)
    except GatedRepoError as error:
        raise ModelError(
            f"{name} is gated: accept its terms on its hub page, then type `hf auth login`."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"The Hugging Face hub has no model {name}, or not for you (`hf auth login`)."
        ) from error
    except HFValidationError as error:
        raise ModelError(f"{name!r} is no name of a model on the Hugging Face hub.") from error
    except OfflineModeIsEnabled as error:
        raise HubUnreachableError("HF_HUB_OFFLINE is set") from error
    except Exception as error:  # the client's HTTP library differs between versions
        raise HubUnreachableError(str(error).partition("\n")[0] or type(error).__name__) from error
    files = info.siblings or []
    checksums = {file.rfilename: file.lfs.sha256 for file in files if file.lfs}
    return HubModel(name, info.sha or "main", checksums)


def fetch(model: HubModel, progress: Progress, folder: Path | None = None) -> Path:
    """Download `model` into `folder`, else into the hub's own cache; go on where a call stopped.

    Raises:
        ModelError: The download broke off.
        OSError: The disk is full or read-only.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        path = snapshot_download(
            model.name,
            revision=model.revision if folder else None,  # its cache is found again by branch
            local_dir=folder,
            allow_patterns=_WANTED,
            ignore_patterns=_UNWANTED,
            tqdm_class=_bar_for(progress),
        )
    except Exception as error:  # the client's HTTP library differs between versions
        if isinstance(error, OSError) and error.errno and not isinstance(error, HfHubHTTPError):
            raise
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ModelError(
            f"The download of {model.name} stopped ({reason}). "
            "Type the same command again to go on from there."
        ) from error
    return Path(path)


def cached(name: str) -> Path | None:
    """The folder of a model that is complete in the hub's own cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        path = snapshot_download(
            name, local_files_only=True, allow_patterns=_WANTED, ignore_patterns=_UNWANTED
        )
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return Path(path)


def _bar_for(progress: Progress) -> type[Any]:
    """A tqdm class that draws nothing and passes byte counts on to `progress`."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]  # tqdm ships no types
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)  # the client's own argument
            super().__init__(*args, **{**kwargs, "file": io.StringIO(), "disable": False})

        def update(self, n: float | None = 1) -> bool | None:
            shown: bool | None = super().update(n)
            if self.unit == "B" and self.total:
                progress.advance(int(min(self.n, self.total)), int(self.total))
            return shown

    return Bar
