"""Where the memory is."""

from pathlib import Path

import pytest

from empo2_agent.errors import UsageError
from empo2_agent.memory.location import data_folder, resolve_location, split_address


def test_the_data_folder_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMPO2_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    assert resolve_location(None) == tmp_path / "memory"


def test_unless_moved_it_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EMPO2_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert data_folder().is_relative_to(tmp_path)
    assert data_folder().name == "empo2"


def test_what_a_user_may_write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_location("none") is None
    assert resolve_location("~/tips") == tmp_path / "tips"
    assert resolve_location(Path("tips")) == Path("tips")
    assert resolve_location("http://host:8000") == "http://host:8000"


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("http://host:81", ("host", 81, False)),
        ("http://host", ("host", 8000, False)),
        ("https://host/", ("host", 443, True)),
        ("http://[::1]:9", ("::1", 9, False)),
    ],
)
def test_addresses(address: str, parts: tuple[str, int, bool]) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize(
    "address",
    ["ftp://host", "http://", "http://host:port", "http://a/b", "http://u@a", "http://[:"],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(UsageError, match="cannot read the memory address"):
        resolve_location(address)
