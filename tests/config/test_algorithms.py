"""What `train.algorithm` brings, and what it leaves without effect."""

from pathlib import Path

import pytest

from empo2_agent.config import ALGORITHMS, Resolved, flatten, resolve
from empo2_agent.errors import UsageError


def value(resolved: Resolved, key: str) -> tuple[object, str]:
    return dict(flatten(resolved.settings))[key], resolved.origins[key]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_bundle_is_made_of_settings_that_exist(name: str) -> None:
    resolved = resolve(pairs=[f"train.algorithm={name}"], trains=True)
    for key, wanted in ALGORITHMS[name].items():
        assert value(resolved, key) == (wanted, f"algorithm {name}")
    brought = {key for key, origin in resolved.origins.items() if origin.startswith("algorithm")}
    assert brought == set(ALGORITHMS[name])


def test_what_the_bundles_come_to() -> None:
    keys = ("tips_share", "write_tips", "intrinsic_coefficient", "off_policy_share")
    found = {
        name: (
            *(
                getattr(resolve(flags={"train.algorithm": name}).settings.explore, key)
                for key in keys
            ),
            resolve(flags={"train.algorithm": name}).settings.loss.step_weight,
        )
        for name in ALGORITHMS
    }
    assert found == {
        "empo2": (0.25, True, 1.0, 2 / 3, 0.0),
        "grpo": (0.0, False, 0.0, 2 / 3, 0.0),
        "gigpo": (0.0, False, 0.0, 2 / 3, 1.0),
        "reflexion": (1.0, True, 0.0, 0.0, 0.0),
    }


def test_a_bundle_stands_above_defaults_and_below_all_else(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[explore]\nintrinsic_coefficient = 0.5\n", "utf-8")
    resolved = resolve(
        files=[path],
        pairs=["explore.write_tips=true"],
        flags={"train.algorithm": "gigpo", "loss.step_weight": 2.0},
        defaults={"explore.tips_share": 0.7},
        trains=True,
    )
    assert value(resolved, "explore.tips_share") == (0.0, "algorithm gigpo")
    assert value(resolved, "explore.intrinsic_coefficient") == (0.5, f"file {path}")
    assert value(resolved, "explore.write_tips") == (True, "--set")
    assert value(resolved, "loss.step_weight") == (2.0, "flag")


def test_only_the_bundle_of_the_algorithm_that_wins_is_applied(tmp_path: Path) -> None:
    first, second = tmp_path / "a.toml", tmp_path / "b.toml"
    first.write_text('train.algorithm = "gigpo"', "utf-8")
    second.write_text('train.algorithm = "reflexion"', "utf-8")
    assert resolve(files=[first]).settings.loss.step_weight == 1.0
    late = resolve(files=[first, second])
    assert value(late, "loss.step_weight") == (0.0, "default")
    assert value(late, "explore.tips_share") == (1.0, "algorithm reflexion")
    by_set = resolve(files=[first, second], pairs=["train.algorithm=grpo"])
    assert value(by_set, "explore.tips_share") == (0.0, "algorithm grpo")
    by_flag = resolve(files=[first], flags={"train.algorithm": "empo2"})
    assert value(by_flag, "explore.tips_share") == (0.25, "default")


@pytest.mark.parametrize("name", ["ppo", "[1]"])
def test_an_algorithm_there_is_not(name: str) -> None:
    with pytest.raises(UsageError, match=r"bad value for train\.algorithm \(--set\)"):
        resolve(pairs=[f"train.algorithm={name}"], trains=True)


IDLE = [
    ("grpo", "explore.off_policy_share=0.5", "explore.tips_share is 0 (algorithm grpo)"),
    ("gigpo", "explore.mode_by=group", "explore.tips_share is 0 (algorithm gigpo)"),
    ("grpo", "loss.denominator=without", "explore.tips_share is 0 (algorithm grpo)"),
    ("grpo", "memory.threshold=0.3", "is 0 (algorithm grpo) and explore.write_tips is false"),
    ("grpo", "memory.location=here", "is 0 (algorithm grpo) and explore.write_tips is false"),
    ("grpo", "explore.novelty_threshold=0.9", "explore.intrinsic_coefficient is 0 (algorithm"),
    ("empo2", "loss.discount=0.9", "loss.step_weight is 0 (default)"),
    ("reflexion", "loss.clip_low=0.1", "train.algorithm is reflexion (flag)"),
    ("reflexion", "learner.learning_rate=0.1", "train.algorithm is reflexion (flag)"),
    ("reflexion", "explore.off_policy_share=0.5", "train.algorithm is reflexion (flag)"),
    ("reflexion", "explore.intrinsic_coefficient=0.5", "train.algorithm is reflexion (flag)"),
    ("reflexion", "explore.novelty_threshold=0.5", "explore.intrinsic_coefficient is 0"),
]


@pytest.mark.parametrize(("algorithm", "pair", "why"), IDLE)
def test_what_an_algorithm_does_not_read_is_refused(algorithm: str, pair: str, why: str) -> None:
    with pytest.raises(UsageError) as raised:
        resolve(pairs=[pair], flags={"train.algorithm": algorithm}, trains=True)
    assert str(raised.value).startswith(f"{pair.partition('=')[0]} (--set) has no effect: ")
    assert why in str(raised.value)


@pytest.mark.parametrize(
    ("gate", "idle"),
    [
        ("explore.tips_share=0", "explore.mode_by=group"),
        ("explore.off_policy_share=0", "loss.denominator=without"),
        ("explore.intrinsic_coefficient=0", "explore.novelty_threshold=0.9"),
        ("explore.write_tips=false", "memory.capacity=5"),
        ("explore.write_tips=false", "memory.max_tip_tokens=16"),
        ("explore.write_tips=false", "memory.key=step"),
        ("loss.mask_by=none", "loss.mask_log_delta=-3"),
        ("learner.lora_rank=0", "learner.lora_alpha=4"),
    ],
)
def test_a_setting_is_idle_only_while_its_gate_is_closed(gate: str, idle: str) -> None:
    resolve(pairs=[idle], trains=True)
    with pytest.raises(UsageError, match=r"\(--set\) has no effect: .* \(--set\)\.$"):
        resolve(pairs=[idle, gate], trains=True)


def test_an_open_gate_overrules_the_bundle() -> None:
    pairs = ["explore.tips_share=0.5", "explore.mode_by=group", "memory.threshold=0.3"]
    resolve(pairs=pairs, flags={"train.algorithm": "grpo"}, trains=True)
    resolve(pairs=["loss.discount=0.9"], flags={"train.algorithm": "gigpo"}, trains=True)
    resolve(
        pairs=["explore.write_tips=true", "memory.capacity=5"],
        flags={"train.algorithm": "grpo"},
        trains=True,
    )


def test_flags_are_judged_but_files_and_presets_are_not(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"loss\.discount \(flag\) has no effect"):
        resolve(flags={"loss.discount": 0.9}, trains=True)
    shared = tmp_path / "a.toml"
    shared.write_text("[loss]\ndiscount = 0.9\n[memory]\nmax_tips = 3\n", "utf-8")
    resolve(files=[shared], preset="cpu", flags={"train.algorithm": "grpo"}, trains=True)
    resolve(preset="paper-webshop", flags={"train.algorithm": "reflexion"}, trains=True)


def test_other_commands_do_not_judge_training() -> None:
    resolve(pairs=["loss.discount=0.9", "memory.threshold=0.3", "train.algorithm=grpo"])
    with pytest.raises(UsageError, match=r"loss\.discount \(--set\) has no effect on this command"):
        resolve(pairs=["loss.discount=0.9"], unused=["loss"])
