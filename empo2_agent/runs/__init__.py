"""Run folders: what a command leaves on disk, readable up to its last finished episode."""

from empo2_agent.runs.folder import (
    RUNS,
    RecordedEpisode,
    Run,
    create_run,
    list_runs,
    open_run,
)
from empo2_agent.runs.serialise import (
    episode_from_json,
    episode_to_json,
    tip_from_json,
    tip_to_json,
)

__all__ = [
    "RUNS",
    "RecordedEpisode",
    "Run",
    "create_run",
    "episode_from_json",
    "episode_to_json",
    "list_runs",
    "open_run",
    "tip_from_json",
    "tip_to_json",
]
