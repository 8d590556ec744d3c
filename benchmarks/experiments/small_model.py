"""A chat model of two million random weights, with a tokenizer trained on the red lamp's texts."""

import random
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from empo2_agent.prompts import TIP_REQUEST
from empo2_agent.types import Task
from empo2_toy import PLUGIN

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CONTEXT = 4096


def texts(seed: int = 0) -> list[str]:
    """What is read in the red lamp's house: random walks through the train variations."""
    draw, found = random.Random(seed), [TIP_REQUEST, "Tips from earlier episodes: Do: Do not:"]
    world = PLUGIN.make({})
    for variation in PLUGIN.variations("red-lamp", "train"):
        task = Task("toy", "red-lamp", variation)
        found += [PLUGIN.instructions(task), world.reset(task, seed=0).observation]
        for _ in range(60):
            actions = world.actions()
            if not actions:
                break
            action = draw.choice(list(actions))
            found += [action, world.step(action).observation]
    return found


def tokenizer() -> Any:
    """Byte-level BPE of 600 tokens, with ChatML's special tokens and template."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        chat_template=TEMPLATE,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def make(folder: Path, seed: int) -> Path:
    """Save a random Llama of 4 layers and width 192 and its tokenizer, unless it is there."""
    if (folder / "config.json").exists():
        return folder
    words = tokenizer()
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    torch.manual_seed(seed)
    LlamaForCausalLM(config).float().save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
