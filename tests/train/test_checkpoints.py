"""Checkpoints: whole or not there, loadable by others, and the disk may refuse them."""

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from empo2_agent.errors import ModelError, RunFolderError
from empo2_agent.policies.adapter import checkpoint_of, find_here, find_model
from empo2_agent.policies.transformers import load
from empo2_agent.train import checkpoints
from empo2_agent.train.loop import Event, StepOver
from tests.full_disk import files_at_most
from tests.train.running import go_on, job_of, measured, opened, run, weights

PROMPT = "You are in the kitchen."


def folders(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def write(run: Path, step: int) -> None:
    with checkpoints.writing(run, step) as folder:
        (folder / "weights").write_text(str(step))


def test_it_is_there_when_it_is_whole_and_not_before(tmp_path: Path) -> None:
    write(tmp_path, 1)
    with suppress(ZeroDivisionError), checkpoints.writing(tmp_path, 2) as folder:
        (folder / "weights").write_text("half")
        assert checkpoints.steps_saved(tmp_path) == [1]
        raise ZeroDivisionError
    assert checkpoints.steps_saved(tmp_path) == [1]
    write(tmp_path, 2)
    assert folders(tmp_path) == ["step-000001", "step-000002"]
    assert (checkpoints.folder_of(tmp_path, 2) / "weights").read_text() == "2"


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3, 10, 1_000_000):
        write(tmp_path, step)
    checkpoints.prune(tmp_path, keep_last=2, best=2)
    assert checkpoints.steps_saved(tmp_path) == [2, 10, 1_000_000]
    checkpoints.prune(tmp_path, keep_last=1, best=None)
    assert folders(tmp_path) == ["step-1000000"]


def test_what_a_crash_left_is_neither_a_checkpoint_nor_in_the_way(tmp_path: Path) -> None:
    write(tmp_path, 1)
    for name in (".new-step-000002", ".old-step-000001"):
        (tmp_path / "checkpoints" / name / "state").mkdir(parents=True)
    (tmp_path / "checkpoints" / "step-000001-copy").mkdir()
    assert checkpoints.steps_saved(tmp_path) == [1]
    (tmp_path / "checkpoints" / "step-000001" / "state").mkdir(exist_ok=True)
    (tmp_path / "checkpoints" / "step-000001" / "state" / "position.json").write_text("{}")
    assert checkpoint_of(tmp_path).name == "step-000001"
    write(tmp_path, 2)
    assert folders(tmp_path) == ["step-000001", "step-000001-copy", "step-000002"]


@pytest.mark.slow
@pytest.mark.parametrize("most", [90_000, 150_000], ids=["weights", "optimizer"])
def test_a_full_disk_costs_one_checkpoint_and_training_goes_on(
    tmp_path: Path, tiny_model_dir: Path, most: int
) -> None:
    chosen: dict[str, Any] = {"train__algorithm": "grpo", "learner__lora_rank": 0,
              "explore__intrinsic_coefficient": 1.0}  # fmt: skip
    run(tmp_path / "whole", tiny_model_dir, **chosen)
    folder = tmp_path / "r"
    with opened(job_of(folder, tiny_model_dir, **chosen)) as (_, events):
        until_saved(events)
        good = {path.name: path.read_bytes() for path in files_of(folder, 1)}
        with files_at_most(most), pytest.raises(RunFolderError) as refused:
            until_saved(events)
    said = str(refused.value)
    assert "step-000002: " in said
    assert "the last good one is step 1" in said
    assert f"empo2 train --resume {folder}" in said
    assert len(said.splitlines()) == 2
    assert folders(folder) == ["step-000001"]
    assert {path.name: path.read_bytes() for path in files_of(folder, 1)} == good
    mark_stopped(folder)
    assert [row.step for row in go_on(folder)] == [2, 3]
    assert measured(folder) == measured(tmp_path / "whole")
    assert weights(folder, 1) != weights(folder, 3) == weights(tmp_path / "whole", 3)


def until_saved(events: Iterator[Event]) -> None:
    while True:
        event = next(events)
        if isinstance(event, StepOver):
            assert event.saved
            return


def files_of(folder: Path, step: int) -> list[Path]:
    return [p for p in checkpoints.folder_of(folder, step).rglob("*") if p.is_file()]


