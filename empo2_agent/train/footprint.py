"""How much memory training takes, from a model's files alone: nothing of it is loaded.

One rule: only what grows with the model or the settings is counted item by item; every constant
says where it was measured.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PROGRAM_BYTES = 0.9e9
"""Python, torch, transformers, Chroma and the embedding model, before any model is loaded."""
HEAP_SPREAD = 1.8
"""What the C library's heap comes to hold, in multiples of what is alive in it. Measured with
SmolLM2-135M, an adapter of rank 8, float32, one thread, rows of 1,000 tokens: 1.3 MB a token in the
first pass, which is what `activation_bytes` gives; once passes of other lengths came before, peaks
of 6.1 GB at 2,000 tokens a pass and 10.8 GB at 4,000, that is 2.4 MB a token."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a model decides how much memory it takes."""

    parameters: int
    linear: int
    """Inputs plus outputs, summed over the linear layers that an adapter is put on."""
    layers: int
    hidden: int
    keys: int
    """Width of the keys of one layer; the values have the same."""
    feed_forward: int
    vocabulary: int
    context: int
    """Most tokens it can read."""


@dataclass(frozen=True, slots=True)
class Load:
    """What it is to do."""

    bytes_per_number: int
    """Of weights, activations, keys and values: 4, or 2."""
    lora_rank: int
    """0: full weights."""
    learns: bool
    keeps_reference: bool
    """Whether a copy of the first weights is kept for the KL term."""
    gradient_checkpointing: bool
    pass_tokens: int
    """In one forward and backward pass."""
    drawn_share: float
    """Share of them that were drawn, and are projected onto the vocabulary."""
    episode_tokens: int
    spread: float
    """What activations take, in multiples of their size (`HEAP_SPREAD` on a CPU)."""
    concurrent: int
    """Episodes played at once."""
    world_bytes: float
    """Of the processes behind one environment."""


def read_shape(folder: Path) -> Shape | None:
    """The shape of a model folder; None where its config.json does not tell.

    The files' headers name every tensor, so the number of parameters is exact.
    """
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        config = config.get("text_config", config)
        heads = int(config["num_attention_heads"])
        size = config.get("head_dim") or int(config["hidden_size"]) // heads
        tensors = dict(_tensors(folder))
        return Shape(
            parameters=sum(map(_count, tensors.values())),
            linear=sum(sum(shape) for name, shape in tensors.items() if _is_linear(name, shape)),
            layers=int(config["num_hidden_layers"]),
            hidden=int(config["hidden_size"]),
            keys=int(config.get("num_key_value_heads") or heads) * int(size),
            feed_forward=int(config["intermediate_size"]),
            vocabulary=int(config["vocab_size"]),
            context=int(config["max_position_embeddings"]),
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        return None


def footprint(shape: Shape, load: Load) -> dict[str, float]:
    """Bytes at the peak by what they are for, largest phase only: playing, or an update.

    AdamW keeps two float32 numbers for each trained one, and a float32 copy of it where the model's
    own is narrower.
    """
    number = load.bytes_per_number
    trained = (load.lora_rank * shape.linear or shape.parameters) if load.learns else 0
    needed = {
        "program": PROGRAM_BYTES,
        "weights": float(shape.parameters * number),
        "adapter": float(trained * number if load.lora_rank else 0),
        "reference": float(shape.parameters * number if load.keeps_reference else 0),
        "gradients": float(trained * number),
        "optimizer": float(trained * (8 if number == 4 else 16)),
        "environments": load.concurrent * load.world_bytes,
    }
    playing = load.concurrent * load.episode_tokens * 2.0 * shape.layers * shape.keys * number
    activations = load.pass_tokens * activation_bytes(shape, load)
    updating = activations * load.spread if load.learns else 0.0
    if updating >= playing:
        needed["activations"] = updating
    else:
        needed["keys and values"] = playing
    return {name: size for name, size in needed.items() if size}


def activation_bytes(shape: Shape, load: Load) -> float:
    """Of one token of a pass, kept for the backward pass or made in it.

    A layer of the Llama kind keeps what its products need: the input of both norms and what comes
    out of them, queries and keys and values, the attention's output before and after it is put in
    order, and four of the width of its feed-forward part (gate, its activation, up, their
    product). With checkpointing only each layer's input is kept, and one layer's all at a time. Of
    logits there are four copies of 4 bytes at each drawn token: as computed, by temperature, as
    log-probabilities, and their gradient.
    """
    layer = 8.0 * shape.hidden + 2.0 * shape.keys + 4.0 * shape.feed_forward
    kept = layer * shape.layers
    if load.gradient_checkpointing:
        kept = float(shape.hidden * shape.layers) + layer
    return kept * load.bytes_per_number + load.drawn_share * shape.vocabulary * 4 * 4


def _tensors(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Name and shape of every tensor in the safetensors files of a folder.

    The format: 8 bytes header length (little endian), then the header as JSON.
    """
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as stream:
            header: Mapping[str, Mapping[str, list[int]]] = json.loads(
                stream.read(int.from_bytes(stream.read(8), "little"))
            )
        yield from (
            (name, entry["shape"]) for name, entry in header.items() if name != "__metadata__"
        )


def _count(shape: list[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def _is_linear(name: str, shape: list[int]) -> bool:
    return len(shape) == 2 and "embed" not in name and "lm_head" not in name
