"""Whole training runs of seconds: what they repeat, what each algorithm leaves alone, what breaks."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from empo2_agent.errors import EnvironmentUnavailableError, TrainingError
from empo2_agent.train.loop import Event, StepOver, train
from empo2_agent.train.metrics import StepMetrics
from empo2_agent.train.monitor import Monitor
from tests import plugin_package
from tests.train.measured import make_metrics
from tests.train.running import job_of, measured, opened, recorded, run, tips_known, weights

FRAIL = '''
"""The red lamp in a house that falls down: an episode in three, once or always."""
from empo2_toy import ToyPlugin
from empo2_toy.house import LampWorld

FALLEN = set()

class World(LampWorld):
    def __init__(self, breaks): super().__init__(); self.breaks = breaks
    def reset(self, task, *, seed):
        self.falls = self.breaks == "always" or (
            self.breaks == "once" and seed % 3 == 0 and seed not in FALLEN)
        if self.falls:
            FALLEN.add(seed)
        return super().reset(task, seed=seed)
    def step(self, action):
        if self.falls:
            raise RuntimeError("the roof came down")
        return super().step(action)

class Plugin(ToyPlugin):
    name, defaults = "frail", {"breaks": "never"}
    def make(self, settings): return World(settings["breaks"])

PLUGIN = Plugin()
'''


VARIED: dict[str, Any] = {
    "train__algorithm": "grpo",
    "episode__max_steps": 8,
    "train__group_size": 6,
}
"""Without intrinsic reward episodes must be long enough for some to succeed."""


@pytest.fixture
def frail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment whose episodes can break."""
    monkeypatch.syspath_prepend(str(plugin_package.install(tmp_path / "plugins", "frail", FRAIL)))
    monkeypatch.delitem(sys.modules, "empo2_frail", raising=False)


def timeless(rows: list[StepMetrics]) -> list[dict[str, Any]]:
    whole = json.loads(json.dumps([row.as_json() for row in rows]))
    return [{k: v for k, v in row.items() if k != "seconds"} for row in whole]


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param({"explore__tips_share": 0.7}, id="adapter, tips", marks=pytest.mark.slow),
        pytest.param({"learner__lora_rank": 0, **VARIED}, id="full weights, no tips"),
    ],
)
def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(
    tmp_path: Path, tiny_model_dir: Path, chosen: dict[str, Any]
) -> None:
    first = run(tmp_path / "a", tiny_model_dir, **chosen)
    second = run(tmp_path / "b", tiny_model_dir, **chosen)
    other = run(tmp_path / "c", tiny_model_dir, seed=1, **chosen)
    assert timeless(first) == timeless(second) == measured(tmp_path / "b")
    assert weights(tmp_path / "a", 3) == weights(tmp_path / "b", 3)
    assert first[-1].version > 0
    assert weights(tmp_path / "a", 3) != weights(tmp_path / "c", 3)
    assert timeless(first) != timeless(other)


def test_grpo_writes_and_shows_no_tips(tmp_path: Path, tiny_model_dir: Path) -> None:
    rows = run(tmp_path / "r", tiny_model_dir, train__algorithm="grpo", train__steps=2)
    assert {(row.mode, row.tips_written, row.tips_shown, row.intrinsic) for row in rows} == {
        ("plain", 0, 0, 0.0)
    }
    assert not (tmp_path / "r" / "memory").exists()
    assert not (tmp_path / "r" / "tips.jsonl").exists()
    assert all(not line["tip"] for line in recorded(tmp_path / "r"))


@pytest.mark.slow
def test_gigpo_is_grpo_with_advantages_of_steps(tmp_path: Path, tiny_model_dir: Path) -> None:
    rows = [
        run(
            tmp_path / name, tiny_model_dir, **{**VARIED, "train__algorithm": name},
            train__steps=1,
        )[0]
        for name in ("grpo", "gigpo")
    ]  # fmt: skip
    assert rows[0].score == rows[1].score
    assert rows[0].flat_groups == 0, "nothing to tell them apart by"
    assert weights(tmp_path / "grpo", 1) != weights(tmp_path / "gigpo", 1)


