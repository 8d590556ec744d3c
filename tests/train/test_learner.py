"""What must not matter to an update, and what must."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from empo2_agent.errors import TrainingError
from empo2_agent.train import layout
from empo2_agent.train.learner import Learner, LossOptions
from empo2_agent.train.samples import Sample
from tests.train.conftest import Plays
from tests.train.learning import apart, gradients, learn, make_learner, samples_in
from tests.train.played import MODES, Mode, exact_policy, own_attention

# Enough to tell any real difference from the order in which float64 sums are taken.
SAME = 1e-9

Fresh = Callable[[], PreTrainedModel]


@pytest.fixture
def fresh(tiny_model_dir: Path) -> Fresh:
    """The tiny model, loaded anew at every call."""
    return lambda: exact_policy(tiny_model_dir).model


@pytest.mark.parametrize("mode", MODES)
def test_how_samples_are_batched_changes_nothing(mode: Mode, fresh: Fresh, plays: Plays) -> None:
    samples = samples_in(plays("correct", mode != "plain"), mode)
    assert len(samples) > 2, "corrected replies are samples of their own"
    loss, expected = gradients(fresh(), samples, tokens_per_batch=1_000_000)
    for budget in (1, len(samples[0].update.token_ids) + 1):
        found_loss, found = gradients(fresh(), samples, tokens_per_batch=budget)
        assert found_loss == pytest.approx(loss, rel=SAME)
        assert apart(found, expected) < SAME


@pytest.mark.parametrize("mean_over", ["token", "sequence"])
def test_the_order_of_samples_changes_nothing(mean_over: Any, fresh: Fresh, plays: Plays) -> None:
    samples = samples_in(plays("correct", True), "off-policy")
    options = LossOptions(mean_over=mean_over)
    loss, expected = gradients(fresh(), samples, options=options)
    found_loss, found = gradients(fresh(), samples[::-1], options=options, tokens_per_batch=900)
    assert found_loss == pytest.approx(loss, rel=SAME)
    assert apart(found, expected) < SAME


def test_sharing_a_beginning_changes_nothing(
    fresh: Fresh, plays: Plays, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = samples_in(plays("correct", True), "off-policy")
    learner, optimizer = make_learner(fresh(), LossOptions(), lora=False)
    shared = learn(learner, samples)
    monkeypatch.setattr(layout, "WORTH_SHARING", 10**9)
    learner, other = make_learner(fresh(), LossOptions(), lora=False)
    apart_from_it = learn(learner, samples)
    assert shared.tokens < 0.6 * apart_from_it.tokens
    assert shared.loss == pytest.approx(apart_from_it.loss, rel=SAME)
    assert apart(optimizer.gradients[0], other.gradients[0]) < SAME


def test_samples_without_advantage_in_the_same_pass_only_change_the_mean(
    fresh: Fresh, plays: Plays
) -> None:
    """No token sees those of another sample: idle company scales the gradient, nothing else."""
    one, *others = samples_in(plays("free", False), "plain")
    idle = [replace(other, advantages=(0.0,) * len(other.targets)) for other in others]
    loss, expected = gradients(fresh(), [one])
    together_loss, together = gradients(fresh(), [*idle[:1], one, *idle[1:]])
    tokens = sum(len(sample.targets) for sample in (one, *others))
    scale = tokens / len(one.targets)
    assert together_loss * scale == pytest.approx(loss, rel=SAME)
    assert apart([g * scale for g in together], expected) < SAME


def test_what_follows_the_last_learnt_token_changes_nothing(fresh: Fresh, plays: Plays) -> None:
    samples = samples_in(plays("free", False), "plain")
    longer = [_padded(sample, 17) for sample in samples]
    loss, expected = gradients(fresh(), samples)
    found_loss, found = gradients(fresh(), longer)
    assert found_loss == pytest.approx(loss, rel=SAME)
    assert apart(found, expected) < SAME


def _padded(sample: Sample, count: int) -> Sample:
    row = replace(sample.acting, token_ids=(*sample.acting.token_ids, *range(5, 5 + count)))
    return replace(sample, acting=row, update=row)


@pytest.mark.parametrize("lora", [True, False], ids=["lora", "full"])
def test_gradient_checkpointing_changes_nothing(lora: bool, fresh: Fresh, plays: Plays) -> None:
    samples = samples_in(plays("constrained", True), "off-policy")
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    expected_loss, expected = gradients(fresh(), samples, lora=lora)
    model = fresh()
    for layer in model.modules():
        if isinstance(layer, LlamaDecoderLayer):
            layer.mlp.register_forward_pre_hook(count)
    loss, found = gradients(model, samples, lora=lora, gradient_checkpointing=True)
    # scored on two contexts, then forward and recomputed: four times through each of two layers
    assert calls == 8
    assert loss == expected_loss
    assert apart(found, expected) < SAME


def test_a_minibatch_is_whole_episodes_and_an_optimizer_step(fresh: Fresh, plays: Plays) -> None:
    samples = samples_in(plays("correct", False), "plain")
    learner, optimizer = make_learner(fresh(), LossOptions(), lora=False, minibatch_episodes=1)
    update = learn(learner, samples)
    alone = [
        gradients(fresh(), [sample for sample in samples if sample.sequence == number])
        for number in (0, 1)
    ]
    assert update.loss == pytest.approx(sum(loss for loss, _ in alone), rel=SAME)
    for found, (_, expected) in zip(optimizer.gradients, alone, strict=True):
        assert apart(found, expected) < SAME


def test_the_mean_over_sequences_is_the_mean_of_the_means(fresh: Fresh, plays: Plays) -> None:
    samples = samples_in(plays("free", False), "plain")
    options = LossOptions(mean_over="sequence")
    loss, found = gradients(fresh(), samples, options=options)
    alone = [gradients(fresh(), [sample]) for sample in samples]
    assert loss == pytest.approx(sum(one for one, _ in alone) / 2, rel=SAME)
    halves = [(a + b) / 2 for a, b in zip(alone[0][1], alone[1][1], strict=True)]
    assert apart(found, halves) < SAME


def test_on_policy_log_probabilities_are_the_engines(tiny_model_dir: Path, plays: Plays) -> None:
    """With the weights and the temperature that were played with; and with no other temperature."""
    samples = samples_in(plays("constrained", True), "with-tips")
    for temperature, agree in ((1.3, True), (1.0, False)):
        model = exact_policy(tiny_model_dir).model
        learner, _ = make_learner(
            model, LossOptions(), lora=False, moved=0.0, temperature=temperature
        )
        update = learn(learner, samples)
        assert (update.mismatch_max < 1e-5) is agree  # the engine's logits are float32


def test_entropy_is_that_of_the_distributions_drawn_from(
    tiny_model_dir: Path, plays: Plays
) -> None:
    [sample, *_] = samples_in(plays("constrained", False), "plain")
    learner, optimizer = make_learner(exact_policy(tiny_model_dir).model, LossOptions(), lora=False)
    update = learn(learner, [sample])
    row = torch.tensor([sample.update.token_ids])
    with torch.no_grad():
        logits = optimizer.models[0](input_ids=row, use_cache=False).logits[0] / 1.3
    expected = 0.0
    for place, ids in zip(sample.update.places, sample.allowed, strict=True):
        assert ids is not None
        p = torch.softmax(logits[place][list(ids)], 0).tolist()
        expected -= sum(x * math.log(x) for x in p)
    assert update.entropy == pytest.approx(expected, rel=SAME)


@pytest.mark.parametrize("lora", [True, False], ids=["lora", "full"])
def test_the_reference_is_the_model_that_training_began_with(
    lora: bool, fresh: Fresh, plays: Plays, tiny_model_dir: Path
) -> None:
    samples = samples_in(plays("free", False), "plain")
    still = [replace(sample, advantages=(0.0,) * len(sample.targets)) for sample in samples]
    options = LossOptions(kl_coefficient=0.1)
    learner, optimizer = make_learner(fresh(), options, lora=lora, moved=0.0)
    update = learn(learner, still)
    assert update.loss == pytest.approx(0.0, abs=1e-12)
    assert max(float(g.abs().max()) for g in optimizer.gradients[0]) < 1e-12
    learner, _ = make_learner(fresh(), options, lora=lora)
    assert learn(learner, still).loss > 0.001


@pytest.mark.parametrize("lora", [True, False], ids=["lora", "full"])
def test_the_reference_can_be_set_anew_and_survives_a_checkpoint(
    lora: bool, fresh: Fresh, plays: Plays
) -> None:
    samples = samples_in(plays("free", False), "plain")
    still = [replace(sample, advantages=(0.0,) * len(sample.targets)) for sample in samples]
    options = LossOptions(kl_coefficient=0.1)
    learner, _ = make_learner(fresh(), options, lora=lora)  # has moved, as after a warm start
    state = learner.state()
    apart = learn(learner, still).loss
    before = _values(learner)
    learner.set_reference()
    assert learn(learner, still).loss == pytest.approx(0.0, abs=1e-12)
    learner.restore(state)
    assert learn(learner, still).loss == pytest.approx(apart, rel=SAME)
    assert all(torch.equal(a, b) for a, b in zip(_values(learner), before, strict=True))


def test_samples_without_advantage_are_not_computed_but_count_in_the_mean(
    fresh: Fresh, plays: Plays
) -> None:
    samples = samples_in(plays("free", False), "plain")
    idle = [replace(sample, advantages=(0.0,) * len(sample.targets)) for sample in samples[1:]]
    alone, one = make_learner(fresh(), LossOptions(), lora=False)
    together, both = make_learner(fresh(), LossOptions(), lora=False)
    first, second = learn(alone, samples[:1]), learn(together, [samples[0], *idle])
    assert first.tokens == second.tokens
    share = len(samples[0].targets) / sum(len(sample.targets) for sample in samples)
    for a, b in zip(one.gradients[0], both.gradients[0], strict=True):
        assert torch.allclose(a * share, b, rtol=SAME, atol=1e-15)


def test_an_update_that_teaches_nothing_takes_no_step(fresh: Fresh, plays: Plays) -> None:
    samples = samples_in(plays("free", False), "plain")
    idle = [replace(sample, advantages=(0.0,) * len(sample.targets)) for sample in samples]
    learner, optimizer = make_learner(fresh(), LossOptions(), lora=False)
    assert learn(learner, idle).grad_norms == []
    assert optimizer.gradients == []


def test_an_update_that_is_not_finite_is_skipped_and_the_third_ends_training(
    fresh: Fresh, plays: Plays
) -> None:
    samples = samples_in(plays("free", False), "plain")
    broken = [replace(sample, advantages=(math.nan,) * len(sample.targets)) for sample in samples]
    learner, _ = make_learner(fresh(), LossOptions(), lora=False, learning_rate=0.01)
    before = _values(learner)
    for number in (1, 2):
        update = learn(learner, broken)
        assert (update.skipped, learner.skipped_in_a_row) == (1, number)
        assert (update.loss, update.grad_norms) == (0.0, [])
    assert all(torch.equal(a, b) for a, b in zip(_values(learner), before, strict=True))
    learn(learner, samples)
    assert learner.skipped_in_a_row == 0
    assert not all(torch.equal(a, b) for a, b in zip(_values(learner), before, strict=True))
    learn(learner, broken)
    learn(learner, broken)
    with pytest.raises(TrainingError, match="the loss was not finite 3 times in a row"):
        learn(learner, broken)


def _values(learner: Learner) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in learner.weights.trained]


def test_the_share_that_is_done_rises_to_one(fresh: Fresh, plays: Plays) -> None:
    samples = samples_in(plays("correct", False), "plain")
    learner, _ = make_learner(fresh(), LossOptions(), lora=False, tokens_per_batch=1)
    shares = list(learner.update(samples))
    assert len(shares) == len(samples)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_imitation_raises_the_probability_of_what_was_said(
    fresh: Fresh, plays: Plays, tiny_model_dir: Path
) -> None:
    samples = samples_in(plays("correct", True), "off-policy")
    learner, optimizer = make_learner(
        fresh(), LossOptions(), lora=False, learning_rate=0.01, moved=0.0, tokens_per_batch=900
    )
    first = learner.imitate(samples)
    model = own_attention(tiny_model_dir)
    total, count = torch.zeros((), dtype=torch.float64), 0
    for sample in samples:
        logits = model(input_ids=torch.tensor([sample.update.token_ids]), use_cache=False).logits[0]
        logprobs = torch.log_softmax(logits / 1.3, -1)
        for place, target in zip(sample.update.places, sample.targets, strict=True):
            total, count = total - logprobs[place, target], count + 1
    assert first.loss == pytest.approx(total.item() / count, rel=SAME)
    expected = torch.autograd.grad(total / count, list(model.parameters()))
    assert apart(optimizer.gradients[0], expected) < SAME
    assert learner.imitate(samples).loss < first.loss
