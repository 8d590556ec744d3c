"""Which weights of a model are trained: a LoRA adapter on all linear layers, or all of them."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from empo2_agent.policies.adapter import BASE
from empo2_agent.quiet import no_progress_bars


class Weights:
    """The trained part of a model that a policy samples from: both hold the same tensors.

    Args:
        model: The network, changed in place.
        lora_rank: Rank of a new adapter; 0: all weights are trained.
        lora_alpha: The adapter counts alpha / rank.
        seed: Of the adapter's first values.
        gradient_checkpointing: Recompute activations in the backward pass.
        adapter: Go on with this adapter instead of a new one.
        base: What `--model` calls the model an adapter belongs on; recorded beside it.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        lora_rank: int,
        lora_alpha: int,
        seed: int,
        gradient_checkpointing: bool = False,
        adapter: Path | None = None,
        base: str | None = None,
    ) -> None:
        self.model = model
        self._base = base
        self.peft: PeftModel | None = None
        if adapter is not None:
            self.peft = PeftModel.from_pretrained(model, str(adapter), is_trainable=True)
        elif lora_rank:
            config = LoraConfig(r=lora_rank, lora_alpha=lora_alpha, target_modules="all-linear")
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                self.peft = get_peft_model(model, config)
        else:
            model.requires_grad_(True)
        model.eval()  # nothing draws at random in a forward pass
        if gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})

    @property
    def trained(self) -> list[torch.nn.Parameter]:
        """The parameters that receive gradients, in a fixed order."""
        return [p for p in self.model.parameters() if p.requires_grad]

    @contextmanager
    def recomputing(self) -> Iterator[None]:
        """Within the block, layers set up for gradient checkpointing do it.

        transformers ties that to training mode, which would also switch dropout on; so only the
        layers' own flags are set, and not those of what is in them.
        """
        layers = [m for m in self.model.modules() if isinstance(m, GradientCheckpointingLayer)]
        for layer in layers:
            layer.training = True
        try:
            yield
        finally:
            for layer in layers:
                layer.training = False

    def copy(self) -> list[Tensor]:
        """The trained values as they are now."""
        return [weight.detach().clone() for weight in self.trained]

    @contextmanager
    def showing(self, values: Sequence[Tensor]) -> Iterator[None]:
        """Within the block the model has these trained values (of `copy`) instead of its own."""
        own = [weight.data for weight in self.trained]
        for weight, value in zip(self.trained, values, strict=True):
            weight.data = value
        try:
            yield
        finally:
            for weight, value in zip(self.trained, own, strict=True):
                weight.data = value

    def load(self, folder: Path) -> None:
        """Take over the values that `save` wrote, in place."""
        state = {
            name: tensor
            for file in sorted(folder.glob("*.safetensors"))
            for name, tensor in load_file(file, device=str(self.model.device)).items()
        }
        if self.peft is not None:
            set_peft_model_state_dict(self.peft, state)
        else:
            self.model.load_state_dict(state, strict=False)  # tied weights are written once
            self.model.tie_weights()

    def save(self, folder: Path, tokenizer: Any) -> None:
        """Write them in the layout that `transformers` and `peft` load."""
        with no_progress_bars():
            (self.peft or self.model).save_pretrained(str(folder), safe_serialization=True)
        tokenizer.save_pretrained(str(folder))
        if self.peft is not None and self._base is not None:
            (folder / BASE).write_text(json.dumps({"base": self._base}) + "\n", "utf-8")
