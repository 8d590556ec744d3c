"""Documents whose code is run, so that it cannot go stale."""

import re
from pathlib import Path
from typing import Any

from empo2_agent.cli import COMMANDS
from empo2_agent.testing import check_environment

ROOT = Path(__file__).parent.parent


def test_the_environment_in_the_guide_keeps_the_contract() -> None:
    text = (ROOT / "docs" / "environments.md").read_text("utf-8")
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code[0], "environments.md", "exec"), names)
    check_environment(names["PLUGIN"])


def test_the_readme_shows_a_command_early_and_has_no_gaps() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert next(n for n, line in enumerate(lines, start=1) if line.startswith("make ")) <= 15
    assert not any("@@" in line for line in lines)


def test_every_benchmark_has_a_result_that_the_readme_names() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for path in (ROOT / "benchmarks").glob("*.py"):
        if "__main__" in path.read_text("utf-8"):  # the others are what these share
            assert (ROOT / "benchmarks" / "results" / f"{path.stem}.json").exists(), path.name
            assert f"`{path.stem}`" in readme, path.name


def test_every_command_named_in_the_documents_exists() -> None:
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for command in re.findall(r"(?:^|`)empo2 ([a-z]+)", path.read_text("utf-8"), re.MULTILINE):
            assert command in COMMANDS, f"{path.name} names empo2 {command}"
