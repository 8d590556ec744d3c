import pytest
from hypothesis import given
from hypothesis import strategies as st

from empo2_agent.train.rewards import reached_states, repeated_share, step_rewards
from empo2_agent.types import Episode
from tests.train.ledgers import action, episode, prompt

REWARDS = st.lists(st.tuples(st.floats(-100, 100), st.floats(0, 1)), min_size=1, max_size=6)


def played(rewards: list[float], states: list[str] | None = None) -> Episode:
    ledger = [part for _ in rewards for part in (prompt(1), action((1, -0.5, None)))]
    prompts = [2 * n + 1 for n in range(len(rewards))]
    return episode(ledger, prompts, rewards=rewards, states=states)


def test_by_hand() -> None:
    found = step_rewards(played([0.0, 5.0, -100.0]), [1.0, 0.5, 0.25], 2.0)
    assert found == [2.0, 6.0, -99.5]


@given(REWARDS, st.floats(0, 3))
def test_they_sum_to_the_score_and_the_bonus(
    rows: list[tuple[float, float]], coefficient: float
) -> None:
    rewards, bonus = [list(column) for column in zip(*rows, strict=True)]
    one = played(rewards)
    found = sum(step_rewards(one, bonus, coefficient))
    assert found == pytest.approx(one.score + coefficient * sum(bonus), abs=1e-9)


def test_each_step_needs_its_bonus() -> None:
    with pytest.raises(ValueError, match="1 intrinsic rewards for 2 steps"):
        step_rewards(played([0.0, 0.0]), [1.0], 1.0)


def test_a_step_is_rewarded_for_the_state_it_led_to() -> None:
    one = played([0.0, 0.0, 0.0], ["hall", "kitchen", "cellar"])
    assert reached_states(one) == ["kitchen", "cellar", "the end"]
    assert reached_states(episode((prompt(1),), ())) == []


def test_repeated_actions_are_counted() -> None:
    assert repeated_share([]) == 0.0
    one = played([0.0, 0.0, 0.0])  # its actions are all different
    assert repeated_share([one]) == 0.0
