"""What `empo2 train` shows, drawn by Rich at the sizes of real terminals."""

import re
from collections.abc import Sequence
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console

from empo2_agent.cli.train_table import step_seconds, steps_table
from empo2_agent.cli.train_view import TrainView, duration
from empo2_agent.text import clean
from empo2_agent.train.metrics import StepMetrics
from empo2_agent.train.monitor import Alarm
from tests.train.measured import make_metrics

HOSTILE = "[red]x[/red]\x1b[31m\x1b]0;title\x07 go\r\nto\u202e " + "[bold]" * 30
WORDS = [
    "step",
    "mode",
    "score",
    "success",
    "intrinsic",
    "entropy",
    "mismatch",
    "clip%",
    "mask%",
    "tips",
    "s",
]
ALARMS = [
    Alarm("entropy", "entropy fell to 0.01 nats: the policy no longer tries anything else; " * 2),
    Alarm("mismatch", "engine and learner differ by 0.5 nats a token: [b]rounding[/b]; " * 2),
    Alarm("repeated", "90% of actions repeat the one before; raise train.temperature"),
    Alarm("collapse", "the score without tips fell to 0 from 1 (means of 8 steps)"),
]


def steps(count: int, **overrides: object) -> list[StepMetrics]:
    modes = ["plain", "off-policy", "plain", "with-tips", "plain+off-policy"]
    return [make_metrics(step=n, mode=modes[n % 5], **overrides) for n in range(1, count + 1)]


def screens(
    rows: Sequence[StepMetrics],
    *,
    width: int = 80,
    height: int = 24,
    phase: str = "playing 37 replies, 5 of 8 episodes running",
    active: Sequence[Alarm] = (),
    title: str = "toy/red-lamp, empo2",
) -> tuple[list[str], list[str]]:
    """The last screen while it ran, and what is left of it at the end."""
    drawn = StringIO()
    console = Console(
        file=drawn, width=width, height=height, force_terminal=True, color_system=None, markup=True
    )
    with TrainView(console, 100, 1.0, title=title) as view:
        for row in rows:
            view.step(row, (), active)
        view.phase(phase)
    assert "\x1b[31m" not in drawn.getvalue()
    assert "\x1b]" not in drawn.getvalue()
    *_, running, final = re.split(r"(?:\x1b\[\?25[lh]|\x1b\[[12][AK]|\r)+", drawn.getvalue())
    shown = (clean(running).rstrip("\r\n").splitlines(), clean(final).strip("\r\n").splitlines())
    return ([line.rstrip() for line in shown[0]], [line.rstrip() for line in shown[1]])


def test_the_screen_of_a_usual_terminal() -> None:
    running, final = screens(steps(37))
    assert len(running) <= 23
    assert running[:3] == [
        "toy/red-lamp, empo2  step 38/100, 42 min left, 1,200 tokens/s",
        "296 episodes, 0 dropped; memory: 24 tips, 40 novel states",
        "now: playing 37 replies, 5 of 8 episodes running",
    ]
    assert running[3].split() == WORDS
    row = ["37", "plain", "0.25", "25%", "3.5", "1.25", "4.1e-05", "1.5", "0.2", "0", "40"]
    assert running[-3].split() == row
    assert [line.split()[0] for line in running[4:-2]] == [str(n) for n in range(21, 38)]
    assert running[-2].startswith("without tips  █  █ █  █ █")
    assert running[-1].startswith("with tips    █ ██ █ ██ █ ")
    assert final[0].split() == WORDS
    assert final[-1].split() == row


@pytest.mark.parametrize("width", [30, 60, 79, 80, 120])
@pytest.mark.parametrize("height", [10, 16, 24, 50])
@pytest.mark.parametrize("count", [0, 1, 60])
def test_it_fits_every_terminal(width: int, height: int, count: int) -> None:
    running, _ = screens(steps(count), width=width, height=height, active=ALARMS, title=HOSTILE)
    assert len(running) < height
    assert all(cell_len(line) <= width for line in running)
    if count:
        assert any(line.split()[0] == str(count) for line in running if line)


@pytest.mark.parametrize("width", [20, 40, 60, 80])
def test_no_number_is_cut_columns_are_left_out_instead(width: int) -> None:
    row = make_metrics(
        step=12345,
        score=-0.0123456,
        intrinsic=1234.5,
        entropy=1.23456e-7,
        mismatch_mean=0.123456,
        clip_fraction=0.123456,
        tips_shown=38400,
        seconds={"rollout": 34567.0, "novelty": 1.0, "update": 100.0},
    )
    drawn = Console(file=StringIO(), width=width)
    with drawn.capture() as capture:
        drawn.print(steps_table([row], width))
    head, cells = (line.split() for line in capture.get().splitlines())
    whole = "12345 plain -0.012 25% 1234 1e-07 0.123 12.3 0.2 38400 34668"
    expected = dict(zip(WORDS, whole.split(), strict=True))
    assert dict(zip(head, cells, strict=True)).items() <= expected.items()
    assert {"step", "score"} <= set(head)
    assert (len(head) < len(WORDS)) == (width < 80)


