"""AdamW with float32 (or wider) weights of its own where the model's are narrower or elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class Optimizer:
    """AdamW (arXiv 1711.05101) with linear warm-up and a bound on the gradient's norm.

    Args:
        weights: The trained parameters of the model.
        learning_rate: After the warm-up.
        warmup_steps: Steps over which the learning rate rises to its value.
        weight_decay: Decoupled.
        max_grad_norm: Gradients are scaled down to this norm.
        on_cpu: Keep the optimizer's state in the memory of the CPU.
    """

    def __init__(
        self,
        weights: Sequence[torch.nn.Parameter],
        *,
        learning_rate: float,
        warmup_steps: int,
        weight_decay: float,
        max_grad_norm: float,
        on_cpu: bool = False,
    ) -> None:
        self._weights = list(weights)
        self._masters = [_master(weight, on_cpu=on_cpu) for weight in self._weights]
        self._learning_rate = learning_rate
        self._warmup_steps = warmup_steps
        self._max_grad_norm = max_grad_norm
        self._adam = torch.optim.AdamW(
            self._masters, lr=learning_rate, betas=(0.9, 0.95), weight_decay=weight_decay
        )
        self.steps = 0
        """Optimizer steps taken."""

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        rising = (self.steps + 1) / self._warmup_steps if self._warmup_steps else 1.0
        return self._learning_rate * min(1.0, rising)

    def step(self) -> float:
        """Apply the accumulated gradients and clear them; their norm before it was bounded.

        A norm that is not finite is returned, and nothing is applied.
        """
        for weight, master in zip(self._weights, self._masters, strict=True):
            if master is not weight and weight.grad is not None:
                master.grad = weight.grad.to(master)
                weight.grad = None
        norm = float(torch.nn.utils.clip_grad_norm_(self._masters, self._max_grad_norm))
        if torch.isfinite(torch.tensor(norm)):
            for group in self._adam.param_groups:
                group["lr"] = self.learning_rate
            self._adam.step()
            self.steps += 1
            self._copy_back()
        self.clear()
        return norm

    def clear(self) -> None:
        """Forget accumulated gradients."""
        for weight in (*self._weights, *self._masters):
            weight.grad = None

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, for `torch.save`."""
        own = [m.detach() for w, m in zip(self._weights, self._masters, strict=True) if m is not w]
        return {"steps": self.steps, "adam": self._adam.state_dict(), "masters": own}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.steps = state["steps"]
        self._adam.load_state_dict(state["adam"])
        saved = iter(state["masters"])
        with torch.no_grad():
            for weight, master in zip(self._weights, self._masters, strict=True):
                if master is not weight:
                    master.copy_(next(saved))

    def _copy_back(self) -> None:
        with torch.no_grad():
            for weight, master in zip(self._weights, self._masters, strict=True):
                if master is not weight:
                    weight.copy_(master)


def _master(weight: torch.nn.Parameter, *, on_cpu: bool) -> torch.nn.Parameter:
    """The weight itself, or a float32 copy of it where updates would be lost in its precision."""
    wide = weight.dtype in (torch.float32, torch.float64)
    if wide and not (on_cpu and weight.device.type != "cpu"):
        return weight
    master: Tensor = weight.detach().to("cpu" if on_cpu else weight.device, copy=True)
    return torch.nn.Parameter(master if wide else master.float())
