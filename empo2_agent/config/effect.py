"""Settings that other settings leave without effect. Setting one of those by hand is an error.

One rule: only `--set` and flags are judged; files and presets may serve several commands.
"""

from collections.abc import Iterator, Mapping

from empo2_agent.config.schema import Settings, flatten
from empo2_agent.config.section import Scalar
from empo2_agent.errors import UsageError

_BY_HAND = ("--set", "flag")

_IDLE_IN_TRAINING: tuple[tuple[Mapping[str, Scalar], tuple[str, ...]], ...] = (
    (
        {"train.algorithm": "reflexion"},  # it has no gradients, so nothing that shapes them
        ("loss", "learner", "explore.off_policy_share", "explore.intrinsic_coefficient"),
    ),
    (
        {"explore.tips_share": 0.0},
        ("explore.off_policy_share", "explore.mode_by", "loss.denominator"),
    ),
    ({"explore.tips_share": 0.0, "explore.write_tips": False}, ("memory",)),
    (
        {"explore.write_tips": False},
        ("memory.key", "memory.capacity", "memory.max_tip_tokens"),
    ),
    ({"explore.off_policy_share": 0.0}, ("loss.denominator",)),
    ({"explore.intrinsic_coefficient": 0.0}, ("explore.novelty_threshold",)),
    ({"loss.step_weight": 0.0}, ("loss.discount",)),
    ({"loss.mask_by": "none"}, ("loss.mask_log_delta",)),
    ({"learner.lora_rank": 0}, ("learner.lora_alpha",)),
)
"""Where all settings on the left have these values, the keys and sections on the right are idle."""


def refuse_without_effect(
    settings: Settings, origins: Mapping[str, str], *, trains: bool = False
) -> None:
    """Raise UsageError where something was set by hand that nothing reads.

    Args:
        settings: As resolved.
        origins: Where each dotted key came from.
        trains: Whether they are for `empo2 train`, which alone reads the sections `TRAIN_ONLY`.
    """
    _refuse_memory_settings(settings, origins)
    if not trains:
        return
    values = dict(flatten(settings))
    for reasons, idle in _IDLE_IN_TRAINING:
        if any(values[key] != value for key, value in reasons.items()):
            continue
        key = next(_set_by_hand(idle, origins), None)
        if key is not None:
            why = " and ".join(f"{k} is {_shown(values[k])} ({origins[k]})" for k in reasons)
            raise UsageError(f"{key} ({origins[key]}) has no effect: {why}.")


def _refuse_memory_settings(settings: Settings, origins: Mapping[str, str]) -> None:
    if settings.memory.location != "none":
        return
    chosen = origins["memory.location"] != "default"
    why = "memory.location is none" if chosen else "no --memory is given"
    for key, origin in origins.items():
        by_user = origin in _BY_HAND or (chosen and origin.startswith("file "))
        if by_user and key.startswith("memory.") and key != "memory.location":
            raise UsageError(f"{key} ({origin}) has no effect: {why}.")


def _set_by_hand(names: tuple[str, ...], origins: Mapping[str, str]) -> Iterator[str]:
    """Dotted keys that are among `names` or in a section among them, and were set by hand."""
    for key, origin in origins.items():
        if origin in _BY_HAND and {key, key.partition(".")[0]} & set(names):
            yield key


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) else str(value)