def test_foreign_text_is_neither_markup_nor_control() -> None:
    running, _ = screens(steps(3), title=HOSTILE, phase=HOSTILE)
    assert running[0].startswith("[red]x[/red] go to [bold]")
    assert running[0].endswith("…  step 4/100, 1 h 05 min left, 1,200 tokens/s")
    assert running[2].startswith("now: [red]x[/red] go to [bold]")
    assert running[2].endswith("…")


def test_a_title_of_wide_characters_leaves_the_numbers_whole() -> None:
    running, _ = screens(steps(3), title="灯" * 80)
    assert running[0].endswith("…  step 4/100, 1 h 05 min left, 1,200 tokens/s")
    assert cell_len(running[0]) <= 80


def test_alarms_stay_while_they_hold_and_those_without_room_keep_their_names() -> None:
    running, _ = screens(steps(30), active=ALARMS)
    text = "\n".join(running)
    assert "! entropy: entropy fell to 0.01" in text
    assert "differ by 0.5 nats a token: [b]rounding[/b]" in text
    running, _ = screens(steps(30), active=ALARMS, height=16)
    assert running[-1] == "! mismatch, repeated, collapse"
    running, _ = screens(steps(30))
    assert not any(line.startswith("!") for line in running)


def test_the_last_alarm_of_each_kind_is_left_at_the_end() -> None:
    drawn = StringIO()
    console = Console(file=drawn, width=80, height=24, force_terminal=True, color_system=None)
    with TrainView(console, 9, 1.0, title="t") as view:
        view.step(make_metrics(step=1), [Alarm("entropy", "first")])
        view.step(make_metrics(step=2), [Alarm("entropy", "second"), ALARMS[3]])
        view.step(make_metrics(step=3), [])
        view.note("checkpoint [b]3[/b]\x1b[2J written")
    assert "\x1b[2J" not in drawn.getvalue()
    text = clean(drawn.getvalue()).rstrip()
    assert "checkpoint [b]3[/b] written" in text
    assert text.endswith(f"\nstep 2, entropy: second\nstep 2, collapse: {ALARMS[3].message}")
    assert "step 1, entropy" not in text


def lines(width: int = 80) -> list[str]:
    """Everything that is said where there is no terminal."""
    drawn = StringIO()
    with TrainView(Console(file=drawn, width=width), 100, 1.0, title="t") as view:
        view.phase("playing")
        view.step(make_metrics(step=1), [])
        view.phase("updating")
        dropped = {"env_error": 1, "time_limit": 2}
        view.step(make_metrics(step=2, mode="off-policy", dropped=dropped), ALARMS[2:3], ALARMS[2:])
        view.note("[b]checkpoint[/b]")
        view.step(make_metrics(step=100), [])
    return drawn.getvalue().splitlines()


@pytest.mark.parametrize("width", [20, 80])
def test_without_a_terminal_a_line_for_each_step_alarm_and_note(width: int) -> None:
    assert lines(width) == [
        "step 1/100 plain: score 0.25 of 1, success 25%, entropy 1.25, mismatch 4.1e-05, "
        "8 episodes, 40 s, 1 h 06 min left",
        "step 2/100 off-policy: score 0.25 of 1, success 25%, entropy 1.25, mismatch 4.1e-05, "
        "8 episodes, 3 dropped (env_error 1, time_limit 2), 40 s, 1 h 05 min left",
        f"warning, repeated: {ALARMS[2].message}",
        "[b]checkpoint[/b]",
        "step 100/100 plain: score 0.25 of 1, success 25%, entropy 1.25, mismatch 4.1e-05, "
        "8 episodes, 40 s",
    ]


def test_a_resumed_run_goes_on_where_it_was() -> None:
    drawn = StringIO()
    console = Console(file=drawn, width=80, height=24, force_terminal=True, color_system=None)
    with TrainView(console, 100, 1.0, title="t", done=steps(40)) as view:
        view.phase("playing")
    text = clean(drawn.getvalue())
    assert "t  step 41/100, 40 min left" in text
    assert "320 episodes" in text


def test_time_left_is_by_the_median_of_the_last_steps() -> None:
    """One step that was interrupted for a night says nothing about the next."""
    slow = make_metrics(step=2, seconds={"rollout": 30_000.0, "update": 10.0})
    running, _ = screens([make_metrics(step=1), slow, make_metrics(step=3)])
    assert "97 steps" not in running[0]
    assert "step 4/100, 1 h 05 min left" in running[0]
    assert step_seconds(slow) == 30_010.0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (3569, "59 min"), (3571, "1 h 00 min"),
     (7500, "2 h 05 min"), (180_000, "50 h 00 min")],
)  # fmt: skip
def test_duration(seconds: float, said: str) -> None:
    assert duration(seconds) == said
