"""Which tokens are learnt from, on what, and with what advantage: by hand, and for any ledger."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empo2_agent.train import samples as under_test
from empo2_agent.train.samples import Row, Sample, samples_of
from empo2_agent.transcript import without_tips
from empo2_agent.types import Episode, Segment
from tests.train.ledgers import action, episode, prompt, tip

# Two turns, the first with a forced token, the second behind two tips.
LEDGER = (
    prompt(1, 2, 3),
    tip(90, 91),
    prompt(4),
    action((10, -0.5, (10, 11)), (12, 0.0, (12,)), (13, -0.7, (13, 14, 15))),
    prompt(5, 6),
    tip(92),
    tip(93),
    prompt(7),
    action((20, -1.5, None), (21, -2.5, None)),
    prompt(8, 9),
)
PROMPTS = (6, 14)


def test_the_masks_of_a_ledger_with_tips_and_forced_tokens() -> None:
    [sample] = samples_of(episode(LEDGER, PROMPTS), [2.0, -3.0], off_policy=True, sequence=5)
    #                            v        v                    v   v   predict a learnt token
    acting = (1, 2, 3, 90, 91, 4, 10, 12, 13, 5, 6, 92, 93, 7, 20)
    assert sample.acting == Row(acting, (5, 7, 13, 14))
    update = (1, 2, 3, 4, 10, 12, 13, 5, 6, 7, 20)
    assert sample.update == Row(update, (3, 5, 9, 10))
    assert sample.targets == (10, 13, 20, 21)
    assert sample.allowed == ((10, 11), (13, 14, 15), None, None)
    assert sample.behaviour == (-0.5, -0.7, -1.5, -2.5)
    assert sample.advantages == (2.0, 2.0, -3.0, -3.0)
    assert sample.turns == (0, 0, 1, 1)
    assert (sample.sequence, sample.differs) == (5, True)


def test_on_policy_the_update_sees_what_was_acted_on() -> None:
    [sample] = samples_of(episode(LEDGER, PROMPTS), [2.0, -3.0], off_policy=False, sequence=0)
    assert sample.update == sample.acting
    assert not sample.differs


def test_a_corrected_reply_is_learnt_from_as_it_was_sampled() -> None:
    """The ledger shows what was executed (50, 51); later turns were drawn on that."""
    said = action((30, -0.1, None), (31, -0.2, None))
    ledger = (
        prompt(1, 2), tip(90), prompt(3), prompt(50, 51), prompt(4),
        tip(91), prompt(5), action((20, -1.0, None)), prompt(6),
    )  # fmt: skip
    whole, corrected = samples_of(
        episode(ledger, (4, 9), sampled={0: said}), [1.0, -2.0], off_policy=True, sequence=0
    )
    assert whole.acting == Row((1, 2, 90, 3, 50, 51, 4, 91, 5), (8,))
    assert whole.update == Row((1, 2, 3, 50, 51, 4, 5), (6,))
    assert (whole.targets, whole.advantages, whole.turns) == ((20,), (-2.0,), (1,))
    assert corrected.acting == Row((1, 2, 90, 3, 30), (3, 4))
    assert corrected.update == Row((1, 2, 3, 30), (2, 3))
    assert (corrected.targets, corrected.behaviour) == ((30, 31), (-0.1, -0.2))
    assert (corrected.advantages, corrected.turns) == ((1.0, 1.0), (0, 0))


def test_where_all_replies_were_corrected_the_ledger_itself_teaches_nothing() -> None:
    said = action((30, -0.1, None))
    ledger = (prompt(1, 2), prompt(50), prompt(3), prompt(51), prompt(4))
    found = samples_of(
        episode(ledger, (2, 4), sampled={0: said, 1: said}),
        [1.0, 1.0],
        off_policy=False,
        sequence=0,
    )
    assert [sample.acting for sample in found] == [Row((1, 2), (1,)), Row((1, 2, 50, 3), (3,))]


def test_replies_without_a_choice_teach_nothing() -> None:
    ledger = (prompt(1), action((10, 0.0, (10,)), (11, 0.0, (11,))), prompt(2))
    assert samples_of(episode(ledger, (1,)), [1.0], off_policy=False, sequence=0) == []


def test_another_number_of_advantages_is_refused() -> None:
    with pytest.raises(ValueError, match="1 advantages for 2 steps"):
        samples_of(episode(LEDGER, PROMPTS), [1.0], off_policy=False, sequence=0)


def newest_tip_survives(path: Sequence[Segment]) -> tuple[Segment, ...]:
    """What the authors' release does."""
    newest = [n for n, segment in enumerate(path) if segment.kind == "tip"][-1]
    return tuple(s for n, s in enumerate(path) if s.kind != "tip" or n == newest)


