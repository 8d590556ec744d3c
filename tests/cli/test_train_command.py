"""`empo2 train` as typed, on real parts: a tiny model, the red lamp, Chroma, MiniLM."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Empo2, Outcome

DOCUMENT = {
    "run", "tasks", "model", "algorithm", "steps", "episodes", "dropped", "skipped_updates",
    "first10_score", "last10_score", "rolled_back", "best_checkpoint", "checkpoints",
}  # fmt: skip
ESTIMATE = {
    "tasks", "model", "algorithm", "settings", "steps", "episodes_per_step", "episodes", "tokens",
    "memory",
}  # fmt: skip
PROMPTS = ("--set", "episode.max_prompt_tokens=3000")
FEW = (
    *("--steps", "2", "--max-steps", "2", *PROMPTS),
    *("--set", "train.group_size=2", "--set", "train.variations=2"),
    *("--set", "train.checkpoint_every=1"),
)
TIPS = ("--set", "memory.max_tip_tokens=8")
Train = Callable[..., Outcome]


@pytest.fixture
def train(
    empo2: Empo2, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Train:
    """`empo2 train --task red-lamp` in an empty folder, with the tiny model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMPO2_DATA", str(tmp_path / "data"))
    always = ("--task", "red-lamp", "--model", str(tiny_model_dir))
    return lambda *more: empo2("train", *always, *more)


def test_json_is_as_documented_and_lines_are_for_people(train: Train, tiny_model_dir: Path) -> None:
    done = train(*FEW, *TIPS, "--json", "--run-dir", "r")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert document.keys() == DOCUMENT
    assert (document["steps"], document["episodes"], document["dropped"]) == (2, 4, 0)
    assert document["tasks"] == ["toy/red-lamp/0", "toy/red-lamp/1"]
    assert document["checkpoints"] == [f"r/checkpoints/step-00000{n}" for n in (1, 2)]
    recorded = json.loads(Path("r/run.json").read_text())
    assert (recorded["status"], recorded["result"]) == ("done", document)
    assert re.search(r"^step 2/2 [a-z+-]+: score ", done.err, re.MULTILINE)
    said = train(*FEW, "--algorithm", "grpo", "--quiet")
    assert (said.code, said.err) == (0, "")
    assert "4 episodes, 0 dropped; 0 updates skipped as not finite" in said.out


@pytest.mark.slow
def test_what_came_out_is_what_model_takes(empo2: Empo2, train: Train) -> None:
    """A run and a checkpoint: to adapt with, evaluate, play, and train on."""
    done = train(*FEW, *TIPS, "--run-dir", "r")
    assert done.code == 0, done.err
    few = ("--max-steps", "2")
    checkpoint = "r/checkpoints/step-000001"
    for model in ("r", checkpoint):
        again = empo2("eval", "--task", "red-lamp", "--model", model, "--variations", "1", *few,
                      "--json")  # fmt: skip
        assert again.code == 0, again.err
        assert json.loads(again.out)["model"] == model
    adapted = empo2("adapt", "--task", "red-lamp", "--model", "r", "--trials", "1", *few, *TIPS)
    assert adapted.code == 0, adapted.err
    for dry in (["--dry-run"], []):
        other = empo2("train", "--task", "red-lamp", "--model", "r", *FEW, *TIPS, *dry,
                      "--set", "learner.lora_rank=4")  # fmt: skip
        assert (other.code, len(other.err.splitlines())) == (2, 1)
        assert "the adapter that training goes on with has 8" in other.err
    more = empo2("train", "--task", "red-lamp", "--model", checkpoint, *FEW, *TIPS, "--json",
                 "--run-dir", "more")  # fmt: skip
    assert more.code == 0, more.err
    rank = {
        json.loads((Path(folder) / "adapter_config.json").read_text())["r"]
        for folder in (checkpoint, "more/checkpoints/step-000002")
    }
    assert rank == {8}
    full = empo2("train", "--task", "red-lamp", "--model", "more", *FEW, "--algorithm", "grpo",
                 "--set", "learner.lora_rank=0", "--run-dir", "full")  # fmt: skip
    assert full.code == 0, full.err
    assert Path("full/checkpoints/step-000002/model.safetensors").exists()
    played = empo2("eval", "--task", "red-lamp", "--model", "full", "--variations", "1", *few)
    assert played.code == 0, played.err


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--set", "train.grup_size=4"], "Did you mean train.group_size?"),
        (["--set", "train.group_size=1"], "greater than or equal to 2"),
        (["--algorithm", "emp2"], "train.algorithm"),
        (["--set", "adapt.trials=3"], "has no effect on this command"),
        (["--algorithm", "grpo", "--set", "memory.max_tips=3"], "has no effect"),
        (["--algorithm", "reflexion", "--set", "learner.lora_rank=4"], "has no effect"),
        (["--set", "explore.write_tips=false"], "explore.tips_share shows tips"),
        (["--task", "find-animal"], "one run trains in one environment"),
        (["--split", "trian"], "there is no split"),
        (["--resume", "r"], "give nothing else"),
        (["--steps", "-1"], "--steps"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else None,
)
def test_wrong_usage_is_told_in_two_lines_and_leaves_nothing(
    train: Train, tmp_path: Path, wrong: list[str], said: str
) -> None:
    ended = train(*wrong)
    assert ended.code == 2, ended.err
    assert said.lower() in ended.err.lower()
    assert len(ended.err.splitlines()) <= 2
    assert ended.out == ""
    assert not list(tmp_path.iterdir())


