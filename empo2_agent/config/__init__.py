"""Settings: what there is, the defaults, and where each value came from.

Settings objects stop at the command; below it, plain keyword arguments.
"""

from empo2_agent.config.environment import check_environment_settings
from empo2_agent.config.schema import (
    PRESETS,
    TRAIN_ONLY,
    AdaptSettings,
    EpisodeSettings,
    EvaluateSettings,
    MemorySettings,
    ModelSettings,
    SamplingSettings,
    Settings,
    flatten,
)
from empo2_agent.config.section import Scalar, Section
from empo2_agent.config.sources import Resolved, resolve
from empo2_agent.config.train import (
    ALGORITHMS,
    ExploreSettings,
    LearnerSettings,
    LossSettings,
    TrainSettings,
    WarmSettings,
)

__all__ = [
    "ALGORITHMS",
    "PRESETS",
    "TRAIN_ONLY",
    "AdaptSettings",
    "EpisodeSettings",
    "EvaluateSettings",
    "ExploreSettings",
    "LearnerSettings",
    "LossSettings",
    "MemorySettings",
    "ModelSettings",
    "Resolved",
    "SamplingSettings",
    "Scalar",
    "Section",
    "Settings",
    "TrainSettings",
    "WarmSettings",
    "check_environment_settings",
    "flatten",
    "resolve",
]
