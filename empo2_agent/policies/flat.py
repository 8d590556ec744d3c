"""Attention over many conversations laid end to end in one flat row of tokens.

The model sees a batch of one row, without padding and without masks; only the attention knows where
a conversation begins and ends, and keeps the keys and values of each in a buffer of its own. So
conversations of any lengths, at any point, share one forward pass, and none changes another's
numbers.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

from empo2_agent.errors import ModelError

NAME = "empo2_flat"
_UNSUPPORTED = ("softcap", "s_aux", "position_bias")
_GROWTH = 256  # tokens added to a buffer at a time


class Cache:
    """Keys and values of one conversation, for every layer.

    `length` tokens are valid. Buffers are [2, heads, capacity, size]: keys, then values.
    """

    def __init__(self) -> None:
        self.length = 0
        self._layers: dict[int, Tensor] = {}

    def append(self, layer: int, key_HTD: Tensor, value_HTD: Tensor) -> tuple[Tensor, Tensor]:
        """Write new tokens behind the `length` valid ones; all keys and values, [H, T, D]."""
        new = key_HTD.shape[1]
        buffer = self._room(layer, key_HTD, self.length + new)
        buffer[0, :, self.length : self.length + new] = key_HTD
        buffer[1, :, self.length : self.length + new] = value_HTD
        return buffer[0, :, : self.length + new], buffer[1, :, : self.length + new]

    def copy_from(self, other: "Cache", length: int) -> None:
        """Take over the first `length` tokens of another conversation."""
        for layer, buffer in other._layers.items():
            heads, size = buffer.shape[1], buffer.shape[3]
            self._layers[layer] = buffer.new_empty(2, heads, length + _GROWTH, size)
            self._layers[layer][:, :, :length] = buffer[:, :, :length]
        self.length = length

    @property
    def bytes(self) -> int:
        """Memory held."""
        return sum(buffer.nbytes for buffer in self._layers.values())

    def _room(self, layer: int, like_HTD: Tensor, wanted: int) -> Tensor:
        buffer = self._layers.get(layer)
        if buffer is not None and buffer.shape[2] >= wanted:
            return buffer
        heads, _, size = like_HTD.shape
        grown = like_HTD.new_empty(2, heads, wanted + _GROWTH, size)
        if buffer is not None:
            grown[:, :, : self.length] = buffer[:, :, : self.length]
        self._layers[layer] = grown
        return grown


class Shared(NamedTuple):
    """The beginning of a conversation that stands elsewhere in the same pass."""

    start: int
    """Place of its first token in the flat row."""
    length: int


def attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    parts: Sequence[tuple[Cache | Shared | None, int]],
    scaling: float | None = None,
    sliding_window: int | None = None,
    **other: Any,
) -> tuple[Tensor, None]:
    """The attention function registered with transformers; `parts` are (cache, new tokens).

    Without a cache a part is a whole conversation, or goes on from one that is in the same pass;
    gradients flow through it.

    Args:
        module: The attention layer; its `layer_idx` says which.
        query: [1, query heads, tokens of all parts, size]; `key` and `value` with theirs.
        key: See `query`.
        value: See `query`.
        attention_mask: None: causal within each part; anything else is refused.
        parts: Conversations in the order their new tokens are laid out.
        scaling: Factor of the scores.
        sliding_window: Tokens a token may look back to, itself included; None: all.
        other: Refused where it would change the result.
    """
    for name in _UNSUPPORTED:
        if other.get(name) is not None:
            raise ModelError(f"this model's attention uses {name!r}, which is not supported here")
    if attention_mask is not None:
        raise ModelError("this model makes attention masks of its own, which is not supported here")
    layer = int(module.layer_idx)  # type: ignore[arg-type] # set by every attention of transformers
    outputs, start = [], 0
    for held, count in parts:
        here = slice(start, start + count)
        keys, values = key[0, :, here], value[0, :, here]
        if isinstance(held, Cache):
            keys, values = held.append(layer, keys, values)
        elif held is not None:
            there = slice(held.start, held.start + held.length)
            keys = torch.cat([key[0, :, there], keys], dim=1)
            values = torch.cat([value[0, :, there], values], dim=1)
        outputs.append(_attend(query[:, :, here], keys, values, scaling, sliding_window))
        start += count
    joined = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)
    return joined.transpose(1, 2).contiguous(), None


def _attend(
    query: Tensor, keys: Tensor, values: Tensor, scaling: float | None, window: int | None
) -> Tensor:
    """Causal attention of the newest tokens, [1, H, Q, D], over all of one conversation."""
    new, length = query.shape[2], keys.shape[1]
    mask = None
    if (new > 1 and new != length) or (window is not None and length > window):
        at = torch.arange(length - new, length, device=query.device)[:, None]
        to = torch.arange(length, device=query.device)[None, :]
        mask = to <= at if window is None else (to <= at) & (to > at - window)
    return scaled_dot_product_attention(
        query,
        keys[None],
        values[None],
        attn_mask=mask,
        is_causal=mask is None and new > 1,
        scale=scaling,
        enable_gqa=query.shape[1] != keys.shape[0],
    )


def register() -> None:
    """Make `attn_implementation=NAME` known to transformers."""
    AttentionInterface.register(NAME, attention)


def forward(
    model: PreTrainedModel,
    parts: Sequence[tuple[Cache, Sequence[int]]],
    max_tokens: int = 4096,
) -> Tensor:
    """Feed new tokens to conversations.

    Args:
        model: Loaded with `attn_implementation=NAME`.
        parts: For each conversation its cache and at least one new token.
        max_tokens: Most tokens in one pass of the model; what is longer takes several.

    Returns:
        [parts, vocabulary]: logits behind the last new token of each part, float32.
    """
    rows: list[Tensor | None] = [None] * len(parts)
    left = [(n, cache, list(new)) for n, (cache, new) in enumerate(parts)]
    while left:
        room, now, later = max_tokens, [], []
        for n, cache, new in left:
            if room:
                now.append((n, cache, new[:room]))
            if len(new) > room:
                later.append((n, cache, new[room:]))
            room -= min(room, len(new))
        logits = _pass(model, [(cache, new) for _, cache, new in now])
        for row, (n, _, _) in enumerate(now):
            rows[n] = logits[row]
        left = later
    return torch.stack([row for row in rows if row is not None])


def _pass(model: PreTrainedModel, parts: Sequence[tuple[Cache, Sequence[int]]]) -> Tensor:
    device = model.device
    ids = [i for _, new in parts for i in new]
    places = [cache.length + k for cache, new in parts for k in range(len(new))]
    ends = torch.tensor([len(new) for _, new in parts]).cumsum(0) - 1
    with torch.inference_mode():
        logits: Tensor = model(
            input_ids=torch.tensor([ids], device=device),
            position_ids=torch.tensor([places], device=device),
            use_cache=False,
            logits_to_keep=ends.to(device),
            parts=[(cache, len(new)) for cache, new in parts],
        ).logits
    for cache, new in parts:
        cache.length += len(new)
    return logits[0].float()


def verify(model: PreTrainedModel) -> None:
    """Make sure that laying conversations end to end changes nothing for this model.

    Two short texts, fed together and in pieces, must give the logits that the model's own attention
    gives for each alone. Models with a recurrent state, position biases or masks of their own do not.

    Raises:
        ModelError: They differ, or are no numbers.
    """
    if getattr(model, "_is_stateful", False):
        raise ModelError(_refusal(model, "it keeps a recurrent state"))
    size = int(model.config.get_text_config().vocab_size)
    texts = [[(7 * n + 3) % size for n in range(24)], [(11 * n + 5) % size for n in range(15)]]
    caches = [Cache(), Cache()]
    try:
        _pass(model, [(cache, text[:9]) for cache, text in zip(caches, texts, strict=True)])
        found = _pass(model, [(cache, text[9:]) for cache, text in zip(caches, texts, strict=True)])
    except (TypeError, IndexError) as error:
        raise ModelError(_refusal(model, str(error))) from error
    if any(cache.bytes == 0 for cache in caches):
        raise ModelError(_refusal(model, "its attention cannot be replaced"))
    expected = _own_logits(model, texts)
    if bool(expected.isnan().any()):
        raise ModelError("the model's weights are damaged: what it computes is no number (NaN).")
    difference = float((found - expected).abs().max() / expected.abs().max())
    if difference > (1e-3 if model.dtype == torch.float32 else 5e-2):
        raise ModelError(_refusal(model, f"logits differ by {difference:.1%}"))


def _own_logits(model: PreTrainedModel, texts: Sequence[Sequence[int]]) -> Tensor:
    """Logits behind each text alone, by the model's own attention."""
    model.set_attn_implementation("eager")
    try:
        with torch.inference_mode():
            rows = [
                model(
                    input_ids=torch.tensor([list(text)], device=model.device),
                    use_cache=False,
                    logits_to_keep=1,
                ).logits[0, -1]
                for text in texts
            ]
    finally:
        model.set_attn_implementation(NAME)
    return torch.stack(rows).float()


def _refusal(model: PreTrainedModel, reason: str) -> str:
    kind = model.config.model_type
    return f"models of the type {kind} cannot be used: {reason}. Type: empo2 models list"
