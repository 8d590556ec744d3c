"""The learning curve in characters and the closing lines, by hand."""

from collections.abc import Sequence

import pytest

from empo2_agent.cli.train_curve import closing_lines, curve, sparklines
from empo2_agent.train.metrics import StepMetrics
from tests.train.measured import make_metrics


def scored(scores: Sequence[float], *, tips_at: Sequence[int] = ()) -> list[StepMetrics]:
    """Steps from 1; those of `tips_at` were played with tips."""
    return [
        make_metrics(step=step, score=score, mode="off-policy" if step in tips_at else "plain")
        for step, score in enumerate(scores, 1)
    ]


def test_sparklines_by_hand() -> None:
    """Eighths of what lies between 0 and the best of both series; a blank is the other's step."""
    assert sparklines(scored([0.0, 0.1, 0.79, 0.4, 0.8], tips_at=[3]), 80) == [
        "without tips ▁▂ ▅█  last 0.8, best 0.8",
        "with tips      █    last 0.79, best 0.79",
    ]


def test_below_zero_the_worst_is_the_lowest() -> None:
    assert sparklines(scored([-100.0, 0.0, 60.0]), 80)[0].startswith("without tips ▁▆█ ")


def test_a_score_that_never_changed_is_drawn_too() -> None:
    assert sparklines(scored([0.0, 0.0]), 80) == ["without tips ▁▁  last 0, best 0"]


@pytest.mark.parametrize("width", [1, 20, 50, 80])
def test_any_number_of_steps_fits(width: int) -> None:
    for steps in (1, 39, 40, 999):
        (line,) = sparklines(scored([step / 999 for step in range(steps)]), width)
        assert len(line) <= max(width, 42)


def test_columns_are_means_where_there_are_too_many_steps() -> None:
    """Columns of two steps: means 0 and 1, and 1 in a step with tips alone."""
    lines = sparklines(scored([0.0, 0.0, 1.0, 1.0], tips_at=[4]), 43)
    assert [line[13:15] for line in lines] == ["▁█", " █"]


def test_steps_without_a_score_are_no_steps_of_the_curve() -> None:
    rows = [make_metrics(score=float("nan")), make_metrics(step=2, episodes=0)]
    assert sparklines(rows, 80) == []
    assert closing_lines(rows, 1.0, "x")[0].startswith("8 episodes")


def test_the_curve_shows_both_and_ends_at_the_best() -> None:
    drawn = curve(scored([0.0, 0.125, 0.25, 0.5, 0.375], tips_at=[2, 5]), 100.0)
    assert "with tips" in drawn
    assert "without tips" in drawn
    assert "mean score by step, of 100" in drawn
    assert any(line.startswith("0.5") for line in drawn.splitlines())
    assert drawn.splitlines()[-1].split() == ["1", "2", "3", "4", "5"]
    assert all(len(line) <= 80 for line in drawn.splitlines())
    assert "\x1b" not in drawn


@pytest.mark.parametrize("scores", [[0.0], [0.5], [-3.0, -3.0], [0.0, 0.0, 0.0]])
def test_a_flat_curve_can_be_drawn(scores: list[float]) -> None:
    assert len(curve(scored(scores), 1.0).splitlines()) == 14


def test_the_summary() -> None:
    scores = [0.125] * 10 + [0.5, 0.25] + [0.375] * 8
    rows = scored(scores, tips_at=[2, 11])
    rows[3] = make_metrics(step=4, score=0.125, dropped={"time_limit": 1, "env_error": 2})
    rows[5] = make_metrics(step=6, score=0.125, dropped={"env_error": 1}, skipped=2)
    assert closing_lines(rows, 1.0, "runs/x\x1b[31m\ny")[-4:] == [
        # of the last ten plain steps, nine are those after step 11: (0.25 + 8 * 0.375 + 0.125) / 10
        "without tips: best mean score 0.375, in step 13; 0.338 over the last 10 of 18 steps",
        "with tips: best mean score 0.5, in step 11; 0.312 over the last 2 of 2 steps",
        "160 episodes, 4 dropped (env_error 3, time_limit 1); 2 updates skipped as not finite",
        "recorded in runs/x y",
    ]


def test_what_a_roll_back_undid_is_no_best_score_but_was_played() -> None:
    rows = [*scored([0.25, 1.0]), make_metrics(step=3, score=0.0, rolled_back_to=1)]
    rows.append(make_metrics(step=4, score=0.375))
    *_, best, episodes, _ = closing_lines(rows, 1.0, "x")
    assert best == (
        "without tips: best mean score 0.375, in step 4; 0.312 over the last 2 of 2 steps"
    )
    assert episodes.startswith("32 episodes, 0 dropped;")


def test_a_run_without_steps_still_says_where_it_is() -> None:
    assert closing_lines([], 1.0, "runs/x") == [
        "0 episodes, 0 dropped; 0 updates skipped as not finite",
        "recorded in runs/x",
    ]
