"""`empo2 eval --compare-paper`: what it finds to differ, how it is shown, and what it refuses."""

import json
from pathlib import Path

import pytest

from empo2_agent.cli.evaluate_paper import Comparison, Difference, as_document, as_lines, compare
from empo2_agent.cli.job import READER_DEFAULTS, Job, new_job
from empo2_agent.config import resolve
from empo2_agent.evaluate import Scores
from empo2_agent.needs import Rules
from empo2_agent.paper import WEBSHOP, published
from empo2_agent.stats import Interval
from tests.cli.conftest import Empo2


def job(task: str = "find-plant", split: str | None = "test", *pairs: str) -> Job:
    resolved = resolve(preset="paper-scienceworld", pairs=pairs, defaults=READER_DEFAULTS)
    return new_job("eval", resolved, task, split=split)


def differences(
    asked: Job, model: str = "qwen2.5-7b", memory: str | None = None, context: int = 32_768
) -> list[tuple[str, object, object]]:
    settings = asked.resolved.settings
    style = settings.sampling.style
    rules = Rules(
        max_steps=settings.episode.max_steps or asked.found.plugin.step_limit,
        max_prompt_tokens=min(settings.episode.max_prompt_tokens, context),
        max_reply_tokens=settings.sampling.max_reply_tokens,
        max_score=100.0,
        style="constrained" if style == "auto" else style,
        temperature=settings.sampling.temperature,
    )
    row = published("scienceworld", asked.found.task.name)
    found = compare(asked, row, rules=rules, model=model, memory=memory)
    assert found.only_variation == (None if asked.whole_split else asked.found.task.variation)
    return [(what, here, paper) for what, here, paper in found.differences]


def scores(mean: float, low: float | None = None, high: float | None = None) -> Scores:
    score = Interval(mean, low, high, "none" if low is None else "bootstrap", 4)
    return Scores(4, score, score, Interval(0.25, 0.1, 0.6, "Wilson", 4), {"success": 4})


@pytest.mark.parametrize(
    "model", ["qwen2.5-7b", "Qwen/Qwen2.5-7B-Instruct", "/models/Qwen2.5-7B-Instruct"]
)
def test_by_the_preset_nothing_differs(model: str) -> None:
    assert differences(job(), model) == []


@pytest.mark.parametrize(
    ("pair", "here", "paper"),
    [
        ("evaluate.variations=7", 7, 20),
        ("evaluate.repeats=1", 1, 4),
        ("sampling.temperature=1.0", 1.0, 0.4),
        ("sampling.style=free", "free", "correct"),
        ("sampling.max_reply_tokens=64", 64, 32),
        ("episode.max_steps=10", 10, 30),
        ("episode.max_prompt_tokens=900", 900, 4500),
        ("environment.simplifications=openDoors", "openDoors", "easy"),
        ("environment.compact=true", True, False),
        ("environment.hide_actions=true", True, False),
    ],
)
def test_each_setting_of_the_protocol_is_watched(pair: str, here: object, paper: object) -> None:
    assert differences(job("find-plant", "test", pair)) == [(pair.partition("=")[0], here, paper)]


def test_settings_of_no_consequence_to_the_protocol_are_not() -> None:
    pairs = ("seed=5", "evaluate.concurrency=2", "train.steps=3", "loss.clip_low=0.1")
    assert differences(job("find-plant", "test", *pairs)) == []


def test_other_splits_models_and_tips_are_said() -> None:
    assert differences(job(split="dev")) == [("split", "dev", "test")]
    assert differences(job(), "smollm2-135m", "/tips") == [
        ("model.name", "smollm2-135m", "Qwen/Qwen2.5-7B-Instruct"),
        ("memory.location", "/tips", "none"),
    ]


def test_what_the_model_cannot_take_counts_as_in_force() -> None:
    assert differences(job(), context=2048) == [("episode.max_prompt_tokens", 2048, 4500)]


def test_a_split_of_fewer_than_twenty_and_a_single_variation_are_said() -> None:
    assert differences(job("power-component")) == [("evaluate.variations", "5, all there are", 20)]
    assert differences(job("power-component", "test", "evaluate.variations=4")) == [
        ("evaluate.variations", 4, 20)
    ]
    assert differences(job("scienceworld/find-plant/7", None)) == [
        ("variations", "only 7", "first 20 of test")
    ]


