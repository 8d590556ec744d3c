"""The presets against values written down by hand from the paper's tables."""

from pathlib import Path

import pytest

from empo2_agent.config import ALGORITHMS, PRESETS, TRAIN_ONLY, Settings, flatten, resolve
from empo2_agent.policies.catalog import DEFAULT, find_known

ROLLOUT = {
    "sampling.temperature": 0.4,
    "train.temperature": 1.0,
    "train.tasks_per_step": 16,
    "train.group_size": 8,
    "explore.tips_share": 0.25,
    "explore.off_policy_share": 2 / 3,
    "explore.intrinsic_coefficient": 1.0,
    "explore.mode_by": "step",
    "explore.write_tips": True,
    "memory.threshold": 0.5,
    "memory.max_tips": 10,
    "memory.capacity": 1000,
    "loss.clip_low": 0.2,
    "loss.clip_high": 0.3,
    "loss.dual_clip": 10.0,
    "loss.mask_log_delta": -5.0,
    "loss.mask_by": "token",
    "loss.denominator": "with",
    "loss.mean_over": "token",
    "loss.scale_by_std": True,
    "loss.importance_cap": 2.0,
    "learner.learning_rate": 1e-6,
    "learner.lora_rank": 0,
}
SCIENCEWORLD = {
    **ROLLOUT,
    "sampling.max_reply_tokens": 32,
    "sampling.style": "correct",
    "episode.max_steps": 30,
    "episode.max_prompt_tokens": 4500,
    "environment.simplifications": "easy",
    "evaluate.variations": 20,
    "evaluate.repeats": 4,
    "train.variations": 5,
    "loss.kl_coefficient": 0.0,
    "learner.minibatch_episodes": 16,
}
WEBSHOP = {
    **ROLLOUT,
    "sampling.max_reply_tokens": 512,
    "sampling.style": "free",
    "episode.max_steps": 15,
    "evaluate.variations": 500,
    "loss.kl_coefficient": 0.01,
    "loss.discount": 0.95,
    "learner.minibatch_episodes": 64,
}
CPU = {
    "model.name": None,
    "episode.max_steps": 8,
    "train.algorithm": "empo2",
    "train.steps": 40,
    "train.tasks_per_step": 1,
    "train.group_size": 8,
    "train.variations": 4,
    "learner.lora_rank": 8,
    "learner.learning_rate": 3e-4,
    "learner.tokens_per_batch": 2048,
    "memory.max_tip_tokens": 64,
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("paper-scienceworld", SCIENCEWORLD), ("paper-webshop", WEBSHOP), ("cpu", CPU)],
)
def test_what_each_preset_comes_to(name: str, expected: dict[str, object]) -> None:
    resolved = dict(flatten(resolve(preset=name).settings))
    assert {key: resolved[key] for key in expected} == expected


def test_the_models_of_the_presets() -> None:
    for name in ("paper-scienceworld", "paper-webshop"):
        known = find_known(str(resolve(preset=name).settings.model.name))
        assert known is not None
        assert known.hub_name == "Qwen/Qwen2.5-7B-Instruct"
    assert DEFAULT == "smollm2-135m"  # what `cpu` trains: it names no model


def test_a_whole_step_of_the_paper_is_played_at_once() -> None:
    for name in ("paper-scienceworld", "paper-webshop"):
        train = resolve(preset=name).settings.train
        assert train.concurrency == train.tasks_per_step * train.group_size


def test_the_webshop_prompt_and_a_reply_fill_the_context_of_the_model() -> None:
    settings = resolve(preset="paper-webshop").settings
    assert settings.episode.max_prompt_tokens + settings.sampling.max_reply_tokens == 32_768


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_resolves_and_is_used_whole(name: str) -> None:
    _, origins = resolve(preset=name)
    given = {f"{section}.{key}" for section, keys in PRESETS[name].items() for key in keys}
    assert {key for key, origin in origins.items() if origin == f"preset {name}"} == given


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("unused", [("evaluate", *TRAIN_ONLY), ("adapt", *TRAIN_ONLY), ()])
def test_every_preset_serves_every_command(name: str, unused: tuple[str, ...]) -> None:
    settings, _ = resolve(preset=name, unused=unused, trains=not unused)
    assert settings != Settings()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("name", PRESETS)
def test_an_algorithm_is_the_same_under_every_preset(name: str, algorithm: str) -> None:
    settings, origins = resolve(preset=name, flags={"train.algorithm": algorithm}, trains=True)
    found = dict(flatten(settings))
    for key, value in ALGORITHMS[algorithm].items():
        assert (found[key], origins[key]) == (value, f"algorithm {algorithm}")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_can_be_written_to_a_file_and_read_back(name: str, tmp_path: Path) -> None:
    settings = resolve(preset=name).settings
    sections: dict[str, list[str]] = {}
    for key, value in flatten(settings):
        section, _, last = key.rpartition(".")
        if value is not None and section:
            shown = str(value).lower() if isinstance(value, bool) else repr(value)
            sections.setdefault(section, []).append(f"{last} = {shown}")
    text = "\n".join(
        f"[{section}]\n" + "\n".join(lines) + "\n" for section, lines in sections.items()
    )
    (tmp_path / "a.toml").write_text(text, "utf-8")
    assert resolve(files=[tmp_path / "a.toml"]).settings == settings
