"""The numbers of every step as TensorBoard events, in a folder of their own."""

import math
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Self

from empo2_agent.errors import UsageError
from empo2_agent.train.metrics import StepMetrics


class TensorBoard:
    """A context manager that writes scalars to `folder`, which is made where it is missing.

    Args:
        folder: For the event files. A resumed run adds a file; later ones count.
        step: The step after which this log goes on: what an earlier file has beyond it is hidden.

    Raises:
        UsageError: The package tensorboard cannot be imported.
    """

    def __init__(self, folder: Path, *, step: int = 0) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError(
                f"train.tensorboard needs the package tensorboard ({error}). "
                "Type: pip install tensorboard"
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def __enter__(self) -> Self:
        """Nothing is written yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Write what is still held back."""
        self._writer.close()

    def add(self, metrics: StepMetrics) -> None:
        """Write the finite numbers of a step. TensorBoard sees them at once."""
        for name, value in scalars(metrics).items():
            self._writer.add_scalar(name, value, metrics.step)
        self._writer.flush()


def scalars(metrics: StepMetrics) -> dict[str, float]:
    """The finite numbers of a step by name, in the order of `StepMetrics`.

    Those of a table are `table/key`. The score stands under its mode as well, `score/plain`: the
    curves with and without tips are different ones.
    """
    found: dict[str, float] = {}
    for field in fields(metrics):
        value = getattr(metrics, field.name)
        if isinstance(value, dict):
            found |= {f"{field.name}/{key}": float(number) for key, number in value.items()}
        elif isinstance(value, int | float) and field.name != "step":
            found[field.name] = float(value)
    found[f"score/{metrics.mode}"] = metrics.score
    return {name: value for name, value in found.items() if math.isfinite(value)}
