"""Flat attention against the models' own, over architectures that differ where it matters."""

import random
from copy import deepcopy

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    Gemma3TextConfig,
    Llama4TextConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

from empo2_agent.errors import ModelError
from empo2_agent.policies import flat

SIZE = {
    "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
    "initializer_range": 0.2, "pad_token_id": 0,
}  # fmt: skip
CONFIGS = {
    "llama": lambda: LlamaConfig(**SIZE),
    "llama-all-heads": lambda: LlamaConfig(**{**SIZE, "num_key_value_heads": 4}),
    "qwen2": lambda: Qwen2Config(**SIZE),
    "qwen3": lambda: Qwen3Config(**SIZE, head_dim=16),
    "mistral-window": lambda: MistralConfig(**SIZE, sliding_window=5),
    "gemma3-mixed": lambda: Gemma3TextConfig(
        **SIZE,
        head_dim=16,
        sliding_window=4,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    ),
}


def twins(config: PreTrainedConfig) -> tuple[PreTrainedModel, PreTrainedModel]:
    """The same random weights with flat attention and with the model's own."""
    flat.register()
    torch.manual_seed(3)
    own = AutoModelForCausalLM.from_config(deepcopy(config), attn_implementation="eager").eval()
    ours = AutoModelForCausalLM.from_config(config, attn_implementation=flat.NAME).eval()
    ours.load_state_dict(own.state_dict())
    return ours, own


@pytest.mark.parametrize("name", CONFIGS)
def test_same_logits_as_the_models_own_attention(name: str) -> None:
    """Three conversations of different lengths, fed in random pieces, against one pass each."""
    ours, own = twins(CONFIGS[name]())
    chance = random.Random(1)
    texts = [[chance.randrange(1, 97) for _ in range(length)] for length in (23, 9, 14)]
    caches = [flat.Cache() for _ in texts]
    fed = [0, 0, 0]
    while any(done < len(text) for done, text in zip(fed, texts, strict=True)):
        parts, rows = [], []
        for n, text in enumerate(texts):
            count = min(chance.randrange(0, 6), len(text) - fed[n])
            if count:
                parts.append((caches[n], text[fed[n] : fed[n] + count]))
                rows.append((n, fed[n] + count))
                fed[n] += count
        if not parts:
            continue
        logits = flat.forward(ours, parts)
        for row, (n, end) in zip(logits, rows, strict=True):
            with torch.inference_mode():
                expected = own(torch.tensor([texts[n][:end]]), use_cache=False).logits[0, -1]
            torch.testing.assert_close(row, expected, atol=2e-5, rtol=1e-4)


def test_a_long_prompt_in_several_passes_gives_the_same_logits() -> None:
    ours, _ = twins(CONFIGS["llama"]())
    texts = [[n % 96 + 1 for n in range(50)], [5, 6, 7], [n % 90 + 2 for n in range(31)]]
    whole = flat.forward(ours, [(flat.Cache(), text) for text in texts])
    caches = [flat.Cache() for _ in texts]
    split = flat.forward(ours, list(zip(caches, texts, strict=True)), max_tokens=8)
    torch.testing.assert_close(split, whole, atol=2e-5, rtol=1e-4)
    assert [cache.length for cache in caches] == [50, 3, 31]


def test_a_copied_beginning_is_independent_of_its_source() -> None:
    ours, own = twins(CONFIGS["llama"]())
    first, second = flat.Cache(), flat.Cache()
    flat.forward(ours, [(first, [1, 2, 3, 4])])
    second.copy_from(first, 2)
    flat.forward(ours, [(first, [90, 91])])
    logits = flat.forward(ours, [(second, [8, 9])])
    with torch.inference_mode():
        expected = own(torch.tensor([[1, 2, 8, 9]]), use_cache=False).logits[0, -1]
    torch.testing.assert_close(logits[0], expected, atol=2e-5, rtol=1e-4)


def test_attention_with_a_term_we_do_not_compute_is_refused() -> None:
    config = Gemma2Config(**SIZE, head_dim=16, attn_logit_softcapping=50.0)
    ours, _ = twins(config)
    with pytest.raises(ModelError, match="'softcap'"):
        flat.forward(ours, [(flat.Cache(), [1, 2])])


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (MambaConfig(vocab_size=97, hidden_size=32, num_hidden_layers=2), "recurrent state"),
        (BloomConfig(vocab_size=97, hidden_size=32, n_layer=2, n_head=4), "cannot be used"),
        (
            Llama4TextConfig(
                **SIZE,
                head_dim=8,
                intermediate_size_mlp=48,
                num_local_experts=2,
                attention_chunk_size=6,
                layer_types=["chunked_attention"] * 3,
                no_rope_layers=[1, 1, 1],
            ),
            "logits differ",
        ),
    ],
    ids=["mamba", "bloom", "llama4-chunked"],
)
def test_models_that_compute_something_else_are_refused(
    config: PreTrainedConfig, reason: str
) -> None:
    flat.register()
    torch.manual_seed(0)
    try:
        model = AutoModelForCausalLM.from_config(config, attn_implementation=flat.NAME).eval()
    except ValueError:  # it does not even let its attention be chosen
        model = AutoModelForCausalLM.from_config(config).eval()
    with pytest.raises(ModelError, match=reason):
        flat.verify(model)


@pytest.mark.parametrize("name", CONFIGS)
def test_models_that_compute_the_same_pass(name: str) -> None:
    ours, _ = twins(CONFIGS[name]())
    flat.verify(ours)
    assert ours.config._attn_implementation == flat.NAME


def test_weights_that_hold_no_number_are_refused() -> None:
    """Where one is NaN every comparison is false: it must not pass for no difference."""
    model, _ = twins(CONFIGS["llama"]())
    with torch.no_grad():
        model.get_input_embeddings().weight[3, 0] = torch.nan
    with pytest.raises(ModelError, match=r"weights are damaged: .* no number"):
        flat.verify(model)
