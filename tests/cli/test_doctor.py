import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Empo2
from tests.plugin_package import COUNTING, install


def checks(empo2: Empo2, code: int) -> dict[str, dict[str, Any]]:
    shown = empo2("doctor", "--json")
    assert shown.code == code, shown
    document = json.loads(shown.out)
    assert document["ok"] == (code == 0)
    return {f"{check['group']}: {check['thing']}": check for check in document["checks"]}


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and data folder."""
    monkeypatch.setenv("EMPO2_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EMPO2_DATA", str(tmp_path / "data"))
    return tmp_path


def test_what_is_there_and_what_is_not_needed(empo2: Empo2, folders: Path) -> None:
    found = checks(empo2, 0)
    assert found["engine and memory packages: torch"]["ok"]
    model = found["model: smollm2-135m"]
    assert (model["ok"], model["needed"]) == (False, False)
    assert "empo2 models pull smollm2-135m" in model["detail"]
    assert found["memory: tips"]["detail"] == str(folders / "data" / "memory")
    assert any(key.startswith("environment scienceworld: ") for key in found)
    text = empo2("doctor")
    assert text.code == 0
    assert text.out.endswith("For `empo2 adapt`: everything is there.\n")
    assert not (folders / "cache").exists()
    assert not (folders / "data").exists()


def test_a_damaged_model_is_missing(empo2: Empo2, folders: Path) -> None:
    (folders / "cache" / "models" / "smollm2-135m").mkdir(parents=True)
    model = checks(empo2, 3)["model: smollm2-135m"]
    assert (model["ok"], model["needed"]) == (False, True)
    assert "Type: empo2 models pull smollm2-135m" in model["detail"]
    assert "For `empo2 adapt`: 1 missing." in empo2("doctor").out


def test_a_memory_that_cannot_be_written_is_missing(empo2: Empo2, folders: Path) -> None:
    (folders / "data").write_text("a file where the folder should be", "utf-8")
    assert not checks(empo2, 3)["memory: tips"]["ok"]


def test_plugins_of_others_are_shown_but_not_needed(
    empo2: Empo2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "p", "counting", COUNTING, package="counting-for-doctor")
    monkeypatch.syspath_prepend(install(tmp_path / "p", "broken-for-doctor", "1 / 0"))
    found = checks(empo2, 0)
    assert found["environment counting: counting"]["ok"]
    broken = found["environment broken-for-doctor: plugin"]
    assert (broken["ok"], broken["needed"]) == (False, False)
    assert "ZeroDivisionError" in broken["detail"]
