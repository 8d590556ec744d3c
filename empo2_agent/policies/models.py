"""Names to local weights: what `--model` means, and fetching it on first use.

One rule: what is returned is a folder on this disk with `config.json`, a tokenizer and whole
safetensors files, so that loading never reaches for the network.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from empo2_agent.errors import ModelError, did_you_mean
from empo2_agent.policies import cache, hub
from empo2_agent.policies.cache import Progress, Silent
from empo2_agent.policies.catalog import DEFAULT, KNOWN, KnownModel, find_known
from empo2_agent.policies.folder import check_folder

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+")


def ensure_model(
    name: str | None = None, progress: Progress | None = None, *, verify: bool = False
) -> Path:
    """The local folder of a model, fetched first where it is not there yet.

    Args:
        name: None (the default model), a short name from the catalogue, a local folder, or
            `org/name` on the Hugging Face hub.
        progress: Told about a download; None tells nobody.
        verify: Compare a cached known model with its checksums and fetch a damaged one again;
            look on the hub for a newer revision of an `org/name`.

    Raises:
        ModelError: Unknown name, damaged folder, no network, no space, or a read-only cache.
    """
    progress = progress or Silent()
    name = name or DEFAULT
    known = find_known(name)
    if known:
        return ensure_known(known, progress, verify=verify)
    folder = Path(name).expanduser()
    with _disk_trouble_named(name):
        if folder.is_dir():
            return check_folder(folder)
        if _HUB_NAME.fullmatch(name):
            return _ensure_hub(name, progress, refresh=verify)
    if folder.exists() or len(folder.parts) > 1:
        raise ModelError(f"There is no model folder {name}.")
    raise ModelError(
        f"Unknown model {name!r}.{did_you_mean(name.lower(), [model.name for model in KNOWN])} "
        "Type `empo2 models list`, or give a folder or a Hugging Face name (org/name)."
    )


def is_here(name: str | None = None) -> bool:
    """Whether `ensure_model` would return or refuse without fetching anything."""
    name = name or DEFAULT
    known = find_known(name)
    if known:
        return cache.folder_of(known.name).exists()
    if Path(name).expanduser().is_dir() or not _HUB_NAME.fullmatch(name):
        return True
    return hub.cached(name) is not None


def ensure_known(model: KnownModel, progress: Progress, *, verify: bool = False) -> Path:
    """The cache folder of a known model, fetched first where it is not there yet.

    Raises:
        ModelError: See `ensure_model`.
    """
    folder = cache.folder_of(model.name)
    with _disk_trouble_named(model.name):
        problem = cache.damage(folder, thorough=verify) if folder.exists() else "not there"
        if problem is None:
            return folder
        if folder.exists() and not verify:
            raise ModelError(
                f"The cached model {model.name} is damaged ({problem}). "
                f"Type `empo2 models pull {model.name}` to fetch it again."
            )
        with cache.exclusive(model.name, progress):
            if folder.exists() and cache.damage(folder, thorough=verify) is None:
                return folder  # another process was faster
            from empo2_agent.policies.install import install  # no cached model pays for it

            return install(model, progress)


def _ensure_hub(name: str, progress: Progress, *, refresh: bool) -> Path:
    cached = hub.cached(name)
    if cached and not refresh:
        return check_folder(cached)
    progress.stage(f"Looking for {name} on the Hugging Face hub")
    try:
        found = hub.look_up(name)
    except hub.HubUnreachableError as error:
        if cached:
            return check_folder(cached)
        raise ModelError(
            f"There is no folder {name} here, and the Hugging Face hub does not answer ({error}). "
            "Connect to a network, or give --model a local folder."
        ) from error
    progress.stage(f"Downloading {name}")
    return check_folder(hub.fetch(found, progress))


@contextmanager
def _disk_trouble_named(name: str) -> Iterator[None]:
    """Turn what the disk refuses into one line that says what to do."""
    try:
        yield
    except OSError as error:
        place = error.filename or cache.models_folder()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            what = f"The disk is full ({place}): model {name} does not fit"
            do = "Free some space or set EMPO2_CACHE to a folder on another disk"
        elif error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            what = f"Model {name} cannot be stored or read: no permission for {place}"
            do = "Set EMPO2_CACHE to a folder you can write to"
        else:
            what = f"Model {name} cannot be stored or read: {error.strerror or error} ({place})"
            do = "Set EMPO2_CACHE to another folder"
        raise ModelError(f"{what}. {do}.") from error
