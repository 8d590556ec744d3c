"""Running the command line as a user does, inside this process."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from empo2_agent.cli import main


@dataclass(frozen=True)
class Outcome:
    """How one command ended."""

    code: int
    out: str
    err: str


Empo2 = Callable[..., Outcome]


@pytest.fixture
def empo2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Empo2:
    """`empo2("runs", "list")` runs the command through `main`."""
    monkeypatch.setenv("EMPO2_DEBUG", "")  # so that --debug is undone after the test

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["empo2", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        code = left.value.code
        assert code is None or isinstance(code, int)
        return Outcome(code or 0, *capsys.readouterr())

    return run
