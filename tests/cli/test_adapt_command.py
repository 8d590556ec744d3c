"""`empo2 adapt` as typed, on real parts: a tiny model, the red lamp, Chroma, MiniLM."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Empo2, Outcome

ROW = {
    "trial", "memory", "score", "success", "steps", "tips_shown", "tips_written", "seconds", "statuses",
}  # fmt: skip
DOCUMENT = {
    "run", "task", "model", "engine", "trials", "control", "baseline_score", "last3_score",
    "gain_over_control", "memory",
}  # fmt: skip
Adapt = Callable[..., Outcome]


@pytest.fixture
def adapt(
    empo2: Empo2, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Adapt:
    """`empo2 adapt` in an empty folder, with the tiny model and little to say."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMPO2_DATA", str(tmp_path / "data"))
    always = (
        "--model",
        str(tiny_model_dir),
        "--max-steps",
        "3",
        "--set",
        "memory.max_tip_tokens=8",
    )
    return lambda *more: empo2("adapt", *always, *more)


def test_json_is_as_documented(adapt: Adapt) -> None:
    done = adapt("--task", "red-lamp", "--trials", "2", "--control", "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert document.keys() == DOCUMENT
    assert [row["trial"] for row in document["trials"]] == [0, 1, 2]
    assert [row["memory"] for row in document["trials"]] == [False, True, True]
    assert [(row["trial"], row["memory"]) for row in document["control"]] == [
        (1, False),
        (2, False),
    ]
    assert all(row.keys() == ROW for row in (*document["trials"], *document["control"]))
    assert document["gain_over_control"].keys() == {"mean", "ci95"}
    assert document["memory"]["tips_after"] >= document["memory"]["tips_before"] == 0
    assert (document["task"], document["engine"]) == ("toy/red-lamp/15", "transformers")
    recorded = json.loads((Path(document["run"]) / "run.json").read_text())
    assert (recorded["status"], recorded["result"]) == ("done", document)


def test_what_earlier_runs_left_is_read_and_fresh_leaves_it_alone(adapt: Adapt) -> None:
    first = json.loads(adapt("--task", "red-lamp", "--trials", "1", "--json").out)
    kept = first["memory"]["tips_after"]
    assert kept > 0
    fresh = json.loads(adapt("--task", "red-lamp", "--trials", "1", "--fresh", "--json").out)
    assert fresh["memory"]["tips_before"] == 0
    assert fresh["memory"]["path"].startswith(fresh["run"])
    again = adapt("--task", "red-lamp", "--trials", "1")
    assert f"memory: {kept} tips of this task" in again.err


def test_for_people_there_is_a_line_a_trial_a_curve_and_a_summary(adapt: Adapt) -> None:
    done = adapt("--task", "red-lamp", "--trials", "2", "--control")
    assert done.code == 0, done.err
    assert "trial 2/2: score" in done.err
    assert "score by trial" in done.out
    assert "gain over the control arm: " in done.out
    assert "recorded in runs/" in done.out
    assert "\x1b" not in done.out


def test_quiet_leaves_the_result(adapt: Adapt) -> None:
    done = adapt("--task", "red-lamp", "--trials", "1", "--quiet")
    assert (done.code, done.err) == (0, "")
    assert "recorded in runs/" in done.out
    assert "trial 1/1" not in done.out


def test_one_trial_has_no_interval_of_the_gain(adapt: Adapt) -> None:
    done = adapt("--task", "red-lamp", "--trials", "1", "--control", "--json")
    gain = json.loads(done.out)["gain_over_control"]
    assert gain.keys() == {"mean", "ci95"}
    assert gain["ci95"] is None


def test_the_same_seed_gives_the_same_run(adapt: Adapt) -> None:
    def result(seed: int) -> list[object]:
        done = adapt(
            "--task", "red-lamp", "--trials", "2", "--fresh", "--json", "--seed", str(seed)
        )
        run = Path(json.loads(done.out)["run"])
        lines = (run / "episodes.jsonl").read_text().splitlines()
        return [json.loads(line)["segments"] for line in lines]

    assert result(1) == result(1)
    assert result(1) != result(2)


def test_a_complete_run_and_other_options_cannot_be_resumed(adapt: Adapt, empo2: Empo2) -> None:
    run = json.loads(adapt("--task", "red-lamp", "--trials", "1", "--json").out)["run"]
    complete = empo2("adapt", "--resume", run)
    assert (complete.code, complete.err) == (
        1,
        f"error: {run} is complete: there is nothing to resume.\n",
    )
    mixed = empo2("adapt", "--resume", run, "--trials", "3")
    assert mixed.code == 2
    assert "give nothing else" in mixed.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--task", "red-lam"], 2, "Did you mean red-lamp?"),
        (["--task", "red-lamp", "--variation", "99"], 2, "has variations 0 to 19"),
        (["--task", "red-lamp", "--split", "tset"], 2, "tset"),
        ([], 2, "no task given. Type: empo2 adapt --task"),
        (["--task", "red-lamp", "--trials", "0"], 2, "trials"),
        (["--task", "red-lamp", "--set", "memory.treshold=1"], 2, "memory.threshold"),
        (["--task", "red-lamp", "--set", "environment.speed=1"], 2, "environment.speed"),
        (["--task", "red-lamp", "--set", "evaluate.repeats=2"], 2, "evaluate.repeats"),
        (["--task", "red-lamp", "--memory", "x", "--fresh"], 2, "--fresh"),
        (["--task", "red-lamp", "--memory", "ftp://x"], 2, "ftp://x"),
        (["--task", "red-lamp", "--run-dir", "/proc/1/x"], 1, "/proc/1/x"),
        (["--task", "red-lamp", "--memory", "/proc/1/x"], 1, "/proc/1/x"),
        (["--task", "red-lamp", "--set", "sampling.max_reply_tokens=5000"], 2, "do not fit"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_one_clear_line(
    adapt: Adapt, arguments: list[str], code: int, message: str, tmp_path: Path
) -> None:
    done = adapt(*arguments)
    assert done.code == code, done.err
    assert message in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    assert not list(tmp_path.glob("runs/*"))


def test_a_control_arm_needs_a_memory_to_compare_with(empo2: Empo2) -> None:
    done = empo2("adapt", "--task", "red-lamp", "--memory", "none", "--control")
    assert (done.code, "--memory is none" in done.err) == (2, True)


def test_no_such_model(empo2: Empo2) -> None:
    done = empo2("adapt", "--task", "red-lamp", "--memory", "none", "--model", "./nowhere/model")
    assert done.code == 4
    assert "./nowhere/model" in done.err
