"""Toy episodes played by a tiny random model: what the learner is tested on.

The model computes in double precision throughout (see `exact`), so that two ways to the same number
may be compared to nine digits.
"""

import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from empo2_agent.memory.chroma import ChromaTips
from empo2_agent.memory.recall import recaller
from empo2_agent.needs import Rules
from empo2_agent.policies.transformers import TransformersPolicy, load
from empo2_agent.rollout import Finished
from empo2_agent.stage import Stage, Wanted, episode_seed, play_all
from empo2_agent.text import words
from empo2_agent.types import ActionStyle, Episode, Task, Tip
from empo2_agent.worlds import Deadlines, Worlds
from empo2_toy import PLUGIN

Mode = Literal["plain", "with-tips", "off-policy"]
MODES: tuple[Mode, ...] = ("plain", "with-tips", "off-policy")
STYLES: tuple[ActionStyle, ...] = ("constrained", "free", "correct")
TASK = Task("toy", "red-lamp", 3, "train")
TEMPERATURE = 1.3
_SIZE = 64


class WordCounts:
    """An `Embedder` without a model: which words a text has, hashed into 64 numbers."""

    name = "word-counts"

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """See `Embedder.embed`."""
        return [_unit(text) for text in texts]


def _unit(text: str) -> list[float]:
    vector = [0.0] * _SIZE
    for word in words(text) or {""}:
        vector[zlib.crc32(word.encode()) % _SIZE] += 1.0
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


def exact(model: PreTrainedModel) -> PreTrainedModel:
    """The same model in float64, norms included: those of Llama pass through float32."""
    model.double()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LlamaRMSNorm):
                norm = torch.nn.RMSNorm(child.weight.shape, child.variance_epsilon).double()
                norm.weight = child.weight
                setattr(parent, name, norm)
    return model


def exact_policy(folder: Path) -> TransformersPolicy:
    """The tiny model as a policy."""
    policy = load(folder, name="tiny", dtype="float32", device="cpu")
    exact(policy.model)
    return policy


def own_attention(folder: Path) -> PreTrainedModel:
    """The tiny model with an attention of transformers (`eager` passes through float32)."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa"
    )
    return exact(model).eval()


def play(
    folder: Path, memory: Path, style: ActionStyle, *, tips: bool, count: int = 2, steps: int = 4
) -> list[Episode]:
    """Episodes of one task, in order; with `tips`, another one is shown in every turn."""
    policy = exact_policy(folder)
    rules = Rules(
        max_steps=steps,
        max_prompt_tokens=3000,
        max_reply_tokens=6,
        max_score=PLUGIN.max_score,
        style=style,
        temperature=TEMPERATURE,
    )
    wanted = [Wanted(TASK, episode_seed(7, n), memory=tips, tip=False) for n in range(count)]
    with (
        ChromaTips(memory, WordCounts(), threshold=0.0, max_tips=1) as store,
        Worlds(lambda: PLUGIN.make({}), Deadlines(step=10, reset=10)) as worlds,
    ):
        store.add(seeded_tips(steps))
        recall = recaller(
            store, lambda text: len(policy.chat.world(text)[1]), per_turn=500, per_episode=2000
        )
        stage = Stage(policy, worlds, rules, PLUGIN.instructions, recall, concurrency=count)
        found = [event for event in play_all(stage, wanted) if isinstance(event, Finished)]
    return [event.episode for event in sorted(found, key=lambda event: event.index)]


def seeded_tips(count: int) -> list[Tip]:
    """Tips that have nothing in common but their subject."""
    said = (
        "red lamp lies inside the garden shed",
        "cellar barrel held only rope",
        "attic box was empty, do not climb there again",
        "kitchen oven and cupboard contained nothing useful",
    )
    return [
        Tip(
            id=f"earlier/{n}/0",
            text=text,
            key="You are in the hall. Task: find the red lamp and turn it on.",
            action=f"open place {n}",
            score=1.0 - n / 10,
            max_score=1.0,
            environment="toy",
            task="red-lamp",
            variation=TASK.variation,
            run="earlier",
            episode=n,
            step=0,
            model="tiny v0",
            created=f"2026-11-22T10:00:0{n}+00:00",
        )
        for n, text in enumerate(said[:count])
    ]


def uneven(episodes: Sequence[Episode]) -> list[list[float]]:
    """Advantages, another for every step, of both signs."""
    return [
        [(-1) ** (e + s) * (0.5 + 0.3 * s + 0.1 * e) for s in range(len(episode.steps))]
        for e, episode in enumerate(episodes)
    ]
