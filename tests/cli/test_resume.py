"""Going on with a run: it plays what the first part would have played, wherever it is resumed."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Empo2

SHORT = ("--max-steps", "2", "--set", "memory.max_tip_tokens=8")


@pytest.fixture
def start(tmp_path: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the tiny model in it, where commands are typed."""
    folder = tmp_path / "start"
    folder.mkdir()
    (folder / "model").symlink_to(tiny_model_dir)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("EMPO2_DATA", "data")
    return folder


def stopped(run: Path, episodes: int) -> list[Any]:
    """Make a complete run look as if it had been killed after some episodes; all it recorded."""
    lines = (run / "episodes.jsonl").read_text().splitlines(keepends=True)
    (run / "episodes.jsonl").write_text("".join(lines[:episodes]))
    document = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**document, "status": "failed", "result": None}))
    return [json.loads(line) for line in lines]


def played(run: Path) -> list[Any]:
    """What identifies the episodes of a run."""
    lines = [json.loads(line) for line in (run / "episodes.jsonl").read_text().splitlines()]
    return [(line["task"], line["seed"], line["memory"]) for line in lines]


@pytest.mark.parametrize(
    "task",
    [
        ["red-lamp"],
        ["red-lamp", "--split", "train"],
        ["toy/red-lamp/3"],
        ["red-lamp", "--variation", "16", "--split", "test"],
    ],
    ids=" ".join,
)
def test_a_resumed_run_plays_the_very_same_tasks(
    empo2: Empo2, start: Path, task: list[str]
) -> None:
    first = empo2("adapt", "--task", *task, "--trials", "2", "--model", "model", *SHORT,
                  "--fresh", "--run-dir", "run")  # fmt: skip
    assert first.code == 0, first.err
    whole = played(Path("run"))
    stopped(Path("run"), 1)
    again = empo2("adapt", "--resume", "run")
    assert again.code == 0, again.err
    assert played(Path("run")) == whole


def test_tips_before_are_those_before_the_run_began(empo2: Empo2, start: Path) -> None:
    empo2("tips", "add", "Look in the shed.", "--task", "toy/red-lamp", "--memory", "tips")
    asked = ("adapt", "--task", "red-lamp", "--trials", "2", "--model", "model", *SHORT, "--json")
    first = json.loads(empo2(*asked, "--memory", "tips", "--run-dir", "run").out)
    assert first["memory"]["tips_before"] == 1
    assert first["memory"]["tips_after"] > 1
    stopped(Path("run"), 2)
    again = empo2("adapt", "--resume", "run", "--json")
    assert json.loads(again.out)["memory"] == first["memory"]
    assert f"memory: {first['memory']['tips_after']} tips of this task in" in again.err


@pytest.mark.parametrize("memory", [["--memory", "./tips"], [], ["--fresh"]], ids=" ".join)
def test_a_run_is_resumed_from_another_folder(
    empo2: Empo2, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: list[str]
) -> None:
    done = empo2("adapt", "--task", "red-lamp", "--trials", "2", "--model", "./model", *SHORT,
                 "--json", *memory)  # fmt: skip
    assert done.code == 0, done.err
    first = json.loads(done.out)
    stopped(Path(first["run"]), 2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMPO2_DATA", str(tmp_path / "other"))
    again = empo2("adapt", "--resume", str(start / first["run"]), "--json")
    assert again.code == 0, again.err
    second = json.loads(again.out)
    assert Path(second["memory"]["path"]) == start / first["memory"]["path"]
    assert second["memory"]["tips_after"] == first["memory"]["tips_after"]
    assert second["model"] == first["model"] == "./model"
    assert [row["score"] for row in second["trials"]] == [row["score"] for row in first["trials"]]
    assert [path.name for path in tmp_path.iterdir()] == ["start"]


def test_eval_goes_on_by_name_with_its_split_and_its_share_of_it(empo2: Empo2, start: Path) -> None:
    first = empo2("eval", "--task", "red-lamp", "--split", "train", "--variations", "3",
                  "--model", "model", "--max-steps", "2", "--json", "--run-dir", "runs/some")  # fmt: skip
    assert first.code == 0, first.err
    stopped(Path("runs/some"), 2)
    again = empo2("eval", "--resume", "some", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out) == json.loads(first.out)
    lost = empo2("eval", "--resume", "sone")
    assert (lost.code, "Did you mean some?" in lost.err) == (2, True)


def test_a_damaged_or_foreign_run_is_not_resumed(empo2: Empo2, start: Path) -> None:
    empo2("eval", "--task", "toy/red-lamp/3", "--model", "model", "--max-steps", "1",
          "--run-dir", "run")  # fmt: skip
    stopped(Path("run"), 0)
    foreign = empo2("adapt", "--resume", "run")
    assert (foreign.code, "is a run of empo2 eval, not of adapt" in foreign.err) == (1, True)
    document = json.loads(Path("run/run.json").read_text())
    for key in ("split", "memory", "model_folder", "settings", "origins"):
        torn = {name: value for name, value in document.items() if name != key}
        Path("run/run.json").write_text(json.dumps(torn))
        damaged = empo2("eval", "--resume", "run")
        assert (damaged.code, "run.json is damaged" in damaged.err) == (1, True), key
        assert len(damaged.err.splitlines()) <= 2
