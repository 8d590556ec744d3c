import json
from pathlib import Path

from empo2_agent.config import Settings, resolve
from tests.cli.conftest import Empo2


def test_show_is_toml_that_config_reads_back(tmp_path: Path, empo2: Empo2) -> None:
    given = [
        "--set",
        'model.name="a \\"quoted\\" é \U0001f600"',
        "--set",
        'environment.odd key="x"',
    ]
    shown = empo2("config", "show", "--origin", "--preset", "paper-scienceworld", *given)
    assert (shown.code, shown.err) == (0, "")
    (tmp_path / "again.toml").write_text(shown.out, "utf-8")
    first = resolve(preset="paper-scienceworld", pairs=given[1::2]).settings
    assert resolve(files=[tmp_path / "again.toml"]).settings == first
    assert first.model.name == 'a "quoted" é \U0001f600'


def test_origin(tmp_path: Path, empo2: Empo2) -> None:
    path = tmp_path / "my.toml"
    path.write_text("memory.max_tips = 3", "utf-8")
    arguments = ["--config", str(path), "--set", "memory.scope=variation", "--seed", "5"]
    lines = empo2("config", "show", "--origin", *arguments).out.splitlines()
    found = {line.split(" ")[0]: line.partition("#")[2].strip() for line in lines}
    assert found["memory.max_tips"] == f"file {path}"
    assert found["memory.scope"] == "--set"
    assert found["seed"] == "flag"
    assert found["memory.key"] == "default"
    assert "file" not in empo2("config", "show", *arguments).out


def test_json(empo2: Empo2) -> None:
    document = json.loads(empo2("config", "show", "--json").out)
    assert document == {"settings": Settings().model_dump(mode="json")}
    document = json.loads(empo2("config", "show", "--json", "--origin", "--max-steps", "7").out)
    assert document["settings"]["episode"]["max_steps"] == 7
    assert document["origins"]["episode.max_steps"] == "flag"


def test_environment_settings_are_checked_and_completed(empo2: Empo2) -> None:
    document = json.loads(
        empo2(
            *("config", "show", "--json", "--origin", "--environment", "scienceworld"),
            *("--preset", "paper-scienceworld"),
        ).out
    )
    assert document["settings"]["environment"]["simplifications"] == "easy"
    assert document["origins"]["environment.simplifications"] == "preset paper-scienceworld"
    assert "default of scienceworld" in document["origins"].values()
    wrong = empo2("config", "show", "--environment", "scienceworld", "--set", "environment.x=1")
    assert wrong.code == 2
    assert "scienceworld has no setting environment.x (--set)" in wrong.err


def test_errors_end_with_2(tmp_path: Path, empo2: Empo2) -> None:
    (tmp_path / "torn.toml").write_text("[memory\n", "utf-8")
    wrong = empo2("config", "show", "--config", str(tmp_path / "torn.toml"))
    assert (wrong.code, wrong.out) == (2, "")
    assert "torn.toml is not valid TOML" in wrong.err
    assert empo2("config", "show", "--max-steps", "0").code == 2
