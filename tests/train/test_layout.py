from hypothesis import given
from hypothesis import strategies as st

from empo2_agent.policies.flat import Shared
from empo2_agent.train.layout import WORTH_SHARING, Layout, lay_out

START = list(range(100, 100 + WORTH_SHARING))


def seen_by(layout: Layout, at: int) -> list[tuple[int, int]]:
    """Tokens, with their positions, that the token laid at `at` attends to, itself included."""
    start = 0
    for held, count in layout.parts:
        if at < start + count:
            before: range | list[int] = []
            if held is not None:
                assert isinstance(held, Shared)
                before = range(held.start, held.start + held.length)
            places = [*before, *range(start, at + 1)]
            return [(layout.token_ids[p], layout.positions[p]) for p in places]
        start += count
    raise AssertionError(f"no part holds {at}")


def check(rows: list[list[int]]) -> Layout:
    """Every token of every row sees exactly what stands before it in its row."""
    layout = lay_out(rows)
    assert sum(count for _, count in layout.parts) == len(layout.token_ids)
    assert all(count > 0 for _, count in layout.parts)
    for row, at in zip(rows, layout.places, strict=True):
        for place in range(len(row)):
            expected = list(zip(row[: place + 1], range(place + 1), strict=True))
            assert seen_by(layout, at(place)) == expected
    return layout


def test_what_neighbours_begin_with_alike_stands_there_once() -> None:
    layout = check([[*START, 1, 2], [*START, 3], [7, 8, 9]])
    assert layout.token_ids == [*START, 1, 2, 3, 7, 8, 9]
    shared = Shared(0, len(START))
    assert layout.parts == [(None, len(START)), (shared, 2), (shared, 1), (None, 3)]


def test_short_beginnings_are_not_shared() -> None:
    short = START[:-1]
    assert len(check([[*short, 1], [*short, 2]]).token_ids) == 2 * WORTH_SHARING


def test_a_row_that_is_the_beginning_of_another_has_no_tokens_of_its_own() -> None:
    for rows in ([START, [*START, 1]], [[*START, 1], START], [START, START]):
        assert len(check(rows).token_ids) == max(map(len, rows))


def test_a_third_row_that_shares_less_shortens_what_all_share() -> None:
    long = [*START, *range(50)]
    assert len(check([long, [*long, 1], [*START, 9]]).token_ids) == len(START) + 50 + 51 + 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 5, WORTH_SHARING, 2 * WORTH_SHARING]),
            st.lists(st.integers(0, 2), min_size=1, max_size=4),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_every_token_sees_its_own_row_and_nothing_else(rows: list[tuple[int, list[int]]]) -> None:
    check([[*range(100, 100 + common), *own] for common, own in rows])
