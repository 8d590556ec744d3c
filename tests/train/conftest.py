"""Episodes that many tests of training share, played once a session."""

from collections.abc import Callable
from pathlib import Path

import pytest

from empo2_agent.types import ActionStyle, Episode

Plays = Callable[[ActionStyle, bool], list[Episode]]


@pytest.fixture(scope="session")
def plays(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Plays:
    """From the style of acting, and whether tips are shown, to two episodes of four steps."""
    from tests.train.played import play  # torch and chromadb, which not every test here needs

    known: dict[tuple[ActionStyle, bool], list[Episode]] = {}

    def find(style: ActionStyle, tips: bool) -> list[Episode]:
        if (style, tips) not in known:
            memory = tmp_path_factory.mktemp("tips")
            known[style, tips] = play(tiny_model_dir, memory, style, tips=tips)
        return known[style, tips]

    return find
