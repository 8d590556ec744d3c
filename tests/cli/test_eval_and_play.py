"""`empo2 eval` and `empo2 play` as typed, with a tiny model and the red lamp."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Empo2


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_eval_json_is_as_documented(empo2: Empo2, tiny_model_dir: Path) -> None:
    done = empo2(
        "eval", "--task", "red-lamp", "--repeats", "2", "--max-steps", "2", "--json",
        "--model", str(tiny_model_dir),
    )  # fmt: skip
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert document.keys() == {
        "run", "task", "model", "split", "engine", "episodes", "score", "success", "statuses",
    }  # fmt: skip
    assert (document["task"], document["split"], document["episodes"]) == (
        "toy/red-lamp",
        "test",
        10,
    )
    assert document["success"].keys() == {"mean", "ci95"}
    assert sum(document["statuses"].values()) == 10


def test_eval_of_a_few_train_variations_for_people(empo2: Empo2, tiny_model_dir: Path) -> None:
    done = empo2(
        "eval", "--task", "red-lamp", "--split", "train", "--variations", "3", "--max-steps", "1",
        "--model", str(tiny_model_dir),
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "toy/red-lamp, split train: 3 episodes of 3 variations" in done.out
    assert "Wilson" in done.out


def test_play_shows_what_the_model_sees_and_can_be_replayed(
    empo2: Empo2, tiny_model_dir: Path
) -> None:
    live = empo2(
        "play", "--task", "toy/red-lamp/3", "--max-steps", "2", "--model", str(tiny_model_dir),
        "--run-dir", "played",
    )  # fmt: skip
    assert live.code == 0, live.err
    assert "find the red lamp and turn it on" in live.out
    assert live.out.count("log-probability") == 2
    assert "step_limit: score 0 of 1 in 2 steps" in live.out
    again = empo2("play", "--replay", "played")
    assert again.code == 0
    assert again.out.count("log-probability") == 2
    document = json.loads(empo2("play", "--replay", "played", "--episode", "0", "--json").out)
    assert document["episodes"][0]["task"]["id"] == "toy/red-lamp/3"


def test_play_shows_the_tips_it_reads(empo2: Empo2, tiny_model_dir: Path) -> None:
    added = empo2("tips", "add", "Look in the shed.", "--task", "toy/red-lamp", "--memory", "tips",
                  "--key", "You are in the hall. Your task: find the red lamp and turn it on.")  # fmt: skip
    assert added.code == 0, added.err
    done = empo2(
        "play", "--task", "toy/red-lamp/3", "--max-steps", "1", "--model", str(tiny_model_dir),
        "--memory", "tips",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "Tips from earlier episodes:" in done.out
    assert done.out.count("Look in the shed.") == 2  # as found, and in the prompt


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--replay", "nowhere"], "nowhere is no run folder"),
        (["--task", "red-lamp", "--episode", "1"], "--episode goes with --replay"),
        (["--replay", "x", "--task", "red-lamp"], "give nothing but --episode"),
        ([], "no task given"),
    ],
)
def test_play_refuses_what_makes_no_sense(empo2: Empo2, arguments: list[str], message: str) -> None:
    done = empo2("play", *arguments)
    assert done.code in (1, 2)
    assert message in done.err
