"""The rules of CONTRIBUTING.md hold for this repository, and the checker finds what breaks them."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture import HEAVY, heavy_modules, read_tree, violations

ROOT = Path(__file__).parent.parent


def write(root: Path, sources: dict[str, str]) -> Path:
    """A source tree from relative paths and texts."""
    for name, text in sources.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return root


def test_this_repository_keeps_the_rules() -> None:
    assert violations(ROOT) == []


def test_the_checker_reads_the_whole_repository() -> None:
    names = {module.name for module in read_tree(ROOT)}
    assert {"empo2_agent.errors", "empo2_agent.cli", "empo2_toy", "empo2_scienceworld"} <= names


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("empo2_agent/config.py", "from empo2_agent.cli import app", "upwards: empo2_agent.cli"),
        ("empo2_agent/config.py", "from empo2_agent import cli", "upwards: empo2_agent.cli"),
        ("empo2_agent/config.py", "from . import cli", "upwards: empo2_agent.cli"),
        ("empo2_agent/runs/folder.py", "from ..cli import app", "upwards: empo2_agent.cli"),
        ("empo2_agent/episode.py", "def f():\n    import empo2_agent.rollout", "upwards"),
        ("empo2_agent/rollout.py", "from empo2_agent.train import loop", "upwards"),
        ("empo2_agent/stats.py", "from empo2_agent.config import Settings", "stop at the command"),
        ("empo2_agent/cli/play.py", "import empo2_toy", "the core imports the plugin empo2_toy"),
        ("empo2_agent/oddments.py", "", "oddments has no place"),
        ("empo2_agent/episode.py", "import torch", "importing it imports torch"),
        ("empo2_agent/episode.py", "try:\n    import torch.nn\nexcept ImportError: ...", "torch"),
        ("empo2_agent/episode.py", "class A:\n    import numpy as np", "imports numpy"),
        ("empo2_agent/policies/__init__.py", "import transformers", "imports transformers"),
        ("empo2_agent/stats.py", "x = 1\n" * 401, "401 lines, more than 400"),
        ("empo2_agent/stats.py", "def f():\n    global x\n    x = 1", "global statement"),
        ("plugins/empo2_toy/world.py", "from empo2_agent.runs import Run", "a plugin sees only"),
        ("plugins/empo2_toy/world.py", "from empo2_agent import runs", "a plugin sees only"),
        ("plugins/empo2_toy/world.py", "import empo2_other", "another plugin: empo2_other"),
        ("plugins/empo2_other/__init__.py", "import scienceworld", "imports scienceworld"),
    ],
)
def test_the_checker_bites(tmp_path: Path, path: str, source: str, complaint: str) -> None:
    write(tmp_path, {f"plugins/{name}/__init__.py": "" for name in ("empo2_toy", "empo2_other")})
    write(tmp_path, {path: source})
    found = violations(tmp_path)
    assert all(line.startswith(f"{path}: ") for line in found)
    assert any(complaint in line for line in found)


def test_heaviness_spreads_through_imports_but_not_through_lazy_ones(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "empo2_agent/policies/transformers.py": "import torch",
            "empo2_agent/policies/models.py": "def f():\n    import torch",
            "empo2_agent/adapt.py": "from empo2_agent.policies.transformers import Policy",
            "empo2_agent/evaluate.py": "def f():\n    from empo2_agent.policies.transformers import Policy",
            "empo2_agent/report.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch",
            "empo2_agent/testing.py": "from empo2_agent.policies.models import f",
            "empo2_agent/cli/adapt.py": "import empo2_agent.adapt",
        },
    )
    assert [line.split(": ")[0] for line in violations(root)] == [
        "empo2_agent/adapt.py",
        "empo2_agent/cli/adapt.py",
    ]


def test_allowed_imports_are_not_reported(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "empo2_agent/__init__.py": "",
            "empo2_agent/cli/adapt.py": "from empo2_agent.config import Settings\nimport rich",
            "empo2_agent/memory/chroma.py": "import chromadb\nfrom empo2_agent.errors import Empo2Error",
            "empo2_agent/memory/tips.py": "from empo2_agent.memory.limits import x",
            "empo2_agent/memory/limits.py": "",
            "empo2_agent/tasks.py": "from empo2_agent.plugins import load_plugin",
            "plugins/empo2_toy/__init__.py": "from empo2_agent.types import Task\nimport empo2_toy.world",
            "plugins/empo2_toy/world.py": "from empo2_agent import errors, testing",
        },
    )
    assert violations(root) == []


def test_light_modules_load_nothing_heavy_in_practice() -> None:
    """The checker reads syntax; this is what Python really does."""
    modules = read_tree(ROOT)
    heavy = heavy_modules(modules)
    light = [module.name for module in modules if module.name not in heavy]
    code = (
        "import importlib, sys\n"
        f"for name in {light!r}: importlib.import_module(name)\n"
        f"print(sorted({set(HEAVY)!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() == "[]"


def test_ruff_guards_the_size_of_functions() -> None:
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["ruff"]["lint"]
    assert {"C90", "PLR0915"} <= set(lint["select"])
    assert not {"C90", "C901", "PLR0915"} & set(lint["ignore"])
    assert (lint["mccabe"]["max-complexity"], lint["pylint"]["max-statements"]) == (10, 40)


def test_no_package_is_called_plugins() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    packages = wheel["targets"]["wheel"]["packages"]
    assert "plugins" not in packages
    shipped = {Path(package).name for package in packages}
    assert shipped == {"empo2_agent", *(p.parent.name for p in ROOT.glob("plugins/*/__init__.py"))}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_git_ignores_no_source_file() -> None:
    """A pattern such as `runs/` for output folders also hides a package of that name."""
    sources = [str(path) for name in ("empo2_agent", "plugins", "tests", "benchmarks")
               for path in (ROOT / name).rglob("*.py")]  # fmt: skip
    done = subprocess.run(
        ["git", "-C", str(ROOT), "check-ignore", "--no-index", *sources],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
    assert done.returncode == 1, done.stderr  # 1: none is ignored
