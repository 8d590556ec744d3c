"""The learning curve of `empo2 train` in characters, and the lines a run ends with.

One rule: steps played with tips and without are told apart, since tips help the policy they teach.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from empo2_agent.text import one_line
from empo2_agent.train.metrics import StepMetrics
from empo2_agent.train.monitor import standing

_CURVE_SIZE = (72, 14)
_BLOCKS = "▁▂▃▄▅▆▇█"
_LAST = 10  # steps that a closing mean is over
_TICKS = 5
_LABEL_WIDTH, _NUMBERS_WIDTH = 13, 28
SERIES = ("without tips", "with tips")

Rows = Sequence[StepMetrics]


def of_series(rows: Rows, name: str) -> list[StepMetrics]:
    """The steps of one of `SERIES` that have a score. One where only some groups had tips is with."""
    return [
        row
        for row in rows
        if row.episodes
        and math.isfinite(row.score)
        and (row.mode == "plain") == (name == SERIES[0])
    ]


def dropped_text(rows: Rows) -> str:
    """`3 dropped (env_error 2, time_limit 1)`, over all `rows`."""
    counts: Counter[str] = Counter()
    for row in rows:
        counts.update(row.dropped)
    by_status = ", ".join(f"{status} {n}" for status, n in sorted(counts.items()) if n)
    return f"{counts.total()} dropped" + (f" ({by_status})" if by_status else "")


def sparklines(rows: Rows, width: int) -> list[str]:
    """A line for each series that has steps: columns are steps, or means of as many as must be."""
    drawn = {name: of_series(rows, name) for name in SERIES}
    scores = [row.score for series in drawn.values() for row in series]
    per = math.ceil(len(rows) / max(1, width - _LABEL_WIDTH - _NUMBERS_WIDTH))
    columns = [rows[at : at + per] for at in range(0, len(rows), max(1, per))]
    lines = []
    for name, series in drawn.items():
        if not series:
            continue
        means = (_mean(row.score for row in of_series(column, name)) for column in columns)
        blocks = "".join(_block(mean, min(0.0, *scores), max(scores)) for mean in means)
        best = max(row.score for row in series)
        lines.append(
            f"{name:<{_LABEL_WIDTH}}{blocks}  last {series[-1].score:.3g}, best {best:.3g}"
        )
    return lines


def _block(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return " "
    share = (value - low) / (high - low) if high > low else 0.0
    return _BLOCKS[min(len(_BLOCKS) - 1, int(share * len(_BLOCKS)))]


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values) if values else math.nan


def curve(rows: Rows, max_score: float) -> str:
    """The mean score of every step, as lines of text without colours. The axis ends at the best."""
    import plotext

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(*_CURVE_SIZE)
    plain, tips = (of_series(rows, name) for name in SERIES)
    scores = [0.0, *(row.score for row in (*plain, *tips))]
    if tips:  # points: their steps are few, and a line would hide the other
        plotext.scatter(*_points(tips), marker="dot", label=SERIES[1])
    if plain:
        plotext.plot(*_points(plain), marker="braille", label=SERIES[0])
    plotext.ylim(min(scores), max(scores) if max(scores) > min(scores) else max_score)
    first, last = rows[0].step, rows[-1].step
    plotext.xticks(sorted({first + (last - first) * part // _TICKS for part in range(_TICKS + 1)}))
    plotext.title(f"mean score by step, of {max_score:g}")
    drawn: str = plotext.build()
    return str(plotext.uncolorize(drawn)).rstrip("\n")


def _points(series: Rows) -> tuple[list[int], list[float]]:
    return [row.step for row in series], [row.score for row in series]


def closing_lines(rows: Rows, max_score: float, run: str) -> list[str]:
    """The curve and the summary.

    Args:
        rows: The steps in the order they were done; what a roll-back undid is left out of scores.
        max_score: Score of a complete solution.
        run: Where it is recorded.
    """
    kept = standing(rows)
    lines = []
    if any(of_series(kept, name) for name in SERIES):
        lines += curve(kept, max_score).splitlines()
    lines += [_summary(name, series) for name in SERIES if (series := of_series(kept, name))]
    episodes, skipped = sum(row.episodes for row in rows), sum(row.skipped for row in rows)
    return [
        *lines,
        f"{episodes} episodes, {dropped_text(rows)}; {skipped} updates skipped as not finite",
        f"recorded in {one_line(run)}",
    ]


def _summary(name: str, series: Rows) -> str:
    best = max(series, key=lambda row: row.score)
    last = series[-_LAST:]
    return (
        f"{name}: best mean score {best.score:.3g}, in step {best.step}; "
        f"{_mean(row.score for row in last):.3g} over the last {len(last)} of {len(series)} steps"
    )
