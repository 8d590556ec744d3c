"""One update of the weights from samples. It knows neither environments nor tips.

The loss of a minibatch is a mean over its tokens, whose number is known before the first pass, so
that splitting it into passes, or changing their order, leaves the gradient as it is.
"""

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from empo2_agent.errors import TrainingError
from empo2_agent.train.layout import lay_out
from empo2_agent.train.logprobs import Drawn, logprobs_of
from empo2_agent.train.losses import policy_loss, too_unlikely, truncated_importance
from empo2_agent.train.optimizer import Optimizer
from empo2_agent.train.packing import batches, minibatches, token_weights
from empo2_agent.train.samples import Row, Sample
from empo2_agent.train.weights import Weights

MOST_SKIPPED = 3
"""Updates in a row that may be skipped because they are not finite."""


@dataclass(frozen=True, slots=True)
class LossOptions:
    """See `config.LossSettings`."""

    clip_low: float = 0.2
    clip_high: float = 0.3
    dual_clip: float = 10.0
    mask_log_delta: float = -5.0
    mask_by: Literal["token", "turn", "none"] = "token"
    denominator: Literal["with", "without"] = "with"
    kl_coefficient: float = 0.0
    mean_over: Literal["token", "sequence"] = "token"
    importance_cap: float = 2.0


@dataclass(slots=True)
class Update:
    """What an update was like. Sums over `learnt` tokens, unless said otherwise."""

    loss: float = 0.0
    """Sum over optimizer steps of what each minimised."""
    grad_norms: list[float] = field(default_factory=list)
    learnt: int = 0
    """Sampled tokens the loss was a mean over."""
    tokens: int = 0
    """Tokens of all rows, forward and backward."""
    entropy: float = 0.0
    kl: float = 0.0
    clipped: int = 0
    masked: int = 0
    mismatch: float = 0.0
    mismatch_max: float = 0.0
    gap: float = 0.0
    gap_tokens: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class _Before:
    """Log-probabilities of a sample's tokens before the update, without gradient."""

    acting_T: Tensor
    """On what was acted on."""
    update_T: Tensor
    """On what the update conditions on."""


