"""`empo2 tips`, on a real memory with the real embedding model."""

import io
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from empo2_agent.memory.chroma import ChromaTips
from empo2_agent.memory.embedding import MiniLM
from empo2_agent.memory.rows import to_line
from empo2_agent.types import Tip
from tests.cli.conftest import Empo2
from tests.memory.helpers import make_tip

KITCHEN = "You are in the kitchen. You see a stove, a fridge and a cupboard."
CELLAR = "You are in the dark cellar. There are stone walls and a wooden crate."

TIPS = [
    make_tip("run-a/0/1", text="Open the cupboard first.", key=KITCHEN, score=0.5),
    make_tip("run-a/0/2", text="open the cupboard, first", key=KITCHEN + " A table.", score=0.25),
    make_tip("run-a/0/3", text="The crate is empty.", key=CELLAR, score=1.0),
    make_tip("run-b/0/1", text="Wait for the water to boil.", key=KITCHEN, task="boil", score=0.0),
]


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM()


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The user's data folder."""
    monkeypatch.setenv("EMPO2_DATA", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def memory(home: Path, minilm: MiniLM) -> Path:
    """The user's memory, with tips in it."""
    with ChromaTips(home / "memory", minilm) as opened:
        opened.add(TIPS)
    return home / "memory"


def stored(folder: Path) -> list[Tip]:
    with ChromaTips(folder, MiniLM()) as opened:
        return opened.tips()


def answer(empo2: Empo2, *arguments: str) -> Any:
    done = empo2("tips", *arguments, "--json")
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def test_list(memory: Path, empo2: Empo2) -> None:
    lines = empo2("tips", "list").out.splitlines()
    assert lines[0].split() == ["id", "task", "score", "created", "tip"]
    assert [line.split()[0] for line in lines[1:]] == [tip.id for tip in TIPS]
    assert answer(empo2, "list") == {"memory": str(memory), "tips": [asdict(tip) for tip in TIPS]}
    boil = answer(empo2, "list", "--task", "toy2/boil")["tips"]
    assert boil == []


def test_list_of_a_task_that_is_not_installed(tmp_path: Path, minilm: MiniLM, empo2: Empo2) -> None:
    folder = str(tmp_path / "elsewhere")
    with ChromaTips(Path(folder), minilm) as opened:
        opened.add(
            [make_tip("a", environment="gone"), make_tip("b", environment="gone", variation=7)]
        )
    for task, ids in {"gone/red-lamp": ["a", "b"], "gone/red-lamp/7": ["b"]}.items():
        found = answer(empo2, "list", "--memory", folder, "--task", task)["tips"]
        assert [tip["id"] for tip in found] == ids


def test_the_first_list_of_a_new_user_makes_nothing(home: Path, empo2: Empo2) -> None:
    done = empo2("tips", "list")
    assert (done.code, done.err) == (0, "")
    assert "There are no tips" in done.out
    assert answer(empo2, "list")["tips"] == []
    assert answer(empo2, "search", "a room", "--task", "toy/red-lamp")["tips"] == []
    assert empo2("tips", "export", "-").out == ""
    assert empo2("tips", "show", "run").code == 2
    assert not home.exists()


def test_search(memory: Path, empo2: Empo2) -> None:
    question = "This is the kitchen. You see a stove and a cupboard."
    found = answer(empo2, "search", question, "--task", "toy/red-lamp")
    assert (found["key"], found["task"].rpartition("/")[0]) == (question, "toy/red-lamp")
    assert [tip["id"] for tip in found["tips"]] == ["run-a/0/1"]
    assert found["tips"][0]["similarity"] > 0.5
    lines = empo2("tips", "search", question, "--task", "toy/red-lamp").out.splitlines()
    assert "run-a/0/1" in lines[1]
    none = empo2("tips", "search", "Stars and moons.", "--task", "toy/red-lamp")
    assert none.code == 0
    assert "No tip" in none.out


def test_explain_says_what_became_of_every_tip(memory: Path, empo2: Empo2) -> None:
    arguments = ["search", KITCHEN, "--task", "toy/red-lamp", "--explain"]
    outcomes = {
        one["id"]: (one["outcome"], one["rank"], one["copy_of"])
        for one in answer(empo2, *arguments)["candidates"]
    }
    assert outcomes == {
        "run-a/0/1": ("kept", 1, None),
        "run-a/0/2": ("copy", 2, "run-a/0/1"),
        "run-a/0/3": ("below_floor", None, None),
    }
    lowered = answer(empo2, *arguments, "--set", "memory.threshold=-1")["candidates"]
    assert [(one["id"], one["outcome"]) for one in lowered] == [
        ("run-a/0/3", "kept"),
        ("run-a/0/1", "kept"),
        ("run-a/0/2", "copy"),
    ]
    limited = answer(empo2, *arguments, "--set", "memory.max_tips=1", "-s", "memory.threshold=-1")
    assert [one["outcome"] for one in limited["candidates"]] == ["kept", "over_limit", "over_limit"]
    poor = answer(empo2, *arguments, "--budget", "5")["candidates"]
    assert poor[0]["outcome"] == "over_budget"
    assert answer(empo2, *arguments, "-s", "memory.tokens_per_turn=5")["candidates"] == poor
    assert (
        "over the token budget of 5 (tokens estimated)"
        in empo2("tips", *arguments, "--budget", "5").out
    )
    shown = empo2("tips", *arguments).out
    assert "near-duplicate of run-a/0/1" in shown
    assert "below the similarity floor" in shown


def test_explain_applies_the_budget_of_a_turn(home: Path, minilm: MiniLM, empo2: Empo2) -> None:
    """The tips fill 200 tokens together, not each for itself."""
    words = ["alpha", "beta", "gamma", "delta"]
    with ChromaTips(home / "memory", minilm) as opened:
        opened.add(
            make_tip(f"run-a/0/{n}", text=f"{word} " * 50, key=KITCHEN)
            for n, word in enumerate(words)
        )
    found = answer(empo2, "search", KITCHEN, "--task", "toy/red-lamp", "--explain")
    outcomes = [one["outcome"] for one in found["candidates"]]
    assert sorted(outcomes) == ["kept", "kept", "over_budget", "over_budget"]


def test_the_state_may_come_from_stdin(
    memory: Path, empo2: Empo2, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CELLAR.encode())))
    found = answer(empo2, "search", "-", "--task", "toy/red-lamp")
    assert [tip["id"] for tip in found["tips"]] == ["run-a/0/3"]


