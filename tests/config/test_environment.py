import pytest

from empo2_agent.config import Scalar, check_environment_settings
from empo2_agent.errors import UsageError

DEFAULTS: dict[str, Scalar] = {"level": "easy", "size": 3, "share": 0.5, "open": False}


def check(**given: Scalar) -> dict[str, Scalar]:
    return check_environment_settings(DEFAULTS, given, environment="toy")


def test_what_is_not_given_is_the_default() -> None:
    assert check() == DEFAULTS
    assert check(size=4) == {**DEFAULTS, "size": 4}


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("share", 1, 1.0),
        ("size", 4.0, 4),
        ("level", 3, "3"),
        ("open", True, True),
        ("level", "hard", "hard"),
    ],
)
def test_types_become_those_of_the_defaults(key: str, given: Scalar, expected: Scalar) -> None:
    found = check(**{key: given})[key]
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("key", "given"),
    [("size", 4.5), ("size", "4"), ("size", True), ("open", 1), ("open", "yes"), ("level", True),
     ("share", "x"), ("share", False)],
)  # fmt: skip
def test_other_types_are_refused(key: str, given: Scalar) -> None:
    with pytest.raises(UsageError, match=rf"environment\.{key} .* must be of type"):
        check(**{key: given})


def test_unknown_settings_name_environment_source_and_nearest() -> None:
    with pytest.raises(UsageError) as raised:
        check_environment_settings(
            DEFAULTS, {"sise": 1}, environment="toy", origins={"environment.sise": "file a.toml"}
        )
    assert str(raised.value) == (
        "toy has no setting environment.sise (file a.toml). Did you mean size?"
    )
    with pytest.raises(UsageError, match="It has: level, size, share, open"):
        check(qqqqq=1)
    with pytest.raises(UsageError, match="It has: none"):
        check_environment_settings({}, {"a": 1}, environment="toy")