@pytest.mark.slow
def test_reflexion_changes_tips_and_not_a_bit_of_the_weights(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    chosen: dict[str, Any] = {"train__algorithm": "reflexion", "train__variations": 1}
    with opened(job_of(tmp_path / "r", tiny_model_dir, **chosen)) as (session, events):
        before = {k: v.clone() for k, v in session.parts.policy.model.state_dict().items()}
        rows = [event.metrics for event in events if isinstance(event, StepOver)]
        after = session.parts.policy.model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert [row.tips_written for row in rows] == [3, 3, 3]
    assert rows[0].tips_shown == 0
    assert rows[-1].tips_shown > 0
    assert {(row.mode, row.version, row.learnt_tokens) for row in rows} == {("with-tips", 0, 0)}


@pytest.mark.slow
def test_modes_by_group_are_mixed_in_a_step(tmp_path: Path, tiny_model_dir: Path) -> None:
    [row] = run(
        tmp_path / "r", tiny_model_dir, explore__mode_by="group", explore__tips_share=0.5, seed=1,
        train__tasks_per_step=6, train__group_size=2, train__steps=1, episode__max_steps=2,
    )  # fmt: skip
    assert set(row.mode.split("+")) > {"plain"}
    by_group = {(line["group"], line["mode"]) for line in recorded(tmp_path / "r")}
    assert len(by_group) == len(row.tasks) == 6
    assert {mode for _, mode in by_group} == set(row.mode.split("+"))


def test_groups_without_variance_are_drawn_again_and_counted(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    """In one turn nobody finds the lamp: every group is flat, and replaced twice."""
    [row] = run(
        tmp_path / "r", tiny_model_dir, train__algorithm="grpo", train__redraw=2,
        train__steps=1, train__tasks_per_step=2, episode__max_steps=1,
    )  # fmt: skip
    assert (row.redrawn, row.flat_groups, row.episodes) == (4, 1.0, 6)
    assert (row.learnt_tokens, row.version) == (0, 0)
    places = [(line["attempt"], line["group"], line["index"]) for line in recorded(tmp_path / "r")]
    assert sorted(places) == [(a, g, i) for a in range(3) for g in range(2) for i in range(3)]
    assert len({line["seed"] for line in recorded(tmp_path / "r")}) == len(places)


@pytest.mark.slow
@pytest.mark.usefixtures("frail")
def test_broken_episodes_are_counted_and_used_for_nothing(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    """The run with broken houses is the run without, but for what was dropped."""
    chosen: dict[str, Any] = {"train__group_size": 6, "train__steps": 2}
    whole = run(tmp_path / "w", tiny_model_dir, "frail/red-lamp", **chosen)
    broken = run(
        tmp_path / "b", tiny_model_dir, "frail/red-lamp", environment__breaks="once", **chosen
    )
    fallen = [row.dropped.get("env_error", 0) for row in broken]
    assert sum(fallen) > 0
    assert all(not row.dropped for row in whole)
    for a, b in zip(whole, broken, strict=True):
        same = ("episodes", "score", "tips_written", "memory_size", "novel_states", "learnt_tokens")
        assert [getattr(a, name) for name in same] == [getattr(b, name) for name in same]
        assert a.loss == pytest.approx(b.loss, abs=1e-5)
    lines = recorded(tmp_path / "b")
    lost = {n for n, line in enumerate(lines) if line["status"] == "env_error"}
    assert len(lost) == sum(fallen)
    assert not lost & {tip["episode"] for tip in recorded(tmp_path / "b", "tips")}


@pytest.mark.usefixtures("frail")
def test_a_house_that_always_falls_ends_the_run(tmp_path: Path, tiny_model_dir: Path) -> None:
    with pytest.raises(EnvironmentUnavailableError, match=r"broke 3 times: .*the roof came down"):
        run(tmp_path / "r", tiny_model_dir, "frail/red-lamp", environment__breaks="always")
    document = json.loads((tmp_path / "r" / "run.json").read_text())
    assert document["status"] == "failed"
    assert not (tmp_path / "r" / "tips.jsonl").exists()


def test_three_updates_that_are_not_finite_stop_training(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    """A NaN in the row of a word that is never said: playing is as before, gradients are not."""
    chosen: dict[str, Any] = {**VARIED, "train__steps": 9, "learner__lora_rank": 0}  # fmt: skip
    with opened(job_of(tmp_path / "r", tiny_model_dir, **chosen)) as (session, events):
        model = session.parts.policy.model
        with torch.no_grad():
            model.get_input_embeddings().weight[0, 0] = torch.nan
        before = {k: v.clone() for k, v in model.state_dict().items()}
        with pytest.raises(TrainingError, match="gradient was not finite 3 times in a row"):
            list(events)
        assert all(
            torch.equal(tensor.nan_to_num(7.0), before[name].nan_to_num(7.0))
            for name, tensor in model.state_dict().items()
        )
    updated = [row for row in measured(tmp_path / "r") if row["learnt_tokens"]]
    assert [(row["skipped"], row["version"]) for row in updated] == [(1, 0), (1, 0)]


def good_steps() -> list[StepMetrics]:
    """Of a policy that was perfect before step 1."""
    return [make_metrics(step=step, score=1.0) for step in range(-15, 1)]


@pytest.mark.slow
def test_a_collapsed_run_goes_back_and_then_stops(tmp_path: Path, tiny_model_dir: Path) -> None:
    """After perfect steps those of a random model are a collapse, first after four of them."""
    chosen: dict[str, Any] = {"train__steps": 30, "train__roll_back": 1, "train__group_size": 4,
              "explore__tips_share": 0.0}  # fmt: skip
    folder, rows = tmp_path / "r", list[StepMetrics]()

    def watch(events: Iterator[Event]) -> None:
        for event in events:
            rows.extend([event.metrics] if isinstance(event, StepOver) else [])

    with opened(job_of(folder, tiny_model_dir, **chosen)) as (session, _):
        monitor = Monitor(good_steps())
        events = train(session.plan, session.parts, session.position, monitor)
        with pytest.raises(TrainingError) as stopped:
            watch(events)
        assert session.position.rolled_back == 1
    back = {row.step: row.rolled_back_to for row in rows if row.rolled_back_to is not None}
    assert back == {4: 1}
    assert [row.step for row in rows] == list(range(1, len(rows) + 1))
    assert weights(folder, 4) == weights(folder, 1) != weights(folder, 3)
    assert tips_known(folder, 4) == tips_known(folder, 1) != tips_known(folder, 3)
    assert optimizer_steps(folder, 4) == optimizer_steps(folder, 1) < optimizer_steps(folder, 3)
    versions = [row.version for row in rows]
    assert len(set(versions[4:]) & set(versions[:4])) == 0
    assert rows[4].novel_states >= rows[0].novel_states
    assert rows[4].memory_size == rows[0].memory_size + rows[4].tips_written
    seeds = {line["step"]: line["seed"] for line in recorded(folder)}
    assert len(set(seeds.values())) == len(rows)
    assert "score without tips fell to" in str(stopped.value)
    assert "it went back 1 times" in str(stopped.value)
    assert "step-000001 is the best checkpoint" in str(stopped.value)


def optimizer_steps(folder: Path, step: int) -> int:
    state = folder / "checkpoints" / f"step-{step:06d}" / "state" / "learner.pt"
    return int(torch.load(state, weights_only=True)["optimizer"]["steps"])


def test_without_a_scored_checkpoint_there_is_nothing_to_go_back_to(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    chosen: dict[str, Any] = {"train__roll_back": 2, "train__checkpoint_every": 50, "episode__max_steps": 1,
              "train__steps": 9, "train__group_size": 2, "train__algorithm": "grpo"}  # fmt: skip
    with opened(job_of(tmp_path / "r", tiny_model_dir, **chosen)) as (session, _):
        events = train(session.plan, session.parts, session.position, Monitor(good_steps()))
        with pytest.raises(TrainingError, match=r"lower train\.checkpoint_every"):
            list(events)
    assert [row["rolled_back_to"] for row in measured(tmp_path / "r")] == [None] * 4


def test_without_roll_back_a_collapse_is_a_warning(tmp_path: Path, tiny_model_dir: Path) -> None:
    chosen: dict[str, Any] = {"train__steps": 5, "episode__max_steps": 1, "train__group_size": 2,
              "train__algorithm": "grpo"}  # fmt: skip
    with opened(job_of(tmp_path / "r", tiny_model_dir, **chosen)) as (session, _):
        events = train(session.plan, session.parts, session.position, Monitor(good_steps()))
        over = [event for event in events if isinstance(event, StepOver)]
    raised = {event.metrics.step: [alarm.kind for alarm in event.alarms] for event in over}
    assert "collapse" in raised[4]
    assert len(over) == 5
