import json
from dataclasses import replace
from pathlib import Path

import pytest

from empo2_agent.runs import Run, create_run
from empo2_agent.types import Segment
from tests.cli.conftest import Empo2
from tests.runs.samples import make_episode, make_step, make_tip

HOSTILE = "[bold]act[/bold] \x1b]0;title\x07\x1b[31mred\u202e :smile:"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A finished run of two episodes, in `tmp_path/runs`."""
    made = create_run("adapt", "red-lamp", settings={}, origins={}, seed=3, root=tmp_path / "runs")
    made.add_episode(make_episode(), trial=0)
    made.add_episode(make_episode(tip=HOSTILE, error="", final_observation=HOSTILE), trial=1)
    made.add_tip(make_tip())
    made.finish("done")
    return made


def test_list(run: Run, empo2: Empo2) -> None:
    (run.path.parent / "damaged").mkdir()
    (run.path.parent / "damaged" / "run.json").write_text("{", "utf-8")
    shown = empo2("runs", "list", "--root", str(run.path.parent))
    assert (shown.code, shown.err) == (0, "")
    lines = shown.out.splitlines()
    assert lines[0].split() == ["run", "command", "status", "started", "episodes"]
    row = next(line for line in lines if line.startswith(run.name)).split()
    assert (row[1], row[2], row[4]) == ("adapt", "done", "2")
    assert any("unreadable" in line for line in lines)
    assert "run.json is damaged" in lines[-1]


def test_list_json(run: Run, empo2: Empo2) -> None:
    entries = json.loads(empo2("runs", "list", "--json", "--root", str(run.path.parent)).out)[
        "runs"
    ]
    assert [(e["run"], e["status"], e["episodes"], e["error"]) for e in entries] == [
        (run.name, "done", 2, None)
    ]


def test_list_nothing(tmp_path: Path, empo2: Empo2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert empo2("runs", "list").out == "There are no runs in runs.\n"
    assert empo2("runs", "list", "--json").out == '{"runs": []}\n'


def test_show_finds_a_run_by_path_and_by_name(
    run: Run, empo2: Empo2, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_path = empo2("runs", "show", str(run.path))
    assert by_path.code == 0
    assert by_path.out.startswith(f"{run.name}: done\n  command: adapt\n")
    monkeypatch.chdir(run.path.parents[1])
    assert empo2("runs", "show", run.name).out == by_path.out
    wrong = empo2("runs", "show", run.name + "x")
    assert wrong.code == 2
    assert f"Did you mean {run.name}" in wrong.err


def test_show_prints_the_episodes(run: Run, empo2: Empo2) -> None:
    shown = empo2("runs", "show", str(run.path))
    table = shown.out.splitlines()[-3:]
    assert table[0].split() == [
        *("episode", "trial", "task", "seed", "memory", "status"),
        *("score", "steps", "tips_shown", "seconds", "tip"),
    ]
    assert table[1].split()[:9] == [
        *("0", "0", "toy/red-lamp/2", "7", "True", "success", "1.0", "2", "1"),
    ]
    document = json.loads(empo2("runs", "show", str(run.path), "--json").out)
    assert document["status"] == "done"
    assert [row["trial"] for row in document["episodes"]] == [0, 1]


def test_show_prints_the_steps_with_the_tips_that_stood_in_the_prompt(
    run: Run, empo2: Empo2
) -> None:
    shown = empo2("runs", "show", str(run.path), "--episode", "0").out
    first, second = shown.split("--- step 1 ---")
    assert "You are in the hall." in first
    assert "> look" in first
    assert "tip" not in first
    assert "tip tip-1 (similarity 0.75, score 1)" in second
    assert "in the prompt: The lamp is in the attic." in second
    assert "> go to attic" in second
    assert "reward 1, log-probability -0.25" in second
    assert second.endswith("There is a red lamp.\ntip written: Go up at once.\n")
    document = json.loads(empo2("runs", "show", str(run.path), "--episode", "1", "--json").out)
    assert (document["trial"], document["tip"]) == (1, HOSTILE)


def test_text_of_the_world_is_shown_without_effect(run: Run, empo2: Empo2) -> None:
    for arguments in ([], ["--episode", "1"]):
        shown = empo2("runs", "show", str(run.path), *arguments).out
        assert "[bold]act[/bold] red :smile:" in shown
        assert "\x1b" not in shown
        assert "\u202e" not in shown


def test_no_such_episode(run: Run, empo2: Empo2) -> None:
    shown = empo2("runs", "show", str(run.path), "--episode", "2")
    assert shown.code == 2
    assert shown.err == f"error: {run.name} has 2 finished episodes, numbered from 0: no 2.\n"


def test_a_damaged_run(run: Run, empo2: Empo2) -> None:
    (run.path / "episodes.jsonl").write_text("nonsense\n", "utf-8")
    shown = empo2("runs", "show", str(run.path))
    assert shown.code == 1
    assert "line 1, is damaged" in shown.err


def test_a_tip_is_listed_at_the_step_that_brought_it(run: Run, empo2: Empo2) -> None:
    episode = make_episode()
    later = make_step(observation="A red lamp.", prompt_tokens=10, action="wait", reply="wait")
    more = (*episode.segments, Segment("prompt", "A red lamp.", (14,)))
    run.add_episode(replace(episode, steps=(*episode.steps, later), segments=more))
    shown = empo2("runs", "show", str(run.path), "--episode", "2").out
    assert shown.count("in the prompt: The lamp is in the attic.") == 1
    assert shown.index("in the prompt:") < shown.index("--- step 2 ---")
