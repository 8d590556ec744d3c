"""What `empo2 train` shows while it runs: a screen where there is a terminal, else lines.

One rule: what comes from a world, a model or a file is shown as text, never read as markup.
"""

from collections.abc import Sequence
from statistics import median
from types import TracebackType
from typing import TYPE_CHECKING, Self

from empo2_agent.cli.train_curve import dropped_text, sparklines
from empo2_agent.cli.train_table import step_seconds, steps_table
from empo2_agent.text import one_line
from empo2_agent.train.metrics import StepMetrics
from empo2_agent.train.monitor import Alarm

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table
    from rich.text import Text

_RECENT = 20  # steps that the time left is judged by: replies get longer or shorter in training
_AROUND_ROWS = 5  # header, counts, phase, heads of the columns, and the line under the cursor


class TrainView:
    """A context manager that is told what happens.

    Args:
        console: Where it is drawn.
        steps: Training steps in all.
        max_score: Score of a complete solution.
        title: The task and the algorithm.
        done: Steps of the run that is resumed.
    """

    def __init__(
        self,
        console: "Console",
        steps: int,
        max_score: float,
        *,
        title: str,
        done: Sequence[StepMetrics] = (),
    ) -> None:
        from rich.live import Live  # not needed for --help

        self._console = console
        self._steps = steps
        self._max_score = max_score
        self._title = one_line(title)
        self._rows = list(done)
        self._phase = "starting"
        self._active: Sequence[Alarm] = ()
        self._raised: dict[str, tuple[int, Alarm]] = {}
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
        """Leave the latest steps as they stand, and the last alarm of each kind."""
        if not self._live.is_started:
            return
        self._live.stop()
        if self._rows:
            self._console.print(self._table(self._console.height - _AROUND_ROWS))
        for step, alarm in self._raised.values():
            self._say(f"step {step}, {alarm.kind}: {alarm.message}", soft_wrap=False)

    def phase(self, text: str) -> None:
        """What the running step is doing now. Without a terminal nothing is said."""
        self._phase = one_line(text)
        self._draw()

    def note(self, text: str) -> None:
        """A line that stays, such as a checkpoint that was written."""
        self._say(text)

    def step(
        self, metrics: StepMetrics, alarms: Sequence[Alarm], active: Sequence[Alarm] = ()
    ) -> None:
        """A step is over.

        Args:
            metrics: What was measured.
            alarms: Those it raised: a line each without a terminal.
            active: Those that are not over; they stay on the screen.
        """
        self._rows.append(metrics)
        self._active = tuple({alarm.kind: alarm for alarm in (*active, *alarms)}.values())
        self._raised |= {alarm.kind: (metrics.step, alarm) for alarm in alarms}
        self._phase = ""
        self._draw()
        if not self._live.is_started:
            self._say(self._line(metrics))
            for alarm in alarms:
                self._say(f"warning, {alarm.kind}: {alarm.message}")

    def _say(self, text: str, *, soft_wrap: bool = True) -> None:
        from rich.text import Text

        self._console.print(Text(one_line(text)), soft_wrap=soft_wrap)

    def _line(self, row: StepMetrics) -> str:
        dropped = f", {dropped_text([row])}" if row.dropped else ""
        return (
            f"step {row.step}/{self._steps} {row.mode}: score {row.score:.3g} of "
            f"{self._max_score:g}, success {row.success:.0%}, entropy {row.entropy:.3g}, mismatch "
            f"{row.mismatch_mean:.2g}, {row.episodes} episodes{dropped}, {step_seconds(row):.0f} s"
            f"{self._time_left()}"
        )

    def _time_left(self) -> str:
        if not self._rows:
            return ""
        seconds = [step_seconds(row) for row in self._rows[-_RECENT:]]
        left = (self._steps - self._rows[-1].step) * median(seconds)
        return f", {duration(left)} left" if left > 0 else ""

    def _draw(self) -> None:
        if self._live.is_started:
            self._live.update(self._screen())

    def _screen(self) -> "Group":
        from rich.console import Group
        from rich.text import Text

        width, height = self._console.width, self._console.height
        curves = [_fixed(line) for line in sparklines(self._rows, width)]
        spare = height - _AROUND_ROWS - len(curves)
        alarms = self._alarm_lines(spare // 2)
        return Group(
            self._header(),
            _fixed(self._counts(), "dim"),
            _fixed(f"now: {self._phase}" if self._phase else " "),
            self._table(spare - len(alarms)) if self._rows else Text("no step is over yet"),
            *curves,
            *alarms,
        )

    def _table(self, fitting: int) -> "Table":
        return steps_table(self._rows[-max(1, fitting) :], self._console.width)

    def _running(self) -> int:
        return min(self._steps, self._rows[-1].step + 1 if self._rows else 1)

    def _header(self) -> "Text":
        """The numbers are whole, whatever the length of the title."""
        from rich.text import Text

        speed = ""
        if self._rows and self._rows[-1].seconds.get("update"):
            row = self._rows[-1]
            speed = f", {row.tokens / row.seconds['update']:,.0f} tokens/s"
        state = f"  step {self._running()}/{self._steps}{self._time_left()}{speed}"
        title = Text(self._title, style="bold", no_wrap=True, overflow="ellipsis")
        title.truncate(max(1, self._console.width - len(state)), overflow="ellipsis")
        return title.append(state, style="not bold")

    def _counts(self) -> str:
        if not self._rows:
            return " "
        row = self._rows[-1]
        dropped = sum(sum(row.dropped.values()) for row in self._rows)
        skipped = sum(row.skipped for row in self._rows)
        return (
            f"{sum(row.episodes for row in self._rows)} episodes, {dropped} dropped"
            + f", {skipped} updates skipped" * bool(skipped)
            + f"; memory: {row.memory_size} tips, {row.novel_states} novel states"
        )

    def _alarm_lines(self, room: int) -> list["Text"]:
        """The active alarms on `room` lines, at least one; of those that do not fit, their names."""
        from rich.text import Text

        lines: list[Text] = []
        for shown, alarm in enumerate(self._active):
            text = Text(one_line(f"! {alarm.kind}: {alarm.message}"), style="yellow")
            wrapped = list(text.wrap(self._console, self._console.width))
            missing = [other.kind for other in self._active[shown:]]
            if len(lines) + len(wrapped) + (len(missing) > 1) > room:
                return [*lines, _fixed(f"! {', '.join(missing)}", "yellow")]
            lines += wrapped
        return lines


def _fixed(text: str, style: str = "") -> "Text":
    from rich.text import Text

    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def duration(seconds: float) -> str:
    """`45 s`, `12 min` or `3 h 05 min`."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
