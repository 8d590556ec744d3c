"""A tip as a row of the store, and back.

One rule: a row never changes. Its id is a digest of what makes two tips the same (text, key and
where they belong), so an exact duplicate cannot be stored twice, not even by two machines at once,
and whoever knows a row's id knows its content.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from empo2_agent.memory.tips import Scope, scope_key
from empo2_agent.text import clean, one_line
from empo2_agent.types import Tip

_TYPES = {field.name: field.type for field in fields(Tip)}


def tidy(tip: Tip) -> Tip:
    """The tip as it is stored: control characters removed, one line but for the key.

    Raises:
        ValueError: It has no id, or a score is not a finite number (no order could be made of it).
    """
    if not one_line(tip.id):
        raise ValueError("the tip has no id")
    if not (math.isfinite(tip.score) and math.isfinite(tip.max_score)):
        raise ValueError(f"tip {tip.id}: the score {tip.score} of {tip.max_score} is not finite")
    lines: dict[str, Any] = {
        name: one_line(getattr(tip, name)) for name in _TYPES if _TYPES[name] is str
    }
    return replace(tip, **{**lines, "key": clean(tip.key).strip()})


def row_id(tip: Tip) -> str:
    """32 hexadecimal digits: the same for two tips that are exact duplicates."""
    same = [tip.text, tip.key, tip.environment, tip.task, tip.variation]
    return hashlib.blake2b(json.dumps(same).encode("ascii"), digest_size=16).hexdigest()


def to_metadata(tip: Tip) -> dict[str, str | int | float]:
    """Everything but the text, which is the row's document; and the names of its scopes."""
    metadata = asdict(tip)
    del metadata["text"]
    metadata["tip"] = metadata.pop("id")
    for scope in ("task", "variation"):
        metadata[f"in_{scope}"] = scope_key(scope, tip.environment, tip.task, tip.variation)
    return metadata


def from_metadata(metadata: Mapping[str, Any], text: str) -> Tip:
    """The inverse of `to_metadata`.

    Raises:
        KeyError, ValueError: The row was not written by `to_metadata`.
    """
    own = {name: metadata[name] for name in _TYPES if name not in ("id", "text")}
    return parse({**own, "id": metadata["tip"], "text": text})


def scope_filter(scope: Scope, environment: str, task: str, variation: int) -> dict[str, str]:
    """A Chroma `where` clause for the rows of one scope: a single equality, the fastest kind."""
    column = "environment" if scope == "environment" else f"in_{scope}"
    return {column: scope_key(scope, environment, task, variation)}


def parse(document: Mapping[str, Any]) -> Tip:
    """A tip from a JSON object.

    Raises:
        ValueError: A field is missing, unknown or of the wrong type.
    """
    if missing := _TYPES.keys() - document.keys():
        raise ValueError(f"no {', '.join(sorted(missing))}")
    if unknown := document.keys() - _TYPES.keys():
        raise ValueError(f"unknown {', '.join(sorted(unknown))}")
    values: dict[str, Any] = {
        name: float(value) if _TYPES[name] is float and type(value) is int else value
        for name, value in document.items()
    }
    for name, value in values.items():
        if type(value) is not _TYPES[name]:
            raise ValueError(f"{name} is no {getattr(_TYPES[name], '__name__', _TYPES[name])}")
    return Tip(**values)


def to_line(tip: Tip) -> str:
    """One line of a JSONL file, without its newline."""
    return json.dumps(asdict(tip), allow_nan=False)


def from_lines(lines: Sequence[str]) -> Iterator[Tip]:
    """The tips of a JSONL file; blank lines are skipped.

    Raises:
        ValueError: A line holds no tip; says which and why.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
            if not isinstance(document, dict):
                raise ValueError("not a JSON object")
            yield tidy(parse(document))
        except ValueError as error:
            raise ValueError(f"line {number} is no tip: {error}") from error
