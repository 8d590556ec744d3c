"""The line of `metrics.jsonl`, and back."""

import json
import math

import pytest

from empo2_agent.train.metrics import StepMetrics
from tests.train.measured import make_metrics


@pytest.mark.parametrize("row", [make_metrics(), make_metrics(tip_gap=0.5, rolled_back_to=3)])
def test_there_and_back(row: StepMetrics) -> None:
    line = json.dumps(row.as_json(), allow_nan=False)
    assert StepMetrics.from_json(json.loads(line)) == row


@pytest.mark.parametrize("lost", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_null_and_comes_back_as_nan(lost: float) -> None:
    line = json.dumps(make_metrics(entropy=lost, tip_gap=None).as_json(), allow_nan=False)
    assert json.loads(line)["entropy"] is None
    back = StepMetrics.from_json(json.loads(line))
    assert math.isnan(back.entropy)
    assert back.tip_gap is None
    assert back.rolled_back_to is None


def test_lines_from_before_a_field_was_there_are_read() -> None:
    line = make_metrics().as_json()
    del line["rolled_back_to"]
    assert StepMetrics.from_json(line) == make_metrics()


@pytest.mark.parametrize("change", [{"score": None, "scoer": 1.0}])
def test_an_unknown_field_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="scoer"):
        StepMetrics.from_json({**make_metrics().as_json(), **change})