def something_else_goes_too(path: Sequence[Segment]) -> tuple[Segment, ...]:
    return without_tips(path)[1:]


@pytest.mark.parametrize("tampered", [newest_tip_survives, something_else_goes_too, tuple])
def test_a_wrong_removal_never_leaves_the_house(
    tampered: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "without_tips", tampered)
    with pytest.raises(AssertionError, match="a tip reached the sequence"):
        samples_of(episode(LEDGER, PROMPTS), [1.0, 1.0], off_policy=True, sequence=0)


IDS = st.integers(0, 99)
TOKENS = st.lists(IDS, min_size=1, max_size=3)
ALLOWED = st.one_of(st.none(), st.lists(IDS, min_size=1, max_size=3, unique=True).map(tuple))
REPLY = st.lists(st.tuples(IDS, st.floats(-9, 0), ALLOWED), min_size=1, max_size=4)
TURN = st.tuples(TOKENS, st.lists(TOKENS, max_size=2), TOKENS, REPLY, st.booleans())


def grow(turns: Sequence[tuple[list[int], list[list[int]], list[int], list, bool]]) -> Episode:  # type: ignore[type-arg] # see REPLY
    """An episode; True at the end of a turn: another reply stands in the ledger."""
    segments: list[Segment] = []
    prompts, sampled = [], {}
    for n, (said, tips, opening, reply, corrected) in enumerate(turns):
        segments += [prompt(*said), *(tip(*ids) for ids in tips), prompt(*opening)]
        prompts.append(sum(len(segment.token_ids) for segment in segments))
        segments.append(prompt(7, 7) if corrected else action(*reply))
        if corrected:
            sampled[n] = action(*reply)
    return episode(segments, prompts, sampled=sampled)


@given(st.lists(TURN, min_size=1, max_size=4))
def test_the_off_policy_row_is_the_acting_row_minus_the_tokens_of_tips(turns: list) -> None:  # type: ignore[type-arg] # see TURN
    played = grow(turns)
    advantages = [float(n + 1) for n in range(len(turns))]
    found = samples_of(played, advantages, off_policy=True, sequence=0)
    tagged = [(i, s.kind == "tip") for s in played.segments for i in s.token_ids]
    for sample in found:
        assert sample.update.token_ids == _without(sample, tagged, played)
        for row in (sample.acting, sample.update):
            places = row.places
            assert list(places) == sorted(set(places))
            assert places[-1] == len(row.token_ids) - 1
            following = [*row.token_ids[1:], sample.targets[-1]]
            assert tuple(following[place] for place in places) == sample.targets
    learnt = sorted((t, a) for s in found for t, a in zip(s.turns, s.advantages, strict=True))
    drawn = [
        (n, float(n + 1))
        for n, (_, _, _, reply, _) in enumerate(turns)
        for _, _, ids in reply
        if ids is None or len(ids) > 1
    ]
    assert learnt == drawn


def _without(
    sample: Sample, tagged: Sequence[tuple[int, bool]], played: Episode
) -> tuple[int, ...]:
    """The acting row, told from the ledger or from a corrected reply behind it, minus tips."""
    row = sample.acting.token_ids
    step = played.steps[sample.turns[-1]]
    behind = tagged
    if step.sampled is not None:
        behind = [*tagged[: step.prompt_tokens], *((i, False) for i in step.sampled.token_ids)]
    assert row == tuple(i for i, _ in behind[: len(row)])
    return tuple(i for i, is_tip in behind[: len(row)] if not is_tip)