def test_without_a_task_and_with_a_run_of_another_command(empo2: Empo2, train: Train) -> None:
    none = empo2("train", "--steps", "1")
    assert (none.code, "empo2 train --task NAME" in none.err) == (2, True)
    assert train(*FEW, "--algorithm", "grpo", "--run-dir", "r").code == 0
    over = empo2("train", "--resume", "r")
    assert (over.code, "is complete" in over.err) == (1, True)


def test_a_dry_run_says_what_it_would_do_and_makes_nothing(train: Train, tmp_path: Path) -> None:
    dry = train(*FEW, *TIPS, "--dry-run")
    assert dry.code == 0, dry.err
    assert not list(tmp_path.iterdir())
    lines = dry.out.splitlines()
    assert "  train.steps = 2 (flag)" in lines
    assert "  train.group_size = 2 (--set)" in lines
    assert "plays: toy/red-lamp (2 variations), split train" in lines
    assert "  2 steps of 1 x 2 episodes: 4 episodes of at most 2 turns" in lines
    assert any(line.startswith("memory: about ") for line in lines)
    document = json.loads(train(*FEW, *TIPS, "--dry-run", "--json").out)
    assert document.keys() == ESTIMATE
    assert document["settings"]["train.steps"] == {"value": 2, "origin": "flag"}
    [memory] = document["memory"]
    assert memory["needed"] == pytest.approx(sum(memory["needs"].values()))
    assert 0 < memory["needed"] < memory["free"]


@pytest.mark.slow
def test_the_lengths_a_dry_run_tells_are_those_of_the_run(train: Train) -> None:
    more = (*FEW, *TIPS, "--set", "explore.tips_share=0")
    told = json.loads(train(*more, "--dry-run", "--json").out)["tokens"]
    assert train(*more, "--run-dir", "r").code == 0
    lines = [json.loads(line) for line in Path("r/episodes.jsonl").read_text().splitlines()]
    first = [line for line in lines if line["task"]["variation"] == 0]
    assert {line["steps"][0]["prompt_tokens"] for line in first} == {told["first_prompt"]}
    longest = max(sum(len(s["token_ids"]) for s in line["segments"]) for line in lines)
    assert told["episode"] == pytest.approx(longest, rel=0.25)
    assert "counted by the tokenizer" in told["basis"]


@pytest.mark.parametrize("dry", [["--dry-run"], []], ids=["dry run", "run"])
@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        (
            ["--set", "train.group_size=20000", "--set", "learner.tokens_per_batch=100000000",
             "--set", "train.concurrency=1"],
            4,
            r"training takes about \d+ GB of memory, and [\d.]+ GB are free: activations \d+",
        ),
        (["--set", "episode.max_prompt_tokens=100"], 2, r"more than episode\.max_prompt_tokens"),
    ],
    ids=["memory", "prompt"],
)  # fmt: skip
def test_what_cannot_fit_is_refused_before_anything_is_made(
    train: Train, tmp_path: Path, dry: list[str], asked: list[str], code: int, said: str
) -> None:
    ended = train(*asked, *dry)
    assert ended.code == code, ended.err
    [error] = re.findall(r"^error: .*(?:\n.*)?", ended.err, re.MULTILINE)
    assert re.search(said, error)
    if code == 4:
        assert "Set learner.tokens_per_batch=50000000" in error
    assert not list(tmp_path.iterdir())


def test_warm_start_imitates_before_the_first_step(train: Train) -> None:
    few = (*PROMPTS, *TIPS, "--set", "train.variations=2", "--set", "warm.epochs=1")
    done = train(*few, "--steps", "0", "--warm-start", "gold", "--run-dir", "w", "--json")
    assert done.code == 0, done.err
    assert "6 solved and 2 begun episodes imitated" in done.err
    assert json.loads(done.out)["checkpoints"] == ["w/checkpoints/step-000000"]
    again = train(*FEW, *TIPS, "--warm-start", "w", "--run-dir", "x")
    assert again.code == 2
    assert again.err.endswith("w has no successful episode to imitate.\n")


def test_a_warm_start_from_no_run_is_refused_before_anything_is_made(train: Train) -> None:
    done = train(*FEW, *TIPS, "--warm-start", "golf", "--run-dir", "y")
    assert done.code == 2
    assert done.err.startswith("error: there is no run 'golf', here or in runs.")
    assert not Path("y").exists()


def test_after_a_warm_start_the_kl_term_compares_with_what_it_left(train: Train) -> None:
    kl = ("--set", "loss.kl_coefficient=0.1", "--set", "learner.learning_rate=0.01")
    done = train(*FEW, *TIPS, *kl, "--warm-start", "gold", "--run-dir", "k")
    assert done.code == 0, done.err
    first, second = (json.loads(line) for line in Path("k/metrics.jsonl").read_text().splitlines())
    assert abs(first["kl"]) < 1e-9
    assert second["kl"] > 1e-6
