"""Recorded episodes as pages of text, one a step."""

from pathlib import Path
from typing import Any, NamedTuple

from empo2_agent.cli.runs import find_run
from empo2_agent.errors import UsageError
from empo2_agent.runs import RUNS, RecordedEpisode, episode_to_json


class Replay(NamedTuple):
    """Recorded episodes of a run in both forms they are printed in."""

    path: Path
    documents: list[dict[str, Any]]
    pages: list[list[str]]
    """Lines, a page for each step and one for the end."""


def replayed(name: str, only: int | None) -> Replay:
    """The recorded episodes of a run.

    Args:
        name: A run folder, or its name in the runs folder.
        only: Number of one episode, from 0; None: all.

    Raises:
        RunFolderError: It is damaged.
        UsageError: There is no such run, or it has no such episode.
    """
    run = find_run(name, RUNS)
    recorded = list(run.episodes())
    if only is not None:
        if only >= len(recorded):
            raise UsageError(
                f"{run.path} has {len(recorded)} episodes, numbered from 0: no {only}."
            )
        chosen = [(only, recorded[only])]
    else:
        chosen = list(enumerate(recorded))
    documents = [episode_to_json(one.episode, one.extra) for _, one in chosen]
    pages = [page for number, one in chosen for page in _pages(number, one)]
    return Replay(run.path, documents, pages)


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
