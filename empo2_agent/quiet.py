"""Keeping libraries from drawing on a terminal that is ours."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """No loading bars of transformers inside the block; as it was before, afterwards."""
    from transformers.utils import logging  # slow to import, and only needed with a model at hand

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
