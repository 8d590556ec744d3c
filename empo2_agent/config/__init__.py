"""Settings: what there is, the defaults, and where each value came from.

Settings objects stop at the command; below it, plain keyword arguments.
"""

from empo2_agent.config.environment import check_environment_settings
from empo2_agent.config.schema import (
    PRESETS,
    AdaptSettings,
    EpisodeSettings,
    EvaluateSettings,
    MemorySettings,
    ModelSettings,
    SamplingSettings,
    Scalar,
    Section,
    Settings,
    flatten,
)
from empo2_agent.config.sources import Resolved, resolve

__all__ = [
    "PRESETS",
    "AdaptSettings",
    "EpisodeSettings",
    "EvaluateSettings",
    "MemorySettings",
    "ModelSettings",
    "Resolved",
    "SamplingSettings",
    "Scalar",
    "Section",
    "Settings",
    "check_environment_settings",
    "flatten",
    "resolve",
]
