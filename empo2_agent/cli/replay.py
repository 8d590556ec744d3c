"""Recorded episodes as pages of text, one a step."""

from pathlib import Path
from typing import Any

from empo2_agent.errors import UsageError
from empo2_agent.runs import RecordedEpisode, episode_to_json, open_run


def replayed(path: Path, only: int | None) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """The recorded episodes of a run as JSON documents, and as pages of lines.

    Args:
        path: A run folder.
        only: Number of one episode, from 0; None: all.

    Raises:
        RunFolderError: It is no run folder.
        UsageError: It has no such episode.
    """
    recorded = list(open_run(path).episodes())
    if only is not None:
        if only >= len(recorded):
            raise UsageError(f"{path} has {len(recorded)} episodes, numbered from 0: no {only}.")
        chosen = [(only, recorded[only])]
    else:
        chosen = list(enumerate(recorded))
    documents = [episode_to_json(one.episode, one.extra) for _, one in chosen]
    return documents, [page for number, one in chosen for page in _pages(number, one)]


def _pages(number: int, recorded: RecordedEpisode) -> list[list[str]]:
    episode = recorded.episode
    place = ", ".join(f"{key} {value}" for key, value in recorded.extra.items())
    title = f"── episode {number}: {episode.task.id} ({place or 'no place'})"
    pages: list[list[str]] = []
    for at, step in enumerate(episode.steps):
        pages.append(
            [
                f"{title}, step {at}",
                step.observation,
                *(
                    f"tip {t.id}: similarity {t.similarity:.2f}, score {t.score:g}"
                    for t in step.tips
                ),
                f"> {step.action}   (log-probability {step.logprob:.2f}, reward {step.reward:g})",
                "",
            ]
        )
    end = [f"{title}, end", episode.final_observation, f"{episode.status}, score {episode.score:g}"]
    if episode.tip:
        end.append(f"tip written: {episode.tip}")
    if episode.error:
        end.append(f"error: {episode.error}")
    return [*pages, [*end, ""]]
