"""One GRPO update: this learner against `GRPOTrainer` of TRL, same prompts, completions and weights.

Generation is left out: the trainer is given prepared completions. Both sides compute the loss, its
gradient for the same LoRA adapter, and a step of AdamW, in float32. TRL pads completions to one
batch and repeats the prompt in each row; this learner computes a shared prompt once. So the same is
measured with eight prompts that share nothing. Type: python -m benchmarks.train_vs_trl
"""

import tempfile
import time
from collections.abc import Sequence
from itertools import count
from statistics import median
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from torch import Tensor
from transformers import AutoModelForCausalLM
from trl import GRPOConfig, GRPOTrainer

from benchmarks.harness import write_result
from benchmarks.recorded import TEMPERATURE, record
from benchmarks.updates import (
    ALPHA,
    LOSS,
    NO_BOUND,
    RANK,
    SAME,
    Timed,
    apart,
    first_gradient,
    new_learner,
    our_update,
)
from empo2_agent.policies.models import ensure_model
from empo2_agent.policies.transformers import TransformersPolicy
from empo2_agent.train.learner import Learner
from empo2_agent.train.samples import Row, Sample
from empo2_agent.types import Completion, Request

COMPLETIONS, LENGTH, PROMPT, ROUNDS, BAR = 8, 64, 256, 5, 1.0


def complete(policy: TransformersPolicy) -> tuple[list[int], list[Completion]]:
    """A prompt (the end of the first of an episode) and completions of it that use their length."""
    [episode] = record(policy, 1, 1)
    ledger = [token for segment in episode.segments for token in segment.token_ids]
    prompt = ledger[: episode.steps[0].prompt_tokens][-PROMPT:]
    assert len(prompt) == PROMPT, "the prompt of an episode is longer than that"
    found: list[Completion] = []
    for seed in count():
        request = Request(tuple(prompt), (), seed, LENGTH, TEMPERATURE, seed)
        [reply] = policy.generate([request])
        policy.release(seed)
        if len(reply.token_ids) == LENGTH:
            found.append(reply)
        if len(found) == COMPLETIONS:
            policy.weights_changed()
            return prompt, found
    raise AssertionError("seeds do not end")


def turned(prompt: list[int], by: int) -> list[int]:
    """A prompt of the same tokens that begins elsewhere."""
    return [*prompt[by:], *prompt[:by]]


def advantages() -> list[float]:
    """One for each completion; they do not change what is computed."""
    return [(-1.0) ** n for n in range(COMPLETIONS)]


def as_samples(prompts: Sequence[list[int]], completions: Sequence[Completion]) -> list[Sample]:
    """For this learner."""
    places = tuple(range(PROMPT - 1, PROMPT + LENGTH - 1))
    rows = [
        Row((*prompt, *completion.token_ids[:-1]), places)
        for prompt, completion in zip(prompts, completions, strict=True)
    ]
    return [
        Sample(
            sequence=n,
            acting=row,
            update=row,
            targets=completion.token_ids,
            allowed=completion.allowed,
            behaviour=completion.logprobs,
            advantages=(advantage,) * LENGTH,
            turns=(0,) * LENGTH,
        )
        for n, (row, completion, advantage) in enumerate(
            zip(rows, completions, advantages(), strict=True)
        )
    ]


def as_inputs(
    prompts: Sequence[list[int]], completions: Sequence[Completion], *, learnt: Tensor
) -> dict[str, Tensor]:
    """For TRL. `learnt`: [completions, tokens], 0 where our loss drops a token."""
    ids = torch.tensor([completion.token_ids for completion in completions])
    return {
        "prompt_ids": torch.tensor(prompts),
        "prompt_mask": torch.ones(COMPLETIONS, PROMPT, dtype=torch.long),
        "completion_ids": ids,
        "completion_mask": torch.ones_like(ids),
        "tool_mask": learnt,
        "advantages": torch.tensor(advantages()),
        "num_items_in_batch": torch.tensor(ids.numel()),
    }


