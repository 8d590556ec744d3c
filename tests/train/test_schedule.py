from random import Random

import pytest

from empo2_agent.train.schedule import Mode, draw_mode


def test_the_shares_of_the_paper() -> None:
    """75 % plain, 8 % with tips, 17 % off-policy."""
    rng, counts = Random(0), {"plain": 0, "with-tips": 0, "off-policy": 0}
    for _ in range(12_000):
        counts[draw_mode(rng, tips_share=0.25, off_policy_share=2 / 3).name] += 1
    expected = {"plain": 9000, "with-tips": 1000, "off-policy": 2000}
    assert sum((counts[m] - e) ** 2 / e for m, e in expected.items()) < 13.82  # 0.999 quantile, 2


@pytest.mark.parametrize(
    ("tips", "off_policy", "only"),
    [(0.0, 1.0, "plain"), (1.0, 0.0, "with-tips"), (1.0, 1.0, "off-policy")],
)
def test_the_ends(tips: float, off_policy: float, only: str) -> None:
    rng = Random(1)
    modes = {draw_mode(rng, tips_share=tips, off_policy_share=off_policy).name for _ in range(200)}
    assert modes == {only}


def test_the_shares_do_not_shift_what_is_drawn_later() -> None:
    one, other = Random(2), Random(2)
    draw_mode(one, tips_share=0.0, off_policy_share=0.5)
    draw_mode(other, tips_share=1.0, off_policy_share=0.5)
    assert one.random() == other.random()


def test_an_update_without_tips_to_leave_out_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to leave out"):
        Mode(tips=False, off_policy=True)
