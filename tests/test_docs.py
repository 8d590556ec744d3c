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


def test_every_command_named_in_the_documents_exists() -> None:
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for command in re.findall(r"(?:^|`)empo2 ([a-z]+)", path.read_text("utf-8"), re.MULTILINE):
            assert command in COMMANDS, f"{path.name} names empo2 {command}"
