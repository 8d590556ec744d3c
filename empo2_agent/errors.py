"""Errors a user can cause and mend. The CLI prints these without a traceback; all others are bugs.

Each message says what failed, what was tried and what to type, in one or two lines.
`exit_code` is what the process ends with (see `empo2 --help`).
"""

from collections.abc import Iterable
from difflib import get_close_matches


class Empo2Error(Exception):
    """Base of every error that is shown to the user as it is."""

    exit_code = 1


class UsageError(Empo2Error):
    """The command line or a settings file asks for something that does not exist."""

    exit_code = 2


class EnvironmentUnavailableError(Empo2Error):
    """An environment, its data, its runtime (Java, a browser) or its plugin cannot be used."""

    exit_code = 3


class ModelError(Empo2Error):
    """A model, checkpoint or tokenizer cannot be found, loaded or used."""

    exit_code = 4


class MemoryStoreError(Empo2Error):
    """The tip memory cannot be opened or written."""


class RunFolderError(Empo2Error):
    """A run folder cannot be written or read."""


class TrainingError(Empo2Error):
    """Training cannot go on: loss or gradient are not finite, or it collapsed."""


def did_you_mean(word: str, known: Iterable[str], limit: int = 3) -> str:
    """Return ` Did you mean a, b?`, or nothing where no known word is near `word`."""
    near = get_close_matches(word, list(known), n=limit, cutoff=0.5)
    return f" Did you mean {', '.join(near)}?" if near else ""
