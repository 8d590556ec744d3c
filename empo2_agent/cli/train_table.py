"""The latest training steps as a table. No number is cut: where it is narrow, columns are left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from empo2_agent.train.metrics import StepMetrics

if TYPE_CHECKING:
    from rich.table import Table


def steps_table(rows: Sequence[StepMetrics], width: int) -> "Table":
    """A line for each of `rows`, of which there is at least one, on `width` characters."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    columns = _fitting(rows, width)
    for column in columns:
        left = column.head == "mode"
        table.add_column(column.head, justify="left" if left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(column.cell(row)) for column in columns))
    return table


def step_seconds(row: StepMetrics) -> float:
    """Wall time of a step: what does not lie within something else that is counted."""
    return sum(row.seconds.get(part, 0.0) for part in ("rollout", "novelty", "update"))


@dataclass(frozen=True, slots=True)
class _Column:
    """`keep`: columns of lower numbers are left out first where the screen is narrow."""

    head: str
    keep: int
    cell: Callable[[StepMetrics], str]


def _short(value: float, width: int) -> str:
    """With three digits, or as few as fit; whole from 100 on."""
    if abs(value) >= 100 and len(text := f"{value:.0f}") <= width:
        return text
    return next(
        (text for digits in (3, 2) if len(text := f"{value:.{digits}g}") <= width),
        f"{value:.0e}",
    )


def _fitting(rows: Sequence[StepMetrics], width: int) -> list[_Column]:
    """The columns whose cells are whole on `width` characters."""
    columns = list(_COLUMNS)
    taken = {
        column.head: 1 + max(len(column.head), *(len(column.cell(row)) for row in rows))
        for column in columns
    }
    while sum(taken[column.head] for column in columns) > width + 1 and len(columns) > 1:
        columns.remove(min(columns, key=lambda column: column.keep))
    return columns


_COLUMNS = (
    _Column("step", 99, lambda row: str(row.step)),
    _Column("mode", 8, lambda row: "mixed" if "+" in row.mode else row.mode),
    _Column("score", 99, lambda row: _short(row.score, 6)),
    _Column("success", 9, lambda row: f"{row.success:.0%}"),
    _Column("intrinsic", 1, lambda row: _short(row.intrinsic, 6)),
    _Column("entropy", 7, lambda row: _short(row.entropy, 6)),
    _Column("mismatch", 4, lambda row: _short(row.mismatch_mean, 7)),
    _Column("clip%", 3, lambda row: _short(100 * row.clip_fraction, 5)),
    _Column("mask%", 2, lambda row: _short(100 * row.mask_fraction, 5)),
    _Column("tips", 5, lambda row: str(row.tips_shown)),
    _Column("s", 6, lambda row: f"{step_seconds(row):.0f}"),
)
