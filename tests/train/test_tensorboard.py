import math
import sys
from pathlib import Path

import pytest

from empo2_agent.errors import UsageError
from empo2_agent.train.tensorboard import TensorBoard, scalars
from tests.train.measured import make_metrics


def read(folder: Path) -> dict[str, dict[int, float]]:
    """The scalars of a folder, by name and step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    found: dict[str, dict[int, float]] = {}
    for name in events.Tags()["scalars"]:
        scalars_of = events.Scalars(name)
        found[name] = {event.step: event.value for event in scalars_of}
        assert len(found[name]) == len(scalars_of), f"{name}: a step stands there twice"
    return found


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "tensorboard"
    steps = [make_metrics(step=n, score=n / 4, dropped={"env_error": n}) for n in (1, 2)]
    steps.append(make_metrics(step=3, mode="off-policy", score=0.75, tip_gap=1.5))
    with TensorBoard(folder) as log:
        for metrics in steps:
            log.add(metrics)
            assert read(folder)["score"][metrics.step] == metrics.score  # at once, not at the end
    found = read(folder)
    assert found["score"] == {1: 0.25, 2: 0.5, 3: 0.75}
    assert found["score/plain"] == {1: 0.25, 2: 0.5}
    assert found["score/off-policy"] == {3: 0.75}
    assert found["dropped/env_error"] == {1: 1, 2: 2}
    assert found["seconds/rollout"] == {1: 30, 2: 30, 3: 30}
    assert found["tip_gap"] == {3: 1.5}
    assert set(found) >= set(scalars(steps[2]))


def test_every_number_of_a_step_is_there_and_nothing_that_is_none() -> None:
    found = scalars(make_metrics(loss=math.nan, grad_norm=math.inf))
    assert {"loss", "grad_norm", "tip_gap", "mode", "tasks", "step"}.isdisjoint(found)
    assert {"entropy", "mismatch_max", "clip_fraction", "memory_size", "version"} <= set(found)


def test_a_resumed_log_hides_what_was_done_again(tmp_path: Path) -> None:
    with TensorBoard(tmp_path) as log:
        for step in (1, 2, 3):
            log.add(make_metrics(step=step, score=0.0))
    with TensorBoard(tmp_path, step=1) as log:
        log.add(make_metrics(step=2, score=1.0))
    assert read(tmp_path)["score"] == {1: 0.0, 2: 1.0}


def test_without_the_package_it_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # how Python notes what is not there
    with pytest.raises(UsageError, match="pip install tensorboard"):
        TensorBoard(tmp_path / "events")
    assert not (tmp_path / "events").exists()
