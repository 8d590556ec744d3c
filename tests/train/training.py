"""The whole loop on real parts: the tiny model, Chroma on disk, a run folder; and what it learnt."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from empo2_agent.interfaces import Environment, Policy
from empo2_agent.memory.chroma import ChromaTips
from empo2_agent.memory.novelty import Novelty
from empo2_agent.memory.recall import recaller
from empo2_agent.needs import Rules
from empo2_agent.policies.transformers import load
from empo2_agent.runs import Run, create_run
from empo2_agent.stage import Stage
from empo2_agent.train.learner import Learner, LossOptions
from empo2_agent.train.loop import StepOver, train
from empo2_agent.train.meter import Meter
from empo2_agent.train.metrics import StepMetrics
from empo2_agent.train.monitor import Monitor
from empo2_agent.train.optimizer import Optimizer
from empo2_agent.train.parts import Parts, Plan
from empo2_agent.train.samples import Sample
from empo2_agent.train.state import Position
from empo2_agent.train.weights import Weights
from empo2_agent.types import Completion, Request, Task
from empo2_agent.worlds import Deadlines, Worlds
from empo2_toy import PLUGIN
from tests.train.played import WordCounts

TIP_TOKENS = 24


class WatchedLearner(Learner):
    """A learner that keeps the samples of every update."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.seen: list[list[Sample]] = []

    def update(self, samples: Sequence[Sample]) -> Iterator[float]:  # type: ignore[override] # the same generator
        """See `Learner.update`."""
        self.seen.append(list(samples))
        return super().update(samples)


class Saying:
    """The policy given to it, but every tip is this text."""

    def __init__(self, policy: Policy, tip: str) -> None:
        self._policy, self._tip = policy, tip
        self.chat, self.name = policy.chat, policy.name
        self.context_limit = policy.context_limit

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """See `Policy.generate`."""
        if all(request.max_tokens == TIP_TOKENS for request in requests):
            ids = self.chat.world(self._tip)[1]
            none = (None,) * len(ids)
            return [Completion(self._tip, ids, (0.0,) * len(ids), none, True) for _ in requests]
        return self._policy.generate(requests)

    def release(self, conversation: int) -> None:
        """See `Policy.release`."""
        self._policy.release(conversation)


@dataclass(frozen=True)
class Training:
    """A loop that is ready to go."""

    plan: Plan
    parts: Parts
    learner: WatchedLearner
    memory: ChromaTips
    run: Run

    def go(self) -> list[StepMetrics]:
        """Take all steps."""
        events = train(self.plan, self.parts, Position(), Monitor())
        return [event.metrics for event in events if isinstance(event, StepOver)]

    def weights(self) -> list[Tensor]:
        """The trained weights as they are now."""
        return [weight.detach().clone() for weight in self.learner.weights.trained]


@contextmanager
def training(
    folder: Path,
    model: Path,
    *,
    make: Callable[[], Environment] | None = None,
    wrap: Callable[[Policy], Policy] = lambda policy: policy,
    rules: dict[str, Any] | None = None,
    loss: LossOptions | None = None,
    **plan: Any,
) -> Iterator[Training]:
    """Everything the loop needs, in `folder`; `rules` and `plan` change what is set here."""
    torch.manual_seed(0)
    policy = load(model, name="tiny", dtype="float32", device="cpu")
    weights = Weights(policy.model, lora_rank=4, lora_alpha=8, seed=0)
    optimizer = Optimizer(
        weights.trained, learning_rate=1e-3, warmup_steps=0, weight_decay=0.0, max_grad_norm=1.0
    )
    learner = WatchedLearner(weights, optimizer, loss or LossOptions(), tokens_per_batch=4000)
    limits: dict[str, Any] = {
        "max_steps": 4, "max_prompt_tokens": 3500, "max_reply_tokens": 8,
        "max_score": PLUGIN.max_score, "style": "constrained", "temperature": 1.0,
        "max_tip_tokens": TIP_TOKENS, **(rules or {}),
    }  # fmt: skip
    shape: dict[str, Any] = {
        "tasks": tuple(Task("toy", "red-lamp", n, "train") for n in range(6)),
        "steps": 1, "tasks_per_step": 1, "group_size": 2, "redraw": 0, "seed": 5,
        "max_score": limits["max_score"], "tips_share": 0.25, "off_policy_share": 2 / 3,
        "mode_by_group": False, "write_tips": True, "key": "final",
        "intrinsic_coefficient": 1.0, "scale_by_std": True, "step_weight": 0.0,
        "discount": 0.95, "learns": True, "checkpoint_every": 100,
        "keep_last": 1, "roll_back": 0, **plan,
    }  # fmt: skip
    embedder = WordCounts()
    with (
        create_run("train", "x", settings={}, origins={}, seed=5, run_dir=folder / "run") as run,
        ChromaTips(folder / "memory", embedder, scope="variation", threshold=0.0) as memory,
        Worlds(make or (lambda: PLUGIN.make({})), Deadlines(step=30, reset=30)) as worlds,
    ):
        recall = recaller(
            memory, lambda text: len(policy.chat.world(text)[1]), per_turn=600, per_episode=1200
        )
        stage = Stage(wrap(policy), worlds, Rules(**limits), PLUGIN.instructions, recall, 4)
        novelty = Novelty(embedder, 0.95)
        parts = Parts(stage, policy, learner, memory, novelty, run, Meter())
        yield Training(Plan(**shape), parts, learner, memory, run)