def test_show(memory: Path, empo2: Empo2) -> None:
    assert answer(empo2, "show", "run-a/0/3")["tip"] == asdict(TIPS[2])
    assert answer(empo2, "show", "run-b")["tip"] == asdict(TIPS[3])
    assert "text: Wait for the water to boil." in empo2("tips", "show", "run-b/0/1").out
    ambiguous = empo2("tips", "show", "run-a")
    assert (ambiguous.code, ambiguous.out) == (2, "")
    assert "3 tips have ids that begin with 'run-a'" in ambiguous.err
    assert empo2("tips", "show", "run-c").err == (
        "error: no tip has the id 'run-c'. Type: empo2 tips list\n"
    )


def test_add_makes_the_memory_and_the_tip_is_found(home: Path, empo2: Empo2) -> None:
    arguments = [
        "add",
        "Look  behind\nthe \x1b[31mdoor.",
        "--task",
        "toy/red-lamp",
        "--key",
        CELLAR,
    ]
    added = answer(empo2, *arguments, "--action", "go east")
    assert added["added"] == 1
    [tip] = stored(home / "memory")
    assert (tip.id, tip.text, tip.key, tip.action) == (
        added["id"],
        "Look behind the door.",
        CELLAR,
        "go east",
    )
    assert (tip.run, tip.score, tip.max_score, tip.environment) == ("manual", 1.0, 1.0, "toy")
    found = answer(empo2, "search", CELLAR, "--task", "toy/red-lamp")["tips"]
    assert [one["id"] for one in found] == [tip.id]
    again = answer(empo2, *arguments)
    assert (again["added"], again["id"]) == (0, None)
    assert stored(home / "memory") == [tip]


