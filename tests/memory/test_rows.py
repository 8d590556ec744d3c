"""Tips as rows and as lines."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empo2_agent.memory.rows import (
    from_lines,
    from_metadata,
    parse,
    row_id,
    scope_filter,
    tidy,
    to_line,
    to_metadata,
)
from empo2_agent.types import Tip
from tests.memory.helpers import make_tip

finite = st.floats(allow_nan=False, allow_infinity=False)
any_text = st.text(max_size=40)
tips = st.builds(
    make_tip,
    any_text.filter(lambda text: bool(tidied(text))),
    text=any_text,
    key=any_text,
    action=any_text,
    score=finite,
    max_score=finite,
    variation=st.integers(0, 10_000),
    created=any_text,
)


def tidied(text: str) -> str:
    try:
        return tidy(make_tip(text)).id
    except ValueError:
        return ""


@given(tips)
def test_nothing_is_lost_in_a_row_or_a_line(tip: Tip) -> None:
    tip = tidy(tip)
    assert from_metadata(to_metadata(tip), tip.text) == tip
    assert list(from_lines([to_line(tip)])) == [tip]
    assert tidy(tip) == tip
    assert None not in to_metadata(tip).values()


def test_tidy_removes_what_could_drive_a_terminal_and_folds_lines() -> None:
    dirty = make_tip(
        text="\x1b[31mred\x1b[0m\n tip\u202e\x00", key="room\r\n\tdoor\x07\n", action="go\n"
    )
    clean = tidy(dirty)
    assert (clean.text, clean.key, clean.action) == ("red tip", "room\n\tdoor", "go")


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_score_without_order_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        tidy(make_tip(score=score))


def test_two_tips_are_the_same_by_text_key_and_place() -> None:
    tip = make_tip()
    different = [
        replace(tip, text="x"),
        replace(tip, key="x"),
        replace(tip, environment="x"),
        replace(tip, task="x"),
        replace(tip, variation=4),
    ]
    assert len({row_id(one) for one in [tip, *different]}) == 6
    same = replace(tip, id="x", action="x", score=0.0, run="x", episode=9, step=9, created="x")
    assert row_id(same) == row_id(tip)


def test_a_filter_finds_the_rows_of_its_scope() -> None:
    metadata = to_metadata(make_tip())
    for scope in ("variation", "task", "environment"):
        [(column, value)] = scope_filter(scope, "toy", "red-lamp", 3).items()
        assert metadata[column] == value


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"score": "high"}, "score is no float"),
        ({"text": None}, "text is no str"),
        ({"step": 1.5}, "step is no int"),
        ({"variation": True}, "variation is no int"),
        ({"extra": 1}, "unknown extra"),
        ({"id": ""}, "no id"),
    ],
)
def test_a_line_that_is_no_tip_is_named(change: dict[str, object], why: str) -> None:
    lines = [to_line(make_tip()), "", json.dumps({**asdict(make_tip()), **change})]
    with pytest.raises(ValueError, match=f"line 3 is no tip: .*{why}"):
        list(from_lines(lines))


@pytest.mark.parametrize("line", ["{", "[]", "7", '{"id": "a"}', '"text"', '{"score": NaN}'])
def test_other_lines_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match="line 1 is no tip"):
        list(from_lines([line]))


def test_a_whole_number_is_a_score() -> None:
    assert parse({**asdict(make_tip()), "score": 25}) == make_tip(score=25.0)
