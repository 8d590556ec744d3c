import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from empo2_agent import __version__
from empo2_agent.cli import COMMANDS
from empo2_agent.cli.common import emit_json, table
from empo2_agent.errors import Empo2Error, EnvironmentUnavailableError, ModelError, UsageError
from tests.architecture import HEAVY
from tests.cli.conftest import Empo2


def test_help_lists_every_command_with_examples(empo2: Empo2) -> None:
    shown = empo2("--help")
    assert (shown.code, shown.err) == (0, "")
    for name, (_, line) in COMMANDS.items():
        assert f"  {name:<6}  {line}\n" in shown.out
    assert "  empo2 adapt --task find-non-living-thing --trials 5\n" in shown.out


def test_without_arguments_it_helps(empo2: Empo2) -> None:
    shown = empo2()
    assert shown.code == 2
    assert "Commands:" in shown.out + shown.err


def test_version(empo2: Empo2) -> None:
    assert empo2("--version").out == f"{__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_every_subcommand_has_help_with_an_example(
    name: str, empo2: Empo2
) -> None:
    app = importlib.import_module(f"empo2_agent.cli.{COMMANDS[name][0]}").app
    assert isinstance(app, typer.Typer)
    names = [c.name or c.callback.__name__ for c in app.registered_commands if c.callback]
    assert names
    is_group = app.registered_callback is not None or len(names) > 1
    for page in [[name, inner] for inner in names] if is_group else [[name]]:
        shown = empo2(*page, "--help")
        assert shown.code == 0, shown
        assert "Examples:\n" in shown.out, page


@pytest.mark.parametrize(
    "arguments", [["--help"], ["envs", "list"], ["runs", "list"], ["config", "show"]]
)
def test_quick_commands_load_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom empo2_agent.cli import main\n"
        f"sys.argv = ['empo2', *{arguments!r}]\n"
        "try:\n    main()\nfinally:\n"
        f"    print(sorted({set(HEAVY)!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "[]\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tisp"], "No such command 'tisp'. Did you mean 'tips'?"),
        (["adapt", "--trials", "0"], "Type: empo2 adapt --help"),
        (["adapt", "--tirals\x1b[31m\n", "3"], "No such option: --tirals"),
        (["runs", "lst"], "No such command 'lst'. Did you mean 'list'?"),
        (["runs", "list", "--jsn"], "--json"),
        (["runs", "show"], "Missing argument"),
        (["runs", "show", "x", "--episode", "-1"], "Invalid value for '--episode'"),
        (["config", "show", "--seed", "x"], "Invalid value for '--seed'"),
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str], said: str, empo2: Empo2) -> None:
    shown = empo2(*arguments)
    assert (shown.code, shown.out) == (2, "")
    assert said in shown.err
    first, second = shown.err.splitlines()
    assert first.startswith("error: ")
    assert second.startswith("Type: empo2 ")
    assert second.endswith(" --help")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Empo2Error("it broke"), 1),
        (UsageError("no such [bold]task[/bold]"), 2),
        (EnvironmentUnavailableError("no Java"), 3),
        (ModelError("no model \x1b[31mred\x1b[0m"), 4),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_become_one_line_and_a_code(
    error: BaseException, code: int, empo2: Empo2, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("empo2_agent.cli.runs.list_runs", fail)
    shown = empo2("runs", "list")
    assert (shown.code, shown.out) == (code, "")
    expected = str(error).replace("\x1b[31m", "").replace("\x1b[0m", "")
    assert shown.err.strip() == (f"error: {expected}" if expected else "")
    debugged = empo2("runs", "list", "--debug")
    assert debugged.code == code
    assert ("Traceback" in debugged.err) == bool(expected)


def test_a_bug_keeps_its_traceback(empo2: Empo2, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("empo2_agent.cli.runs.list_runs", fail)
    with pytest.raises(ZeroDivisionError):
        empo2("runs", "list")


def test_a_reader_that_leaves_early_is_no_traceback(tmp_path: Path) -> None:
    for number in range(3000):  # more than a pipe holds
        (tmp_path / f"run-with-a-long-name-{number:05}").mkdir()
        (tmp_path / f"run-with-a-long-name-{number:05}" / "run.json").write_text("{", "utf-8")
    code = "from empo2_agent.cli import main; main()"
    command = [sys.executable, "-c", code, "runs", "list", "--root", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as listing:
        assert listing.stdout is not None
        assert listing.stderr is not None
        listing.stdout.readline()
        listing.stdout.close()
        assert listing.stderr.read() == b""
        assert listing.wait(timeout=60) == 1


def test_json_is_ascii_and_refuses_nan(capsys: pytest.CaptureFixture[str]) -> None:
    emit_json({"text": "é\x9b31m"})
    assert capsys.readouterr().out == '{"text": "\\u00e9\\u009b31m"}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        emit_json(float("nan"))


def test_tables_align_and_show_text_as_it_is() -> None:
    lines = table(("name", "n"), [["[red]a", 5], ["b\nc\x1b[2J", None], ["d", 12.5]])
    assert lines == ["name       n", "[red]a     5", "b c        -", "d       12.5"]
    assert table(("a", "b"), []) == ["a  b"]