class Theirs:
    """TRL's trainer, over the same weights."""

    def __init__(self, learner: Learner, folder: str, tokenizer: Any) -> None:
        model = AutoModelForCausalLM.from_pretrained(ensure_model(None), dtype=torch.float32)
        settings: dict[str, Any] = {
            "output_dir": folder, "report_to": "none", "use_cpu": True, "bf16": False,
            "gradient_checkpointing": False, "per_device_train_batch_size": COMPLETIONS,
            "num_generations": COMPLETIONS, "max_completion_length": LENGTH, "loss_type": "dapo",
            "temperature": TEMPERATURE, "epsilon": LOSS.clip_low, "epsilon_high": LOSS.clip_high,
            "beta": 0.0, "learning_rate": 0.0, "max_grad_norm": NO_BOUND,
        }  # fmt: skip
        self.trainer = GRPOTrainer(
            model=model,
            reward_funcs=lambda completions, **_: [0.0] * len(completions),
            args=GRPOConfig(**settings),
            train_dataset=Dataset.from_dict({"prompt": ["prepared"] * COMPLETIONS}),
            processing_class=tokenizer,
            peft_config=LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear"),
        )
        self.trainer.model.train()
        self.trainer.current_gradient_accumulation_steps = 1  # its loop sets it
        self.optimizer = self.trainer.create_optimizer()
        self.weights = [p for p in self.trainer.model.parameters() if p.requires_grad]
        with torch.no_grad():
            for weight, value in zip(self.weights, learner.weights.trained, strict=True):
                weight.copy_(value)
        self.gradient: list[Tensor] = []

    def update(self, inputs: dict[str, Tensor], *, keep: bool) -> Timed:
        """What its training step does, once completions are there."""
        started = time.perf_counter()
        loss = self.trainer.compute_loss(self.trainer.model, inputs)
        self.trainer.accelerator.backward(loss)
        if keep:
            self.gradient = [weight.grad.clone() for weight in self.weights]
        self.trainer.accelerator.clip_grad_norm_(self.weights, NO_BOUND)
        self.optimizer.step()
        self.optimizer.zero_grad()
        seconds = time.perf_counter() - started
        return Timed(seconds, COMPLETIONS * (PROMPT + LENGTH), float(loss.detach()))


def main() -> None:
    """Measure both sides in turn, with one prompt and with eight."""
    policy, learner = new_learner(lora_rank=RANK)
    prompt, completions = complete(policy)
    likely = torch.tensor([[x >= LOSS.mask_log_delta for x in c.logprobs] for c in completions])
    cases = {
        "one_prompt": [prompt] * COMPLETIONS,
        "eight_prompts": [turned(prompt, n) for n in range(COMPLETIONS)],
    }
    found: dict[str, dict[str, Any]] = {}
    difference = 0.0
    with tempfile.TemporaryDirectory() as folder:
        theirs = Theirs(learner, folder, policy.tokenizer)
        for name, prompts in cases.items():
            rows = as_samples(prompts, completions)
            inputs = as_inputs(prompts, completions, learnt=likely.long())
            pairs = []
            for turn in range(ROUNDS):
                first = turn == 0 and name == "one_prompt"
                ours = our_update(learner, rows)
                pairs.append((ours, theirs.update(inputs, keep=first)))
                if first:
                    difference = apart(first_gradient(learner.optimizer), theirs.gradient)
            found[name] = _summary(pairs)
    ratio = found["one_prompt"]["ratio"]
    write_result(
        "train_vs_trl",
        ours={
            "seconds": found["one_prompt"]["ours"],
            "eight_prompts": found["eight_prompts"],
            "gradient_difference": difference,
        },
        theirs={"seconds": found["one_prompt"]["theirs"]},
        ratio=ratio,
        bar=BAR,
        met=ratio >= BAR and difference <= SAME,
        note=f"{COMPLETIONS} completions of {LENGTH} tokens on one prompt of {PROMPT}, which ours "
        "computes once and TRL in every row; eight_prompts: with nothing to share; ratio: median "
        "over rounds of their seconds by ours; LoRA, float32, no gradient checkpointing",
    )


def _summary(pairs: Sequence[tuple[Timed, Timed]]) -> dict[str, Any]:
    return {
        "ours": [ours.seconds for ours, _ in pairs],
        "theirs": [theirs.seconds for _, theirs in pairs],
        "our_tokens": pairs[0][0].tokens,
        "their_tokens": pairs[0][1].tokens,
        "ratio": median(theirs.seconds / ours.seconds for ours, theirs in pairs),
    }


if __name__ == "__main__":
    main()