def test_add_without_a_key_says_so(home: Path, empo2: Empo2) -> None:
    done = empo2("tips", "add", "Breathe.", "--task", "toy/red-lamp/2", "--score", "0.25")
    assert done.code == 0
    assert "Give --key" in done.err
    [tip] = stored(home / "memory")
    assert (done.out, tip.key, tip.score, tip.variation) == (f"{tip.id}\n", "Breathe.", 0.25, 2)
    assert empo2("tips", "add", "Breathe!", "--task", "toy/red-lamp", "--quiet").err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x", "--task", "toy/red-lamp", "--score", "nan"], "no number that tips can be ordered"),
        ([" \x00 ", "--task", "toy/red-lamp"], "no text"),
        (["x", "--task", "toy/red-limp"], "Did you mean red-lamp"),
        (["x", "--task", "gone/red-lamp"], "gone"),
        (["x", "--task", "toy/red-lamp", "--memory", "none"], "name a folder"),
        (["x", "--task", "toy/red-lamp", "--memory", "ftp://host"], "cannot read the memory"),
    ],
)
def test_what_cannot_be_added(home: Path, empo2: Empo2, arguments: list[str], message: str) -> None:
    done = empo2("tips", "add", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert not home.exists()


def test_remove(memory: Path, empo2: Empo2) -> None:
    ambiguous = empo2("tips", "remove", "run-b", "run-a")
    assert ambiguous.code == 2
    assert stored(memory) == TIPS
    assert answer(empo2, "remove", "run-b", "run-a/0/2")["ids"] == ["run-b/0/1", "run-a/0/2"]
    assert [tip.id for tip in stored(memory)] == ["run-a/0/1", "run-a/0/3"]


def test_a_folder_without_memory_is_not_made_into_one(tmp_path: Path, empo2: Empo2) -> None:
    folder = tmp_path / "typo"
    for command in (["list"], ["remove", "x"], ["show", "x"], ["export", "-"]):
        done = empo2("tips", *command, "--memory", str(folder))
        assert (done.code, done.out) == (1, "")
        assert f"there is no tip memory in {folder}" in done.err
        assert not folder.exists()


def test_export_and_import_move_tips_without_loss(
    memory: Path, tmp_path: Path, empo2: Empo2
) -> None:
    file, other = tmp_path / "tips.jsonl", tmp_path / "other"
    assert answer(empo2, "export", str(file))["exported"] == 4
    assert file.read_text() == empo2("tips", "export", "-").out
    exists = empo2("tips", "export", str(file))
    assert (exists.code, "exists already" in exists.err) == (2, True)
    arguments = ["import", str(file), "--memory", str(other)]
    assert answer(empo2, *arguments) == {"memory": str(other), "read": 4, "added": 4}
    assert answer(empo2, *arguments)["added"] == 0
    assert stored(other) == TIPS
    question = ["search", CELLAR, "--task", "toy/red-lamp"]
    here, there = (answer(empo2, *question, *more) for more in ([], ["--memory", str(other)]))
    assert here["tips"] == there["tips"]


def test_import_from_stdin_keeps_to_the_cap(
    home: Path, empo2: Empo2, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "\n".join(to_line(tip) for tip in TIPS) + "\n\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    assert answer(empo2, "import", "-", "--set", "memory.capacity=2")["read"] == 4
    assert [tip.id for tip in stored(home / "memory")] == ["run-a/0/2", "run-a/0/3", "run-b/0/1"]


def test_import_is_all_or_nothing(tmp_path: Path, home: Path, empo2: Empo2) -> None:
    file = tmp_path / "tips.jsonl"
    file.write_text(to_line(TIPS[0]) + "\n" + to_line(TIPS[1])[:-9] + "\n")
    done = empo2("tips", "import", str(file))
    assert (done.code, done.out) == (2, "")
    assert f"{file}: line 2 is no tip" in done.err
    assert not home.exists()
    file.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in empo2("tips", "import", str(file)).err
    assert "cannot read" in empo2("tips", "import", str(tmp_path / "missing")).err


@pytest.mark.parametrize(
    ("command", "pair"),
    [
        (["search", "x", "--task", "toy/red-lamp"], "memory.capacity=5"),
        (["search", "x", "--task", "toy/red-lamp"], "seed=5"),
        (["import", "missing.jsonl"], "memory.threshold=0.1"),
    ],
)
def test_a_setting_without_effect_is_an_error(
    home: Path, empo2: Empo2, command: list[str], pair: str
) -> None:
    done = empo2("tips", *command, "--set", pair)
    assert done.code == 2
    assert "has no effect on this command" in done.err


def test_a_budget_needs_explain(empo2: Empo2) -> None:
    asked = ("tips", "search", "x", "--task", "toy/red-lamp")
    for more in (["--budget", "5"], ["--set", "memory.tokens_per_turn=5"]):
        assert empo2(*asked, *more).code == 2
    twice = empo2(*asked, "--explain", "--budget", "5", "--set", "memory.tokens_per_turn=6")
    assert "memory.tokens_per_turn is given twice" in twice.err


def test_a_memory_in_use_is_one_clear_line(memory: Path, minilm: MiniLM, empo2: Empo2) -> None:
    with ChromaTips(memory, minilm):
        done = empo2("tips", "list")
    assert (done.code, done.out) == (1, "")
    assert "is in use by this process" in done.err
    assert len(done.err.splitlines()) <= 2


def test_what_a_tip_says_cannot_drive_the_terminal(
    home: Path, minilm: MiniLM, empo2: Empo2
) -> None:
    with ChromaTips(home / "memory", minilm) as opened:
        opened.add([make_tip("a", text="[bold]red[/bold] \x1b[2J\x9b31m tip\u202e", key=KITCHEN)])
    for command in (["list"], ["show", "a"], ["search", KITCHEN, "--task", "toy/red-lamp"]):
        out = empo2("tips", *command).out
        assert "[bold]red[/bold]" in out
        assert not {"\x1b", "\x9b", "\u202e"} & set(out)


def test_every_command_has_an_example(empo2: Empo2) -> None:
    for command in ("list", "search", "show", "add", "remove", "export", "import"):
        assert f"empo2 tips {command}" in empo2("tips", command, "--help").out