def test_without_the_preset_what_defaults_do_otherwise_is_listed() -> None:
    plain = new_job("eval", resolve(defaults=READER_DEFAULTS), "find-plant", split="test")
    assert [what for what, _, _ in differences(plain)] == [
        "evaluate.variations", "evaluate.repeats",
        "sampling.style", "environment.compact", "environment.hide_actions",
    ]  # fmt: skip


def test_the_table_for_people() -> None:
    row = published("scienceworld", "power-component")
    comparison = Comparison(row, [Difference("environment.compact", True, False)], None)
    assert as_lines(comparison, scores(12.345, -3.21, 20), 100) == [
        "",
        "Beside the paper (arXiv 2602.23008), power-component: mean return on 20 unseen variations",
        "                  score  95 % interval",
        "this run           12.3  [-3.2, 20.0]",
        "paper, Naive      -90.0  -",
        "paper, Reflexion    6.3  -",
        "paper, Retrospex    8.2  -",
        "paper, GRPO        15.1  -",
        "paper, EMPO²       94.3  -",
        "",
        "not as in the paper  this run  paper",
        "environment.compact  true      false",
    ]
    alone = as_lines(Comparison(row, [], 3), scores(1.0), 100)
    assert alone[-2:] == [
        "Only variation 3 was played: the score speaks of that one alone.",
        "Played by the paper's protocol.",
    ]


def test_scores_are_brought_to_the_scale_of_the_paper() -> None:
    lines = as_lines(Comparison(WEBSHOP, [], None), scores(0.5, 0.4, 0.6), max_score=1)
    found = [line.split() for line in lines if "this run" in line or "EMPO²" in line]
    assert found[0] == ["this", "run", "50.0", "[40.0,", "60.0]", "25.0"]
    assert found[1] == ["paper,", "EMPO²", "88.3", "-", "76.9"]


def test_the_document_is_json_with_both_sides() -> None:
    rows = [Difference("memory.location", Path("tips"), "none"), Difference("a.b", 1, 0.4)]
    document = json.loads(json.dumps(as_document(Comparison(WEBSHOP, rows, 3))))
    assert document["published"]["GRPO"] == {"score": 79.3, "success": 66.1}
    assert document["differences"] == [
        {"what": "memory.location", "here": "tips", "paper": "none"},
        {"what": "a.b", "here": 1, "paper": 0.4},
    ]
    assert (document["source"], document["only_variation"]) == ("arXiv 2602.23008", 3)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("grow-plant", "no score of grow-plant. The nearest it has: find-plant"),
        ("toy/red-lamp", "only of tasks of scienceworld and webshop"),
    ],
)
def test_a_task_without_a_published_score_is_refused_before_anything_is_played(
    empo2: Empo2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = empo2("eval", "--task", task, "--compare-paper")
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.env
def test_a_whole_evaluation_beside_the_paper(
    empo2: Empo2, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = (
        "eval", "--task", "find-plant", "--variations", "2", "--model", str(tiny_model_dir),
        "--set", "episode.max_steps=1", "--set", "evaluate.concurrency=1",
        "--preset", "paper-scienceworld", "--set", "evaluate.repeats=1",
    )  # fmt: skip
    beside = empo2(*asked, "--compare-paper", "--json", "--run-dir", "one")
    assert beside.code == 0, beside.err
    document = json.loads(beside.out)
    assert [row["what"] for row in document["paper"]["differences"]] == [
        "evaluate.variations", "evaluate.repeats", "model.name",
        "episode.max_steps", "episode.max_prompt_tokens",
    ]  # fmt: skip
    assert document["paper"]["published"]["EMPO²"]["score"] == 100.0
    recorded = json.loads(Path("one/run.json").read_text("utf-8"))
    assert "paper" not in recorded["result"]
    for_people = empo2(*asked, "--compare-paper")
    assert f"this run          {document['score']['mean']:5.1f}" in for_people.out
    assert "paper" not in json.loads(empo2(*asked, "--json").out)
