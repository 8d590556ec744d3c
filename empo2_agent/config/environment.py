"""Settings of an environment, checked against the defaults its plugin declares."""

from collections.abc import Mapping

from empo2_agent.config.section import Scalar
from empo2_agent.errors import UsageError, did_you_mean


def check_environment_settings(
    defaults: Mapping[str, Scalar],
    given: Mapping[str, Scalar],
    *,
    environment: str,
    origins: Mapping[str, str] | None = None,
) -> dict[str, Scalar]:
    """Fill `given` up with an environment's `defaults`, with the types of the defaults.

    An int is taken where a float is wanted, and the other way round where nothing is lost;
    a number is taken where a string is wanted.

    Raises:
        UsageError: The environment has no such setting, or it has another type.
    """
    checked = dict(defaults)
    for key, value in given.items():
        source = (origins or {}).get(f"environment.{key}", "given")
        if key not in defaults:
            known = did_you_mean(key, defaults) or f" It has: {', '.join(defaults) or 'none'}."
            raise UsageError(f"{environment} has no setting environment.{key} ({source}).{known}")
        checked[key] = _coerce(value, type(defaults[key]), f"environment.{key} ({source})")
    return checked


def _coerce(value: Scalar, wanted: type, where: str) -> Scalar:
    if type(value) is wanted:
        return value
    if not isinstance(value, bool):
        if wanted is float and isinstance(value, int):
            return float(value)
        if wanted is int and isinstance(value, float) and value.is_integer():
            return int(value)
        if wanted is str:
            return str(value)
    raise UsageError(f"{where} must be of type {wanted.__name__}, not {value!r}.")
