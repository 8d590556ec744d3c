"""The policy loss against another implementation of it: `GRPOTrainer` of TRL."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel

from empo2_agent.train.learner import LossOptions
from empo2_agent.train.samples import Sample, samples_of
from empo2_agent.types import Episode
from tests.train.conftest import Plays
from tests.train.learning import apart, learn, make_learner, twin
from tests.train.one_row_per_turn import logprobs, turns_of
from tests.train.played import exact_policy, own_attention

ADVANTAGES = (0.7, -1.1)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kl_coefficient", [0.0, 0.01])
@pytest.mark.parametrize("dual_clip", [1e9, 1.5], ids=["", "dual-clip"])
def test_grpo_equals_trl(
    dual_clip: float, kl_coefficient: float, plays: Plays, tiny_model_dir: Path, tmp_path: Path
) -> None:
    """In the second of two minibatches, so that ratios are not 1."""
    episodes = plays("free", False)
    options = LossOptions(
        clip_low=0.2,
        clip_high=0.3,
        dual_clip=dual_clip,
        mask_by="none",
        kl_coefficient=kl_coefficient,
    )
    learner, optimizer = make_learner(
        exact_policy(tiny_model_dir).model,
        options,
        lora=False,
        learning_rate=0.03,
        minibatch_episodes=2,
        temperature=1.0,
    )
    before, reference = twin(learner.weights.model), own_attention(tiny_model_dir)
    both = [*episodes, *episodes]
    old = _scores(before, both)
    samples = [
        replace(sample, behaviour=tuple(old[number].tolist()))  # the engine agrees: no correction
        for number, episode in enumerate(both)
        for sample in samples_of(
            episode,
            [ADVANTAGES[number % 2]] * len(episode.steps),
            off_policy=False,
            sequence=number,
        )
    ]
    update = learn(learner, samples)
    assert update.clipped > 0
    loss = 0.0
    for model, gradients in zip(optimizer.models, optimizer.gradients, strict=True):
        theirs = _trl_loss(
            model,
            tiny_model_dir,
            tmp_path,
            samples[:2],
            episodes,
            _scores(before, episodes),
            _scores(reference, episodes),
            kl_coefficient=kl_coefficient,
            dual_clip=dual_clip,
        )
        loss += theirs.item()
        trained = [p for p in model.parameters() if p.requires_grad]
        assert apart(gradients, torch.autograd.grad(theirs, trained)) < 1e-6
    assert update.loss == pytest.approx(loss, rel=1e-6)


def _scores(model: PreTrainedModel, episodes: Sequence[Episode]) -> list[Tensor]:
    """Log-probabilities of all drawn tokens of each episode."""
    found = []
    for episode in episodes:
        turns = turns_of([episode], [[0.0] * len(episode.steps)], off_policy=False)
        with torch.no_grad():
            rows = [x for turn in turns for x in logprobs(model, turn.acting, turn, 1.0)]
        found.append(torch.stack(rows))
    return found


def _trl_loss(
    model: PreTrainedModel,
    folder: Path,
    scratch: Path,
    samples: Sequence[Sample],
    episodes: Sequence[Episode],
    old: Sequence[Tensor],
    reference: Sequence[Tensor],
    *,
    kl_coefficient: float,
    dual_clip: float,
) -> Tensor:
    """The same tokens as one prompt and one completion each; between its turns, the mask is 0.

    By default TRL multiplies its KL term by the ratio; ours is that of arXiv 2402.03300, eq. 4.
    """
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    settings: dict[str, Any] = {
        "output_dir": str(scratch), "report_to": "none", "use_cpu": True, "bf16": False,
        "gradient_checkpointing": False, "per_device_train_batch_size": 2, "num_generations": 2,
        "loss_type": "bnpo", "epsilon": 0.2, "epsilon_high": 0.3, "delta": dual_clip,
        "beta": kl_coefficient, "use_bias_correction_kl": False,
    }  # fmt: skip
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=GRPOConfig(**settings),
        train_dataset=Dataset.from_dict({"prompt": ["one", "two"]}),
        processing_class=AutoTokenizer.from_pretrained(folder),
    )
    begin = [episode.steps[0].prompt_tokens for episode in episodes]
    ends = [sample.update.places[-1] + 2 for sample in samples]
    width = max(end - first for end, first in zip(ends, begin, strict=True))
    rows: dict[str, list[Tensor]] = {}
    for n, (sample, episode) in enumerate(zip(samples, episodes, strict=True)):
        ids = [i for segment in episode.segments for i in segment.token_ids][: ends[n]]
        assert ids[:-1] == list(sample.update.token_ids)
        at = torch.tensor(sample.update.places) + 1 - begin[n]
        length = ends[n] - begin[n]
        row = {
            "prompt_ids": _left(ids[: begin[n]], max(begin)),
            "prompt_mask": _left([1] * begin[n], max(begin)),
            "completion_ids": _right(ids[begin[n] :], width),
            "completion_mask": _right([1] * length, width),
            "tool_mask": torch.zeros(width, dtype=torch.long).index_fill(0, at, 1),
            "old_per_token_logps": torch.zeros(width).double().index_put((at,), old[n]),
            "ref_per_token_logps": torch.zeros(width).double().index_put((at,), reference[n]),
        }
        for name, tensor in row.items():
            rows.setdefault(name, []).append(tensor)
    inputs = {name: torch.stack(tensors) for name, tensors in rows.items()}
    inputs["advantages"] = torch.tensor(ADVANTAGES, dtype=torch.float64)
    inputs["num_items_in_batch"] = inputs["tool_mask"].sum()
    loss: Tensor = trainer.compute_loss(trainer.model, inputs)
    return loss


def _left(values: list[int], width: int) -> Tensor:
    return torch.tensor([0] * (width - len(values)) + values)


def _right(values: list[int], width: int) -> Tensor:
    return torch.tensor(values + [0] * (width - len(values)))
