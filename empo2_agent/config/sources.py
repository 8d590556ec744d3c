"""How several sources of settings become one.

Precedence, lowest first: the defaults, what `train.algorithm` brings (`ALGORITHMS`), `--preset`,
`--config` files in order, `--set` and flags.
A key nobody knows, a value of the wrong type and a setting without effect are errors that name
the source; nothing is ever ignored.
"""

import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from empo2_agent.config.effect import refuse_without_effect
from empo2_agent.config.schema import PRESETS, Settings, flatten
from empo2_agent.config.section import Section
from empo2_agent.config.train import ALGORITHMS
from empo2_agent.errors import UsageError, did_you_mean


class Resolved(NamedTuple):
    """The settings of a run, and for each dotted key where its value came from."""

    settings: Settings
    origins: dict[str, str]
    """`default`, `algorithm NAME`, `preset NAME`, `file PATH`, `--set` or `flag`."""


def resolve(
    *,
    preset: str | None = None,
    files: Sequence[Path] = (),
    pairs: Sequence[str] = (),
    flags: Mapping[str, object] | None = None,
    unused: Collection[str] = (),
    defaults: Mapping[str, object] | None = None,
    trains: bool = False,
) -> Resolved:
    """Merge all sources over the defaults.

    Args:
        preset: A name in `PRESETS`.
        files: TOML files, later ones win.
        pairs: `section.key=value`; the value is TOML, or else taken as a string.
        flags: Values of command-line flags by dotted key; None means the flag was not given.
        unused: Sections and dotted keys the calling command does not read: setting them with
            `--set` is an error. A file may serve several commands.
        defaults: Defaults of the calling command, by dotted key.
        trains: Whether the calling command is `empo2 train`: then settings of training that
            others leave without effect are errors too (see `refuse_without_effect`).

    Raises:
        UsageError: Names the setting, its source and, where there is one, the nearest known key.
    """
    values: dict[str, object] = dict(defaults or {})
    origins = {key: "default" for key, _ in flatten(Settings())}
    given = [
        (key, value, origin)
        for origin, layer in _layers(preset, files, pairs, flags or {})
        for key, value in _leaves(layer, origin)
    ]
    for key, value, origin in (*_bundle(given), *given):
        _refuse_conflict(key, value, origin, values, origins)
        if origin == "--set" and not {key, key.partition(".")[0]}.isdisjoint(unused):
            raise UsageError(f"{key} (--set) has no effect on this command.")
        values[key], origins[key] = value, origin
    try:
        settings = Settings.model_validate(_nest(values))
    except ValidationError as error:
        raise UsageError(_explain(error, origins)) from None
    refuse_without_effect(settings, origins, trains=trains)
    return Resolved(settings, origins)


def _layers(
    preset: str | None, files: Sequence[Path], pairs: Sequence[str], flags: Mapping[str, object]
) -> Iterator[tuple[str, Mapping[str, object]]]:
    if preset is not None:
        if preset not in PRESETS:
            known = did_you_mean(preset, PRESETS) or f" There are: {', '.join(PRESETS)}."
            raise UsageError(f"no preset {preset!r}.{known}")
        yield f"preset {preset}", PRESETS[preset]
    for path in files:
        yield f"file {path}", _read(path)
    for pair in pairs:
        yield "--set", _parse_pair(pair)
    yield "flag", _nest({key: value for key, value in flags.items() if value is not None})


def _bundle(given: Sequence[tuple[str, object, str]]) -> list[tuple[str, object, str]]:
    """What the algorithm that wins sets, in the form of `given`: key, value, origin."""
    asked = [value for key, value, _ in given if key == "train.algorithm"]
    name = asked[-1] if asked else Settings().train.algorithm
    found = ALGORITHMS.get(name) if isinstance(name, str) else None  # validated with the rest
    return [(key, value, f"algorithm {name}") for key, value in (found or {}).items()]


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the settings file {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the settings file {path} is not valid TOML: {error}.") from error


def _parse_pair(pair: str) -> dict[str, object]:
    key, found, raw = pair.partition("=")
    parts = key.strip().split(".")
    if not found or not all(parts):
        raise UsageError(f"--set takes section.key=value, not {pair!r}.")
    try:
        parsed = tomllib.loads(f"value = {raw}")
        value = parsed["value"] if len(parsed) == 1 else raw
    except tomllib.TOMLDecodeError:
        value = raw.strip()
    return _nest({".".join(parts): value})


def _nest(values: Mapping[str, object]) -> dict[str, object]:
    nested: dict[str, object] = {}
    for key, value in values.items():
        *sections, last = key.split(".")
        inner = nested
        for section in sections:
            deeper = inner.setdefault(section, {})
            assert isinstance(deeper, dict)
            inner = deeper
        inner[last] = value
    return nested


def _leaves(layer: Mapping[str, object], origin: str) -> Iterator[tuple[str, object]]:
    """Dotted keys and values of one source, each checked to be a setting there is."""
    for name, value in layer.items():
        default = getattr(Settings(), name) if name in Settings.model_fields else None
        if default is None:
            section = isinstance(value, Mapping)
            near = did_you_mean(name, Settings.model_fields, limit=1) if section else _near(name)
            raise UsageError(f"unknown setting {name} ({origin}).{near}")
        if not isinstance(default, Section | dict):
            yield name, value
            continue
        if not isinstance(value, Mapping):
            raise UsageError(f"{name} ({origin}) is a section: set {name}.KEY.")
        for key, leaf in value.items():
            known = type(default).model_fields if isinstance(default, Section) else None
            if (known is not None and key not in known) or "." in key:
                raise UsageError(f"unknown setting {name}.{key} ({origin}).{_near(key, name)}")
            yield f"{name}.{key}", leaf


def _near(word: str, section: str = "") -> str:
    """The nearest known keys: of the section, else with the same last part anywhere."""
    known = [key for key, _ in flatten(Settings())]
    by_last = {key.rpartition(".")[2]: key for key in known if key.startswith(section)}
    match = did_you_mean(word, by_last, limit=1)
    if match:
        return f" Did you mean {by_last[match.split()[-1].rstrip('?')]}?"
    return did_you_mean(f"{section}.{word}".strip("."), known)


def _refuse_conflict(
    key: str, value: object, origin: str, values: Mapping[str, object], origins: Mapping[str, str]
) -> None:
    if origin == "flag" and origins.get(key) == "--set" and values[key] != value:
        raise UsageError(f"{key} is given twice: {values[key]!r} by --set, {value!r} by its flag.")


def _explain(error: ValidationError, origins: Mapping[str, str]) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"][:2])
    more = len({str(e["loc"][:2]) for e in error.errors()}) - 1
    also = f" (and {more} more)" if more else ""
    return f"bad value for {key} ({origins[key]}): {first['input']!r}. {first['msg']}.{also}"
