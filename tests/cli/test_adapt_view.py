"""What `empo2 adapt` shows, drawn by Rich at the widths of real terminals."""

import re
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from empo2_agent.adapt import Trial, TrialOver
from empo2_agent.cli.adapt_view import AdaptView, closing_lines
from empo2_agent.rollout import Progress
from empo2_agent.stats import paired_difference
from empo2_agent.text import clean
from empo2_agent.types import Tip

HOSTILE = "[red]x[/red]\x1b[31m\x1b]0;title\x07 Go to the shed\r\nand " + "look around " * 30


def make_over(trial: int, text: str = HOSTILE) -> TrialOver:
    row = Trial(
        trial=trial,
        memory=trial > 0,
        score=0.25,
        success=0.5,
        steps=12.5,
        tips_shown=3,
        tips_written=1,
        seconds=1.0,
        statuses={"failed": 1},
    )
    tip = Tip("a", text, "k", "look", 0.25, 1.0, "toy", "red-lamp", 3, "r", 0, 0, "m", "2026")
    return TrialOver(row, replace(row, score=0.125, memory=False) if trial else None, (tip,))


def shown(
    width: int, overs: list[TrialOver], *, trials: int, height: int = 25, control: bool = True
) -> list[str]:
    """The screens that were drawn, oldest first, without the codes that place them."""
    drawn = StringIO()
    console = Console(
        file=drawn, width=width, height=height, force_terminal=True, color_system=None, markup=True
    )
    with AdaptView(console, trials, 1.0, control=control) as view:
        for over in overs:
            view.trial(over)
        view.progress(Progress(decisions=7, running=1))
        view.progress(Progress(decisions=4, running=1))
    assert "\x1b[31m" not in drawn.getvalue()
    assert "\x1b]" not in drawn.getvalue()
    _, *screens = re.split(r"\n? +tips +", clean(drawn.getvalue()))
    return [f"tips {screen}" for screen in screens]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_long_hostile_tip_leaves_room_for_the_numbers(width: int) -> None:
    last = shown(width, [make_over(0), make_over(1)], trials=1)[-1]
    *header, first, second = last.rstrip().splitlines()
    words = ["trial", "score", "success", "steps", "tips", "shown", "control", "tip", "written"]
    assert sorted(" ".join(header).split()) == sorted(words)
    assert first.split()[:6] == ["0", "0.25", "50%", "12.5", "-", "-"]
    assert second.split()[:6] == ["1", "0.25", "50%", "12.5", "3", "0.125"]
    assert second.split(maxsplit=6)[6].startswith("[red]x[/red]")
    assert second.rstrip().endswith("…")
    assert all(len(line) <= width for line in last.splitlines())


def test_the_running_trial_has_a_line_that_counts() -> None:
    screens = shown(80, [make_over(0)], trials=3, control=False)
    running = screens[-2].rstrip().splitlines()[-1]
    assert running.split() == ["1/3", "…", "…", "…", "…", "11", "replies"]
    assert "replies" not in screens[-1]
    assert "control" not in screens[-1]


def test_a_long_run_keeps_its_latest_trials_on_the_screen() -> None:
    overs = [make_over(trial) for trial in range(40)]
    *running, final = shown(80, overs, trials=99, height=12)
    rows = running[-1].splitlines()[2:]
    numbers = [row.split()[0] for row in rows if row.strip()]
    assert numbers == [*(str(n) for n in range(33, 40)), "40/99"]
    assert len([row for row in final.splitlines()[2:] if row.strip()]) == 40


def closing(memory: list[float], control: list[float]) -> list[str]:
    gain = paired_difference(memory, control)
    return closing_lines("runs/x", 0.5, 0.75, gain, trials=len(memory), tips=(1, 3))


def test_the_summary_says_over_how_many_trials() -> None:
    assert closing([1.0], [0.0])[0] == ("score: 0.5 in trial 0 without memory, 0.75 in trial 1")
    assert closing([1.0, 1.0], [0.0, 1.0])[0].endswith("0.75 mean of the last 2 trials")
    assert closing([1.0] * 5, [0.0] * 5)[0].endswith("0.75 mean of the last 3 trials")
    assert closing([1.0], [0.0])[1:] == [
        "gain over the control arm: 1.00 (n=1, no interval)",
        "memory: 1 tips before, 3 now",
        "recorded in runs/x",
    ]


@pytest.mark.parametrize(
    ("memory", "control", "said"),
    [
        ([0.1, 0.7], [0.1, 0.7], "no difference seen in 2 trials"),
        ([0.3, 0.8], [0.1, 0.6], "0.20 in each of 2 trials (all alike: no interval)"),
        ([0.0, 1.0], [0.0, 0.0], "0.50 [-5.85, 6.85] (95 % paired t, n=2)"),
    ],
)
def test_equal_differences_are_no_certainty(
    memory: list[float], control: list[float], said: str
) -> None:
    assert closing(memory, control)[1] == f"gain over the control arm: {said}"
