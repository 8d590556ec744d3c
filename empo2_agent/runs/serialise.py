"""Episodes and tips as JSON documents, and back, without loss.

One rule: `episode_from_json(episode_to_json(e)) == e`, to the last bit of every float.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from empo2_agent.types import Episode, Segment, ShownTip, Status, Step, Task, Tip

Document = dict[str, Any]  # a JSON object just read: every use below checks by constructing

_DERIVED = ("score", "success")
_OWN = {field.name for field in fields(Episode)} | set(_DERIVED)


def episode_to_json(episode: Episode, extra: Mapping[str, object] | None = None) -> Document:
    """One line of `episodes.jsonl`.

    Step i was decided on the first `steps[i].prompt_tokens` of the segments' token ids, joined.

    Args:
        episode: What happened.
        extra: Where it stands in the run, for example `{"trial": 3}`.

    Raises:
        ValueError: `extra` has a key that an episode has too.
    """
    extra = extra or {}
    if clash := _OWN & set(extra):
        raise ValueError(f"an episode already has {sorted(clash)}")
    document = asdict(episode)
    document["task"]["id"] = episode.task.id
    return {**extra, "score": episode.score, "success": episode.success, **document}


def episode_from_json(document: Mapping[str, Any]) -> Episode:
    """The inverse of `episode_to_json`; keys of `extra` are left out.

    Raises:
        KeyError, TypeError, ValueError: It is no episode.
    """
    own = {field.name: document[field.name] for field in fields(Episode)}
    own["task"] = Task(**{key: value for key, value in own["task"].items() if key != "id"})
    own["status"] = Status(own["status"])
    own["segments"] = tuple(_segment(segment) for segment in own["segments"])
    own["steps"] = tuple(_step(step) for step in own["steps"])
    return Episode(**own)


def extra_of(document: Mapping[str, Any]) -> Document:
    """What was passed to `episode_to_json` as `extra`."""
    return {key: value for key, value in document.items() if key not in _OWN}


def tip_to_json(tip: Tip) -> Document:
    """One line of `tips.jsonl`."""
    return asdict(tip)


def tip_from_json(document: Mapping[str, Any]) -> Tip:
    """The inverse of `tip_to_json`."""
    return Tip(**document)


def _segment(document: Mapping[str, Any]) -> Segment:
    return Segment(
        kind=document["kind"],
        text=document["text"],
        token_ids=tuple(document["token_ids"]),
        logprobs=tuple(document["logprobs"]),
        allowed=tuple(None if ids is None else tuple(ids) for ids in document["allowed"]),
    )


def _step(document: Mapping[str, Any]) -> Step:
    tips = tuple(ShownTip(**tip) for tip in document["tips"])
    sampled = document["sampled"]
    return Step(
        **{**document, "tips": tips, "sampled": None if sampled is None else _segment(sampled)}
    )
