"""Models that many tests share, built or fetched once a session."""

from pathlib import Path

import pytest
from hypothesis import settings

from tests.tiny import make_tiny_model

settings.register_profile("empo2", deadline=None)  # a busy machine is no failure
settings.load_profile("empo2")


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random chat model of about 300 tokens (see `tests.tiny`). Do not change it."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny-model"))


@pytest.fixture(scope="session")
def default_model_dir() -> Path:
    """The default model, fetched on first use. For tests marked `model`. Do not change it."""
    from empo2_agent.policies.models import ensure_model  # its clients are not for every test

    return ensure_model(None)
