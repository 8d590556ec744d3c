"""Training on one sequence an episode against training on one row a turn."""

from dataclasses import asdict
from pathlib import Path

import pytest

from empo2_agent.policies.transformers import load
from empo2_agent.train.learner import LossOptions
from empo2_agent.types import ActionStyle
from tests.train.conftest import Plays
from tests.train.learning import apart, learn, make_learner, samples_in, twin
from tests.train.one_row_per_turn import naive_gradients, naive_loss, turns_of
from tests.train.played import (
    MODES,
    STYLES,
    TEMPERATURE,
    Mode,
    exact_policy,
    own_attention,
    uneven,
)

OPTIONS = LossOptions(kl_coefficient=0.05, dual_clip=2.0)


@pytest.mark.parametrize("lora", [True, False], ids=["lora", "full"])
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("mode", MODES)
def test_packed_equals_one_row_per_turn(
    mode: Mode, style: ActionStyle, lora: bool, plays: Plays, tiny_model_dir: Path
) -> None:
    episodes = plays(style, mode != "plain")
    learner, optimizer = make_learner(exact_policy(tiny_model_dir).model, OPTIONS, lora=lora)
    update = learn(learner, samples_in(episodes, mode))
    model = optimizer.models[0]
    found = naive_loss(
        model,
        turns_of(episodes, uneven(episodes), off_policy=mode == "off-policy"),
        before=model,
        reference=own_attention(tiny_model_dir),
        temperature=TEMPERATURE,
        **asdict(OPTIONS),
    )
    assert update.loss == pytest.approx(found.loss.item(), rel=1e-9)
    assert apart(optimizer.gradients[0], naive_gradients(model, found)) < 1e-9
    assert (update.learnt, update.masked) == (found.learnt, found.masked)
    assert update.mismatch == pytest.approx(found.mismatch, rel=1e-9)
    assert update.gap == pytest.approx(found.gap, rel=1e-9, abs=1e-12)
    assert update.tokens < found.tokens


def test_the_second_minibatch_is_compared_with_the_weights_before_the_first(
    plays: Plays, tiny_model_dir: Path
) -> None:
    """So ratios are not 1, and the clipping is felt, in a step played without tips too."""
    episodes, options = plays("free", False), LossOptions(clip_low=0.05, clip_high=0.1)
    learner, optimizer = make_learner(
        exact_policy(tiny_model_dir).model,
        options,
        lora=False,
        learning_rate=0.02,
        minibatch_episodes=1,
    )
    before = twin(learner.weights.model)
    update = learn(learner, samples_in(episodes, "plain"))
    turns = turns_of(episodes, uneven(episodes), off_policy=False)
    loss = 0.0
    for number, (model, gradients) in enumerate(
        zip(optimizer.models, optimizer.gradients, strict=True)
    ):
        found = naive_loss(
            model,
            [turn for turn in turns if turn.episode == number],
            before=before,
            reference=before,
            temperature=TEMPERATURE,
            **asdict(options),
        )
        loss += found.loss.item()
        assert apart(gradients, naive_gradients(model, found)) < 1e-9
    assert len(optimizer.models) == 2
    assert update.clipped > 0
    assert update.loss == pytest.approx(loss, rel=1e-9)


def test_packed_equals_one_row_per_turn_with_the_model_as_it_ships(
    plays: Plays, tiny_model_dir: Path
) -> None:
    """Its norms pass through float32: what differs by 1e-16 before may differ by 1e-7 behind."""
    episodes = plays("correct", True)
    model = load(tiny_model_dir, name="tiny", dtype="float32", device="cpu").model.double()
    learner, optimizer = make_learner(model, LossOptions(), lora=False)
    update = learn(learner, samples_in(episodes, "off-policy"))
    [model] = optimizer.models
    found = naive_loss(
        model,
        turns_of(episodes, uneven(episodes), off_policy=True),
        before=model,
        reference=model,
        temperature=TEMPERATURE,
        **asdict(LossOptions()),
    )
    assert update.loss == pytest.approx(found.loss.item(), rel=1e-6)
    assert apart(optimizer.gradients[0], naive_gradients(model, found)) < 1e-6
