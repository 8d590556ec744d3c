"""Showing a long fetch: a bar on a terminal, plain lines elsewhere. Always on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from empo2_agent.policies.cache import Progress
from empo2_agent.text import clean

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars

_LINE_EVERY = 10  # per cent, where there is no terminal


class _Lines:
    """A `Progress` that prints a line for a stage and for every tenth of its bytes."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._shown = 0

    def stage(self, text: str) -> None:
        """See Progress.stage."""
        self._shown = 0
        self._console.print(clean(text), soft_wrap=True)

    def advance(self, done: int, total: int) -> None:
        """See Progress.advance."""
        percent = 100 * done // total // _LINE_EVERY * _LINE_EVERY
        if percent > self._shown:
            self._shown = percent
            self._console.print(f"  {percent}% of {total / 1e6:.1f} MB")


class _Bar:
    """A `Progress` that draws one Rich bar, pulsing while a stage counts no bytes."""

    def __init__(self, bars: "Bars") -> None:
        self._bars = bars
        self._task = bars.add_task("", total=None, visible=False)  # until there is a stage

    def stage(self, text: str) -> None:
        """See Progress.stage."""
        self._bars.console.print(clean(text), soft_wrap=True)
        self._bars.remove_task(self._task)
        self._task = self._bars.add_task("", total=None)

    def advance(self, done: int, total: int) -> None:
        """See Progress.advance."""
        self._bars.update(self._task, completed=done, total=total)


@contextmanager
def fetch_progress(console: "Console") -> Iterator[Progress]:
    """A `Progress` that writes to `console`; the bar disappears when the block ends."""
    if console.quiet or not console.is_terminal:
        yield _Lines(console)
        return
    from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        yield _Bar(bars)