class Learner:
    """Weights, their optimizer, and the loss.

    Args:
        weights: What is trained.
        optimizer: Over `weights.trained`.
        loss: Of the policy.
        tokens_per_batch: Tokens in one pass of the model.
        minibatch_episodes: Episodes per optimizer step; None: all that are given.
        temperature: That the samples were drawn with.
    """

    def __init__(
        self,
        weights: Weights,
        optimizer: Optimizer,
        loss: LossOptions,
        *,
        tokens_per_batch: int,
        minibatch_episodes: int | None = None,
        temperature: float = 1.0,
    ) -> None:
        self.weights = weights
        self.optimizer = optimizer
        self._loss = loss
        self._tokens_per_batch = tokens_per_batch
        self._minibatch_episodes = minibatch_episodes
        self._temperature = temperature
        self.skipped_in_a_row = 0
        self._reference: list[Tensor] | None = None
        self.set_reference()

    def set_reference(self) -> None:
        """From here on a KL term compares with the weights as they are now."""
        self._reference = self.weights.copy() if self._loss.kl_coefficient else None

    def state(self) -> dict[str, Any]:
        """All but the weights, for `torch.save`."""
        return {"optimizer": self.optimizer.state(), "reference": self._reference}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.optimizer.restore(state["optimizer"])
        self._reference = state["reference"]

    def update(self, samples: Sequence[Sample]) -> Generator[float, None, Update]:
        """Learn from samples: an optimizer step for each minibatch.

        Args:
            samples: Of one training step; those of an episode stand together.

        Yields:
            After each pass of the model, the share of the tokens that are done, 0..1.

        Raises:
            TrainingError: Loss or gradient were not finite three times in a row.
        """
        done = Update()
        groups = list(minibatches(samples, self._minibatch_episodes))
        teaching = [sample for sample in samples if self._teaches(sample)]
        total = sum(len(sample.targets) for sample in teaching)
        before = self._score(teaching) if self._needs_scores(teaching, len(groups)) else {}
        for group in groups:
            counts = token_weights(group, self._loss.mean_over)  # idle samples count in the mean
            loss, passes = 0.0, batches(filter(self._teaches, group), self._tokens_per_batch)
            for batch in passes:
                with self.weights.recomputing():
                    loss += _backward(self._batch_loss(batch, before, counts, done))
                yield done.learnt / total
            if any(map(self._teaches, group)):
                self._step(loss, done)
        return done

    def _teaches(self, sample: Sample) -> bool:
        """Whether its gradient can be anything but zero."""
        return self._reference is not None or any(sample.advantages)

    def imitate(self, samples: Sequence[Sample]) -> Update:
        """One optimizer step towards the tokens of the samples: the mean of -log pi.

        Raises:
            TrainingError: See `update`.
        """
        done = Update()
        tokens = sum(len(sample.targets) for sample in samples)
        loss = 0.0
        for batch in batches(samples, self._tokens_per_batch):
            with self.weights.recomputing():
                drawn = self._drawn([sample.update for sample in batch], batch)
                loss += _backward(-drawn.logprobs_T.double().sum() / tokens)
            self._count(done, batch, drawn)
        self._step(loss, done)
        return done

    def _batch_loss(
        self,
        batch: Sequence[Sample],
        before: dict[int, _Before],
        counts: dict[int, float],
        done: Update,
    ) -> Tensor:
        options = self._loss
        reference_T = self._reference_T(batch)  # first: no other weights once there is a graph
        drawn = self._drawn([sample.update for sample in batch], batch)
        new_T = drawn.logprobs_T.double()
        if before:
            acting_T = torch.cat([before[id(sample)].acting_T for sample in batch])
            update_T = torch.cat([before[id(sample)].update_T for sample in batch])
        else:
            acting_T = update_T = new_T.detach()
        engine_T = _values(new_T, [x for sample in batch for x in sample.behaviour])
        found = policy_loss(
            new_T,
            acting_T if options.denominator == "with" else update_T,
            _values(new_T, [x for sample in batch for x in sample.advantages]),
            _values(new_T, [counts[s.sequence] for s in batch for _ in s.targets]),
            clip_low=options.clip_low,
            clip_high=options.clip_high,
            dual_clip=options.dual_clip,
            masked_T=self._masked_T(batch, new_T),
            correction_T=truncated_importance(acting_T, engine_T, options.importance_cap),
            reference_T=reference_T,
            kl_coefficient=options.kl_coefficient,
        )
        self._count(done, batch, drawn)
        _compare(done, batch, acting_T, update_T, engine_T)
        done.clipped += int(found.clipped)
        done.masked += int(found.masked)
        done.kl += float(found.kl)
        return found.loss

    def _masked_T(self, batch: Sequence[Sample], new_T: Tensor) -> Tensor | None:
        if self._loss.mask_by == "none":
            return None
        places = [(sample.sequence, turn) for sample in batch for turn in sample.turns]
        numbers = {place: n for n, place in enumerate(dict.fromkeys(places))}
        turns_T = torch.tensor([numbers[place] for place in places], device=new_T.device)
        return too_unlikely(new_T, turns_T, self._loss.mask_log_delta, self._loss.mask_by)

    def _needs_scores(self, samples: Sequence[Sample], optimizer_steps: int) -> bool:
        """Whether log-probabilities from before the update are not those the update begins with."""
        return optimizer_steps > 1 or any(sample.differs for sample in samples)

    def _score(self, samples: Sequence[Sample]) -> dict[int, _Before]:
        """Log-probabilities of all samples as the weights are now, by the sample's identity."""
        result: dict[int, _Before] = {}
        with torch.no_grad():
            for batch in batches(samples, self._tokens_per_batch):
                update = self._drawn([s.update for s in batch], batch).logprobs_T.double()
                acting = update
                if any(sample.differs for sample in batch):
                    acting = self._drawn([s.acting for s in batch], batch).logprobs_T.double()
                lengths = [len(sample.targets) for sample in batch]
                for sample, a_T, u_T in zip(
                    batch, torch.split(acting, lengths), torch.split(update, lengths), strict=True
                ):
                    result[id(sample)] = _Before(a_T, u_T)
        return result

    def _reference_T(self, batch: Sequence[Sample]) -> Tensor | None:
        if self._reference is None:
            return None
        with torch.no_grad(), self.weights.showing(self._reference):
            return self._drawn([sample.update for sample in batch], batch).logprobs_T.double()

    def _drawn(self, rows: Sequence[Row], batch: Sequence[Sample]) -> Drawn:
        return logprobs_of(
            self.weights.model,
            rows,
            [target for sample in batch for target in sample.targets],
            [ids for sample in batch for ids in sample.allowed],
            self._temperature,
        )

    def _count(self, done: Update, batch: Sequence[Sample], drawn: Drawn) -> None:
        done.learnt += sum(len(sample.targets) for sample in batch)
        done.tokens += len(lay_out([sample.update.token_ids for sample in batch]).token_ids)
        done.entropy += float(drawn.entropy_T.sum())

    def _step(self, loss: float, done: Update) -> None:
        """Apply what was accumulated, unless it is not finite."""
        norm = self.optimizer.step() if math.isfinite(loss) else math.nan
        if math.isfinite(norm):
            self.skipped_in_a_row = 0
            done.loss += loss
            done.grad_norms.append(norm)
            return
        self.optimizer.clear()
        done.skipped += 1
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row >= MOST_SKIPPED:
            what = "the gradient" if math.isfinite(loss) else "the loss"
            raise TrainingError(
                f"{what} was not finite {MOST_SKIPPED} times in a row: training stops.\n"
                "Lower learner.learning_rate, or go on from a checkpoint with --resume."
            )


def _backward(loss: Tensor) -> float:
    loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
    return float(loss.detach())


def _compare(
    done: Update,
    batch: Sequence[Sample],
    acting_T: Tensor,
    update_T: Tensor,
    engine_T: Tensor,
) -> None:
    """Count how far engine and learner, and the two contexts, are apart."""
    mismatch_T = (engine_T - acting_T).abs()
    done.mismatch += float(mismatch_T.sum())
    done.mismatch_max = max(done.mismatch_max, float(mismatch_T.max()))
    differs_T = torch.tensor(
        [sample.differs for sample in batch for _ in sample.targets], device=acting_T.device
    )
    done.gap += float((acting_T - update_T)[differs_T].sum())
    done.gap_tokens += int(differs_T.sum())


def _values(like_T: Tensor, values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device=like_T.device)
