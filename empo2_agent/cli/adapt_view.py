"""What `empo2 adapt` shows: a row for each trial while it runs, then the curve and a summary."""

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from empo2_agent.adapt import Trial, TrialOver
from empo2_agent.rollout import Progress
from empo2_agent.stats import Interval
from empo2_agent.text import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_CURVE_SIZE = (72, 14)


class AdaptView:
    """A live table where there is a terminal, else a line for each trial.

    Args:
        console: Where it is drawn.
        trials: Trials with memory, after trial 0.
        max_score: Score of a complete solution.
    """

    def __init__(self, console: "Console", trials: int, max_score: float) -> None:
        from rich.live import Live  # not needed for --help

        self._console = console
        self._trials = trials
        self._max_score = max_score
        self._rows: list[TrialOver] = []
        self._decisions = 0
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        """Start drawing."""
        if self._console.is_terminal:
            self._live.start()
            self._draw()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the table as it stands."""
        if self._live.is_started:
            self._live.stop()
            self._console.print(self._table())

    def progress(self, event: Progress) -> None:
        """A round of the running trial is over."""
        self._decisions += event.decisions
        self._draw()

    def trial(self, over: TrialOver) -> None:
        """A trial is over."""
        self._rows.append(over)
        self._decisions = 0
        if self._live.is_started:
            self._draw()
            return
        control = f", control {over.control.score:.3g}" if over.control else ""
        tip = f"; tip: {one_line(over.tips[-1].text, 100)}" if over.tips else ""
        row = over.trial
        self._console.print(
            f"trial {row.trial}/{self._trials}: score {row.score:.3g} of {self._max_score:g}"
            f"{control}, {row.steps:.3g} steps, {row.tips_shown} tips shown{tip}",
            soft_wrap=True,
        )

    def _draw(self) -> None:
        if self._live.is_started:
            self._live.update(self._table(running=True))

    def _table(self, *, running: bool = False) -> "Table":
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False)
        for name in ("trial", "score", "success", "steps", "tips shown", "control"):
            table.add_column(name, justify="right")
        table.add_column("tip written", no_wrap=True, overflow="ellipsis", ratio=1)
        for over in self._rows:
            row = over.trial
            table.add_row(
                str(row.trial),
                f"{row.score:.3g}",
                f"{row.success:.0%}",
                f"{row.steps:.3g}",
                str(row.tips_shown) if row.memory else "-",
                f"{over.control.score:.3g}" if over.control else "-",
                Text(one_line(over.tips[-1].text) if over.tips else "-"),
            )
        if running and len(self._rows) <= self._trials:
            step = f"{self._decisions} decisions" if self._decisions else "…"
            table.add_row(str(len(self._rows)), "…", "", "", "", "", Text(step, style="dim"))
        return table


def curve(trials: Sequence[Trial], controls: Sequence[Trial], max_score: float) -> str:
    """The learning curve as lines of text, without colours."""
    import plotext

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(*_CURVE_SIZE)
    plotext.plot(
        [t.trial for t in trials], [t.score for t in trials], marker="braille", label="memory"
    )
    if controls:
        plotext.plot(
            [t.trial for t in controls], [t.score for t in controls], marker="dot", label="control"
        )
    scores = [row.score for row in (*trials, *controls)]
    plotext.ylim(min(0.0, *scores), max(max_score, *scores))
    plotext.xticks([t.trial for t in trials])
    plotext.title("score by trial (0: without memory)")
    drawn: str = plotext.build()
    return str(plotext.uncolorize(drawn)).rstrip("\n")


def closing_lines(
    run: str, baseline: float, last3: float, gain: Interval | None, tips: tuple[int, int] | None
) -> list[str]:
    """The summary under the curve."""
    lines = [
        f"score: {baseline:.4g} in trial 0 without memory, {last3:.4g} mean of the last three trials"
    ]
    if gain is not None:
        lines.append(f"gain over the control arm: {gain}")
    if tips is not None:
        lines.append(f"memory: {tips[0]} tips before, {tips[1]} now")
    return [*lines, f"recorded in {run}"]
