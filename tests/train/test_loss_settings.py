"""Every setting of the loss does something."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from empo2_agent.train.learner import LossOptions
from empo2_agent.train.samples import Sample
from tests.train.conftest import Plays
from tests.train.learning import apart, gradients, learn, make_learner, samples_in
from tests.train.played import exact_policy

CHANGES: dict[str, dict[str, Any]] = {
    "clip_low": {"clip_low": 0.6},
    "clip_high": {"clip_high": 3.0},
    "dual_clip": {"dual_clip": 1.05},
    "mask_log_delta": {"mask_log_delta": -3.0},
    "mask_by": {"mask_by": "turn"},
    "denominator": {"denominator": "without"},
    "kl_coefficient": {"kl_coefficient": 0.1},
    "mean_over": {"mean_over": "sequence"},
    "importance_cap": {"importance_cap": 0.9},
}


def test_every_setting_is_listed_here() -> None:
    assert set(CHANGES) == {field.name for field in fields(LossOptions)}


@pytest.mark.parametrize("name", CHANGES)
def test_every_setting_changes_the_gradient(name: str, tiny_model_dir: Path, plays: Plays) -> None:
    samples = samples_in(plays("free", True), "off-policy")
    samples = samples[:1] + [_halved(sample) for sample in samples[1:]]  # of different lengths
    _, before = gradients(exact_policy(tiny_model_dir).model, samples)
    _, after = gradients(
        exact_policy(tiny_model_dir).model, samples, options=LossOptions(**CHANGES[name])
    )
    assert apart(after, before) > 1e-4


def _halved(sample: Sample) -> Sample:
    count = len(sample.targets) // 2
    cut: dict[str, Any] = {
        name: getattr(sample, name)[:count]
        for name in ("targets", "allowed", "behaviour", "advantages", "turns")
    }
    acting = replace(sample.acting, places=sample.acting.places[:count])
    update = replace(sample.update, places=sample.update.places[:count])
    return replace(sample, acting=acting, update=update, **cut)


def test_not_masking_differs_from_masking(tiny_model_dir: Path, plays: Plays) -> None:
    samples = samples_in(plays("free", True), "off-policy")
    found = {}
    for by in ("none", "token", "turn"):
        options = LossOptions(mask_by=by)
        learner, _ = make_learner(exact_policy(tiny_model_dir).model, options, lora=False)
        found[by] = learn(learner, samples).masked
    assert 0 == found["none"] < found["token"] < found["turn"]
