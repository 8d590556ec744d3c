"""`empo2 eval` and `empo2 play` as typed, with a tiny model and the red lamp."""

import json
from io import StringIO
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
        (["--replay", "nowhere"], "there is no run 'nowhere', here or in runs"),
        (["--task", "red-lamp", "--episode", "1"], "--episode goes with --replay"),
        (["--replay", "x", "--task", "red-lamp"], "give nothing but --episode"),
        (["--replay", "x", "--variation", "0"], "give nothing but --episode"),
        (["--replay", "x", "--run-dir", "y"], "give nothing but --episode"),
        (["--replay", "x", "--preset", "paper-scienceworld"], "give nothing but --episode"),
        (["--replay", "x", "--config", "y"], "give nothing but --episode"),
        (["--replay", "x", "--set", "seed=1"], "give nothing but --episode"),
        ([], "no task given. Type: empo2 play --task"),
    ],
)
def test_play_refuses_what_makes_no_sense(empo2: Empo2, arguments: list[str], message: str) -> None:
    done = empo2("play", *arguments)
    assert done.code in (1, 2)
    assert message in done.err


@pytest.mark.parametrize("command", ["eval", "play"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "memory.threshold=0.3"], "memory.threshold (--set) has no effect: no --memory"),
        (["--memory", "x", "--set", "memory.key=step"], "memory.key (--set) has no effect"),
        (["--memory", "x", "--set", "memory.capacity=5"], "memory.capacity (--set) has no effect"),
        (["--memory", "x", "--set", "memory.max_tip_tokens=9"], "memory.max_tip_tokens (--set)"),
        (["--set", "adapt.fresh=true"], "adapt.fresh (--set) has no effect"),
    ],
)
def test_settings_without_effect_are_refused(
    empo2: Empo2, command: str, arguments: list[str], message: str
) -> None:
    done = empo2(command, "--task", "red-lamp", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


@pytest.mark.parametrize("asked", [["--variations", "5"], ["--set", "evaluate.variations=5"]])
def test_a_single_variation_cannot_be_cut_to_the_first_five(empo2: Empo2, asked: list[str]) -> None:
    done = empo2("eval", "--task", "toy/red-lamp/3", *asked)
    assert done.code == 2
    assert "--task names a single variation" in done.err
    assert "empo2 eval --task" in empo2("eval").err


@pytest.mark.parametrize("command", ["eval", "play"])
def test_tips_are_not_read_from_where_none_are(
    empo2: Empo2, command: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    asked = (
        command,
        "--task",
        "toy/red-lamp/3",
        "--max-steps",
        "1",
        "--model",
        str(tiny_model_dir),
    )
    typo = empo2(*asked, "--memory", "./typo")
    assert (typo.code, typo.err) == (
        1,
        f"error: there is no tip memory in {tmp_path / 'typo'}.\n",
    )
    assert list(tmp_path.iterdir()) == []
    empo2("tips", "add", "Look in the shed.", "--task", "toy/red-lamp", "--memory", "tips")
    found = empo2(*asked, "--memory", "tips")
    assert found.code == 0, found.err
    assert f"memory: 1 tips of this task in {tmp_path / 'tips'}\n" in found.err


def test_eval_names_the_variation_where_it_is_the_only_one(
    empo2: Empo2, tiny_model_dir: Path
) -> None:
    asked = ("eval", "--max-steps", "1", "--model", str(tiny_model_dir))
    alone = json.loads(empo2(*asked, "--task", "toy/red-lamp/3", "--json").out)
    assert (alone["task"], alone["episodes"]) == ("toy/red-lamp/3", 1)
    assert alone["score"] == {"mean": 0.0, "ci95": None}
    assert len(alone["success"]["ci95"]) == 2
    for_people = empo2(*asked, "--task", "toy/red-lamp", "--variations", "1", "--quiet")
    assert "toy/red-lamp/15, split test: 1 episodes of 1 variations" in for_people.out
    assert for_people.err == ""


def test_a_run_is_replayed_by_its_name_until_ctrl_d(
    empo2: Empo2, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "runs" / "one"
    live = empo2(
        "play", "--task", "toy/red-lamp/3", "--max-steps", "2", "--model", str(tiny_model_dir),
        "--run-dir", str(folder),
    )  # fmt: skip
    assert live.code == 0, live.err
    assert empo2("play", "--replay", "one").out == empo2("play", "--replay", str(folder)).out
    near = empo2("play", "--replay", "oen")
    assert (near.code, "Did you mean one?" in near.err) == (2, True)
    typed = StringIO("\n")  # Enter once, then the end of input
    monkeypatch.setattr(typed, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", typed)
    walked = empo2("play", "--replay", "one")
    assert (walked.code, walked.err) == (0, "")
    assert walked.out.count("log-probability") == 2
    assert walked.out.endswith("q: quit \n")
