"""Where the memory is: what the user wrote, or the user's data folder.

`EMPO2_DATA` replaces the folder that all data of this program is under.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

from platformdirs import user_data_path

from empo2_agent.errors import UsageError

NO_MEMORY = "none"


def data_folder() -> Path:
    """The folder of this user's data."""
    if given := os.environ.get("EMPO2_DATA"):
        return Path(given).expanduser()
    return user_data_path("empo2", appauthor=False)


def resolve_location(location: str | Path | None) -> Path | str | None:
    """A folder, the address of a Chroma server, or None for no memory at all.

    Args:
        location: None for the folder `memory` in the user's data; "none"; a folder; or http(s)://.

    Raises:
        UsageError: An address of another kind, or without a host.
    """
    if location is None:
        return data_folder() / "memory"
    text = str(location)
    if text == NO_MEMORY:
        return None
    if "://" not in text:
        return Path(text).expanduser()
    split_address(text)
    return text


def split_address(address: str) -> tuple[str, int, bool]:
    """Host, port and whether to use TLS, of `http://HOST:PORT`.

    Raises:
        UsageError: It is not such an address.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"cannot read the memory address {address!r}: {error}.") from error
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if parts.scheme not in ("http", "https") or not host or extra:
        raise UsageError(f"cannot read the memory address {address!r}: http://HOST:PORT.")
    tls = parts.scheme == "https"
    return host, port or (443 if tls else 8000), tls