def mark_stopped(folder: Path) -> None:
    """As the end of the process would leave it: this one, which still runs, is not its writer."""
    document = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**document, "status": "failed", "result": None}))


def test_where_no_checkpoint_can_be_written_that_is_said(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    chosen: dict[str, Any] = {"train__algorithm": "grpo", "train__group_size": 2, "train__steps": 1}
    with opened(job_of(tmp_path / "r", tiny_model_dir, **chosen)) as (_, events):
        (tmp_path / "r" / "checkpoints").write_text("a file where the folder should be")
        with pytest.raises(
            RunFolderError, match=r"cannot write the checkpoint .*; there is none yet"
        ):
            list(events)


@pytest.mark.parametrize(
    "torn",
    [
        "adapter_model.safetensors",
        *("state/position.json", "state/learner.pt", "state/novelty.npz", "state/tips.jsonl"),
    ],
)
def test_a_damaged_checkpoint_is_refused_in_one_line(
    finished: Path, tmp_path: Path, torn: str
) -> None:
    folder = tmp_path / "r"
    shutil.copytree(finished, folder)
    mark_stopped(folder)
    path = checkpoints.folder_of(folder, 3) / torn
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ModelError, match=r"the checkpoint .*step-000003 is damaged") as refused:
        go_on(folder)
    assert len(str(refused.value).splitlines()) == 1


@pytest.fixture(scope="module")
def finished(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with an adapter and tips."""
    folder = tmp_path_factory.mktemp("finished") / "r"
    run(folder, tiny_model_dir)
    return folder


def logits(model: PreTrainedModel, tokenizer: AutoTokenizer) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(**tokenizer(PROMPT, return_tensors="pt")).logits
        return found


def test_an_adapter_is_loaded_by_plain_peft(finished: Path, tiny_model_dir: Path) -> None:
    folder = checkpoints.folder_of(finished, 3)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    base = AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.float32)
    before = logits(base, tokenizer)
    theirs = logits(PeftModel.from_pretrained(base, str(folder)).eval(), tokenizer)
    files = find_model(str(folder))
    ours = load(files.folder, name="x", dtype="float32", device="cpu", adapter=files.adapter)
    ours.model.set_attn_implementation("sdpa")
    torch.testing.assert_close(theirs, logits(ours.model, tokenizer), rtol=1e-4, atol=1e-5)
    assert (theirs - before).abs().max() > 0.01


def test_full_weights_are_loaded_by_plain_transformers(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    chosen: dict[str, Any] = {"train__algorithm": "grpo", "learner__lora_rank": 0, "train__steps": 1,
              "episode__max_steps": 8, "train__group_size": 6}  # fmt: skip
    with opened(job_of(tmp_path / "r", tiny_model_dir, **chosen)) as (session, events):
        until_saved(events)
        session.parts.policy.model.set_attn_implementation("sdpa")
        tokenizer = session.parts.policy.tokenizer
        ours = logits(session.parts.policy.model, tokenizer)
    folder = checkpoints.folder_of(tmp_path / "r", 1)
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    theirs = logits(plain, AutoTokenizer.from_pretrained(folder))
    assert torch.equal(ours, theirs)
    untrained = AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.float32)
    assert (theirs - logits(untrained, tokenizer)).abs().max() > 1e-3


def test_a_run_stands_for_its_best_checkpoint_or_its_last(
    finished: Path, tmp_path: Path, tiny_model_dir: Path
) -> None:
    folder = tmp_path / "r"
    shutil.copytree(finished, folder)
    position = checkpoints.folder_of(folder, 3) / "state" / "position.json"
    state = json.loads(position.read_text())
    for best, expected in ((1, 1), (None, 3), (7, 3)):
        position.write_text(json.dumps({**state, "best_step": best}))
        for found in (find_model(str(folder)), find_here(str(folder))):
            assert found is not None
            assert found.adapter == checkpoints.folder_of(folder, expected)
            assert found.folder == tiny_model_dir
    assert find_here("nobody/such-a-model-there-is-none") is None
    shutil.rmtree(folder / "checkpoints")
    with pytest.raises(ModelError, match="has no checkpoint"):
        find_model(str(folder))
