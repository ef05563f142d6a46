import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from damond.report.percentiles import percentiles

ROWS = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), min_size=1, max_size=60)


@example([(0, 7), *[(1, 1)] * 4, (1, 3), *[(1, 9)] * 4], [14])
@given(ROWS, st.lists(st.integers(0, 100), max_size=5))
def test_percentiles_are_those_of_the_numbers_written_out(rows: list[tuple[int, int]], wanted: list[int]) -> None:
    """A number of the weight 3 is that number three times; the least that so many of them do not exceed is meant."""
    values, weights = (np.array(column) for column in zip(*rows, strict=True))
    written_out = np.sort(np.repeat(values, weights)).tolist()
    expected = [written_out[max(-(-len(written_out) * each // 100) - 1, 0)] for each in wanted]
    assert percentiles(values, weights.astype(np.float64), wanted) == expected


def test_the_ends_are_the_extremes() -> None:
    """0 is the least and 100 the greatest, whatever they weigh."""
    assert percentiles(np.array([5, 1, 9]), np.array([1.0, 1e15, 1.0]), [0, 100]) == [1, 9]
