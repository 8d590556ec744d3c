"""Mistakes put into the code one at a time: each must turn the fast tests red.

A mutant is one replacement in a copy of the tree. Text that is not found exactly once is a failure,
so that the list grows old together with the code.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COPIED = ("empo2_agent", "plugins", "tests")
OFF_POLICY = "train/test_packed.py::test_packed_equals_one_row_per_turn[off-policy-free-full]"

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Mutant:
    """`old` becomes `new` in `file` of the package; `test` is where that must be noticed."""

    file: str
    old: str
    new: str
    test: str


MUTANTS = (
    # rewards and novelty
    Mutant("train/rewards.py", "step.reward + coefficient * bonus", "step.reward", "train/test_rewards.py"),
    Mutant("train/rewards.py", "in episode.steps[1:])", "in episode.steps)", "train/test_rewards.py"),
    Mutant("memory/novelty.py", ".sum()) + 1", ".sum()) or 1", "memory/test_novelty.py"),
    Mutant("memory/novelty.py", "setdefault(scope,", 'setdefault("",', "memory/test_novelty.py"),
    # advantages
    Mutant("train/advantages.py", "(value - mean) / scale", "value / scale", "train/test_advantages.py"),
    Mutant("train/advantages.py", "stdev(returns) + EPSILON", "stdev(returns) ** 2 + EPSILON", "train/test_advantages.py"),
    Mutant("train/advantages.py", "discount * following", "following", "train/test_advantages.py"),
    Mutant("train/collect.py", "sum(row) for row in self.rewards", "sum(row[:-1]) for row in self.rewards", "train/test_collect.py"),
    Mutant("train/collect.py", "novelty.rewards(group.draw.task.id,", 'novelty.rewards("all",', "train/test_collect.py"),
    Mutant("train/collect.py", "a + step_weight * b", "a + b", "train/test_collect.py"),
    Mutant("train/collect.py", "off_policy=mode.off_policy", "off_policy=False", "train/test_collect.py"),
    # ratios and clipping
    Mutant("train/losses.py", "torch.where(dropped_T, 0.0, new_T - old_T)", "torch.where(dropped_T, 0.0, old_T - new_T)", "train/test_losses.py"),
    Mutant("train/losses.py", "torch.minimum(plain_T, clipped_T)", "torch.maximum(plain_T, clipped_T)", "train/test_losses.py"),
    Mutant("train/losses.py", "clamp(1 - clip_low, 1 + clip_high)", "clamp(1 - clip_high, 1 + clip_low)", "train/test_losses.py"),
    Mutant("train/losses.py", "torch.maximum(surrogate_T, floor_T)", "surrogate_T", "train/test_losses.py"),
    Mutant("train/losses.py", "(learner_T - engine_T).detach()", "(engine_T - learner_T).detach()", "train/test_losses.py"),
    Mutant("train/losses.py", ".clamp(max=cap)", "", "train/test_losses.py"),
    Mutant("train/losses.py", "log_ratio_T = reference_T - new_T", "log_ratio_T = new_T - reference_T", "train/test_losses.py"),
    Mutant("train/learner.py", 'options.denominator == "with"', 'options.denominator != "with"', OFF_POLICY),
    Mutant("train/learner.py", "truncated_importance(acting_T,", "truncated_importance(update_T,", OFF_POLICY),
    # masks
    Mutant("train/losses.py", "objective_T = torch.where(dropped_T, 0.0, objective_T)", "", "train/test_losses.py"),
    Mutant("train/losses.py", "new_T.detach() < log_delta", "new_T.detach() > log_delta", "train/test_losses.py"),
    Mutant("train/losses.py", 'if by == "turn" else', 'if by != "turn" else', "train/test_losses.py"),
    Mutant("train/learner.py", "self._masked_T(batch, new_T)", "self._masked_T(batch, acting_T)", OFF_POLICY),
    Mutant("train/samples.py", "if ids is None or len(ids) > 1]", "]", "train/test_samples.py"),
    # tip removal
    Mutant("transcript.py", 'for segment in segments if segment.kind != "tip"', "for segment in segments", "train/test_samples.py"),
    Mutant("train/samples.py", "_row(without_tips(path), drawn)", "_row(path, drawn)", "train/test_samples.py"),
    Mutant("train/samples.py", "_check_removal(path, acting, update)", "pass", "train/test_samples.py"),
    # samples
    Mutant("train/samples.py", "start + k - 1", "start + k", "train/test_samples.py"),
    Mutant("train/samples.py", "advantages[step] for", "advantages[0] for", "train/test_samples.py"),
    Mutant("train/samples.py", "[*_beginning(episode, step.prompt_tokens), step.sampled]", "[*episode.segments, step.sampled]", "train/test_samples.py"),
    # packing and layout
    Mutant("train/packing.py", "1.0 / tokens.total()", "1.0 / len(tokens)", "train/test_packing.py"),
    Mutant("train/packing.py", "1.0 / (count * len(tokens))", "1.0 / count", "train/test_packing.py"),
    Mutant("train/packing.py", "_laid_out([*batch, sample]) > tokens_per_batch", "_laid_out([*batch, sample]) >= tokens_per_batch", "train/test_packing.py"),
    Mutant("train/layout.py", "range(first, first + len(token_ids))", "range(len(token_ids))", "train/test_layout.py"),
    Mutant("train/layout.py", "own + place - common", "own + place", "train/test_layout.py"),
    Mutant("policies/flat.py", "there = slice(held.start, held.start + held.length)", "there = slice(held.length)", "train/test_logprobs.py"),
    Mutant("train/logprobs.py", ".masked_fill(~real_TA, -torch.inf)", "", "train/test_logprobs.py"),
    Mutant("train/logprobs.py", "logits_of(model, rows) / temperature", "logits_of(model, rows)", "train/test_logprobs.py"),
    # the optimizer
    Mutant("train/optimizer.py", "master if wide else master.float()", "master", "train/test_optimizer.py"),
)  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree."""
    copy = tmp_path_factory.mktemp("tree")
    for name in COPIED:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def run(tree: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """A Python that imports the copy, and keeps no bytecode: mutants follow fast on one another."""
    paths = os.pathsep.join([str(tree), str(tree / "plugins")])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *command], cwd=tree, env=environment, capture_output=True, text=True
    )


def run_tests(tree: Path, *tests: str) -> "subprocess.CompletedProcess[str]":
    places = [f"tests/{test}" for test in tests]
    return run(tree, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *places)


def test_the_copy_is_what_is_tested_and_its_tests_are_green(tree: Path) -> None:
    said = run(tree, "-c", "import empo2_agent; print(empo2_agent.__file__)").stdout.strip()
    assert Path(said) == tree / "empo2_agent" / "__init__.py"
    done = run_tests(tree, *sorted({mutant.test for mutant in MUTANTS}))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file}: {mutant.new}")
def test_every_mutant_turns_the_tests_red(mutant: Mutant, tree: Path) -> None:
    file = tree / "empo2_agent" / mutant.file
    text = file.read_text("utf-8")
    assert text.count(mutant.old) == 1, f"{mutant.old!r} stands {text.count(mutant.old)} times"
    file.write_text(text.replace(mutant.old, mutant.new), "utf-8")
    try:
        done = run_tests(tree, mutant.test)
    finally:
        file.write_text(text, "utf-8")
    assert done.returncode == 1, done.stdout  # 1: a test failed; anything else is another trouble
