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
_AROUND_ROWS = 5  # lines of the screen that are not rows: header, running trial, and some air


class AdaptView:
    """A live table where there is a terminal, else a line for each trial.

    Args:
        console: Where it is drawn.
        trials: Trials with memory, after trial 0.
        max_score: Score of a complete solution.
        control: Whether there is a control arm.
    """

    def __init__(self, console: "Console", trials: int, max_score: float, *, control: bool) -> None:
        from rich.live import Live  # not needed for --help

        self._console = console
        self._trials = trials
        self._max_score = max_score
        self._control = control
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

        table = Table(box=None, pad_edge=False, expand=True)
        names = ["trial", "score", "success", "steps", "tips\nshown", *["control"] * self._control]
        for name in names:
            table.add_column(name, justify="right", no_wrap=True, vertical="bottom")
        table.add_column(
            "tip written", no_wrap=True, overflow="ellipsis", ratio=1, vertical="bottom"
        )
        fitting = max(1, self._console.height - _AROUND_ROWS)
        for over in self._rows[-fitting:] if running else self._rows:
            tip = Text(one_line(over.tips[-1].text) if over.tips else "-")
            table.add_row(*_cells(over)[: len(names)], tip)
        if running and len(self._rows) <= self._trials:
            done = Text(f"{self._decisions} replies", style="dim")
            table.add_row(f"{len(self._rows)}/{self._trials}", *["…"] * (len(names) - 1), done)
        return table


def _cells(over: TrialOver) -> list[str]:
    row = over.trial
    return [
        str(row.trial),
        f"{row.score:.3g}",
        f"{row.success:.0%}",
        f"{row.steps:.3g}",
        str(row.tips_shown) if row.memory else "-",
        f"{over.control.score:.3g}" if over.control else "-",
    ]


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
    run: str,
    baseline: float,
    last3: float,
    gain: Interval | None,
    *,
    trials: int,
    tips: tuple[int, int] | None,
) -> list[str]:
    """The summary under the curve.

    Args:
        run: Where it is recorded.
        baseline: Score of trial 0.
        last3: Mean score of the last three trials with memory, or of as many as there are.
        gain: Over the control arm, over all trials.
        trials: How many there are with memory.
        tips: In the memory before and after; None: there is none.
    """
    last = "in trial 1" if trials == 1 else f"mean of the last {min(trials, 3)} trials"
    lines = [f"score: {baseline:.4g} in trial 0 without memory, {last3:.4g} {last}"]
    if gain is not None:
        lines.append(f"gain over the control arm: {_gain(gain)}")
    if tips is not None:
        lines.append(f"memory: {tips[0]} tips before, {tips[1]} now")
    return [*lines, f"recorded in {run}"]


def _gain(gain: Interval) -> str:
    if not gain.all_alike:
        return str(gain)
    if abs(gain.mean) < 1e-9:  # what rounding leaves of nothing
        return f"no difference seen in {gain.n} trials"
    return f"{gain.mean:.2f} in each of {gain.n} trials (all alike: no interval)"
