from statistics import fmean

import pytest

from empo2_agent.errors import UsageError
from empo2_agent.paper import SCIENCEWORLD, WEBSHOP, published
from empo2_scienceworld.tasks import TASKS

PRINTED = """
chemistry-mix -42.0/1.2/20.8/12.4/42.7
paint-secondary-color -33.0/0.0/27.8/7.1/33.3
paint-tertiary-color -33.9/36.9/7.6/42.6/39.2
find-animal -58.2/39.5/25.9/72.4/100
find-living-thing -65.1/36.6/20.6/68.7/100
find-non-living-thing -35.9/4.8/89.1/24.7/100
find-plant -47.1/15.1/23.0/46.2/100
identify-life-stages-1 -48.9/9.2/19.0/17.9/36.2
identify-life-stages-2 -50.7/33.8/11.0/39.5/56.3
lifespan-longest-lived -51.8/44.6/55.0/78.2/100
lifespan-longest-lived-then-shortest-lived -56.2/34.1/38.0/62.3/100
lifespan-shortest-lived -56.8/6.1/67.0/20.6/100
power-component -90.0/6.3/8.2/15.1/94.3
power-component-renewable -85.0/11.7/10.0/24.6/92.6
test-conductivity -86.9/13.2/60.0/27.8/89.5
test-conductivity-unknown -81.7/2.6/65.5/9.5/71.4
measure-melting-point-known -97.5/11.4/26.5/19.8/27.6
use-thermometer -83.7/0.9/32.5/7.6/82.7
"""
"""The paper's table, line by line: Naive, Reflexion, Retrospex, GRPO, EMPO²."""


def test_every_number_is_the_printed_one() -> None:
    rows = [line.split() for line in PRINTED.strip().splitlines()]
    printed = {name: tuple(map(float, numbers.split("/"))) for name, numbers in rows}
    assert {row.name: tuple(row.scores.values()) for row in SCIENCEWORLD.values()} == printed
    methods = {tuple(row.scores) for row in SCIENCEWORLD.values()}
    assert methods == {("Naive", "Reflexion", "Retrospex", "GRPO", "EMPO²")}


def test_every_task_is_one_of_scienceworld() -> None:
    assert set(SCIENCEWORLD) <= {task.name for task in TASKS}
    assert len(SCIENCEWORLD) == 18


def test_the_means_over_tasks_are_those_the_paper_prints() -> None:
    printed = {"Naive": -61.3, "Reflexion": 17.1, "Retrospex": 33.8, "GRPO": 33.2, "EMPO²": 75.9}
    for method, mean in printed.items():
        found = fmean(row.scores[method] for row in SCIENCEWORLD.values())
        assert found == pytest.approx(mean, abs=0.06), method  # one is cut, not rounded


@pytest.mark.parametrize(
    ("task", "name", "empo2"),
    [
        ("test-conductivity-of-unknown-substances", "test-conductivity-unknown", 71.4),
        ("power-component-renewable-vs-nonrenewable-energy", "power-component-renewable", 92.6),
        ("measure-melting-point-known-substance", "measure-melting-point-known", 27.6),
        ("chemistry-mix-paint-secondary-color", "paint-secondary-color", 33.3),
        ("chemistry-mix-paint-tertiary-color", "paint-tertiary-color", 39.2),
        ("chemistry-mix", "chemistry-mix", 42.7),
        (
            "lifespan-longest-lived-then-shortest-lived",
            "lifespan-longest-lived-then-shortest-lived",
            100.0,
        ),
    ],
)
def test_short_names_are_those_of_the_paper(task: str, name: str, empo2: float) -> None:
    row = published("scienceworld", task)
    assert (row.name, row.scores["EMPO²"], row.success) == (name, empo2, {})


def test_webshop_has_one_row_with_success() -> None:
    assert published("webshop", "1234") is WEBSHOP
    assert WEBSHOP.scores.keys() == WEBSHOP.success.keys()
    assert (WEBSHOP.scores["EMPO²"], WEBSHOP.success["EMPO²"]) == (88.3, 76.9)
    assert all(WEBSHOP.success[method] < score for method, score in WEBSHOP.scores.items())


def test_what_the_paper_has_no_score_of() -> None:
    with pytest.raises(UsageError, match=r"no score of grow-plant\. .* find-plant") as raised:
        published("scienceworld", "grow-plant")
    assert "measure-melting-point-known-substance" in _refused("measure-melting-point-unknown")
    assert raised.value.exit_code == 2
    with pytest.raises(UsageError, match="toy/red-lamp: only of tasks of scienceworld and webshop"):
        published("toy", "red-lamp")


def _refused(task: str) -> str:
    with pytest.raises(UsageError) as raised:
        published("scienceworld", task)
    return str(raised.value)
