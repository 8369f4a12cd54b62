"""Samples by number: compared with a plain dictionary."""

from hypothesis import given, strategies as st
import numpy as np

from roma_ros.units.sample_store import SampleStore


@given(
    chunks=st.lists(st.tuples(st.integers(-20, 60), st.integers(1, 12)), max_size=12),
    span=st.tuples(st.integers(-25, 70), st.integers(1, 40)),
)
def test_like_a_dictionary_where_the_first_wins(
    chunks: list[tuple[int, int]], span: tuple[int, int]
) -> None:
    store, expected = SampleStore(), {}
    for number, (begin, length) in enumerate(chunks, start=1):
        new = [index for index in range(begin, begin + length) if index not in expected]
        assert store.add(begin, np.full(length, number, np.float32)) == len(new)
        expected.update(dict.fromkeys(new, number))
    begin, end = span[0], span[0] + span[1]

    truth = [expected.get(index, 0) for index in range(begin, end)]
    assert store.read(begin, end).tolist() == truth
    missing = {i for hole in store.holes(begin, end) for i in range(*hole)}
    assert missing == {index for index in range(begin, end) if index not in expected}


def test_holes_are_joined_and_in_order() -> None:
    store = SampleStore()
    store.add(10, np.ones(5, np.float32))
    store.add(20, np.ones(5, np.float32))

    assert store.holes(0, 30) == [(0, 10), (15, 20), (25, 30)]
    assert store.holes(11, 14) == []


def test_dropped_samples_are_gone_and_later_ones_stay() -> None:
    store = SampleStore()
    for begin in range(0, 50, 10):
        store.add(begin, np.full(10, begin + 1, np.float32))
    store.drop_before(25)

    assert store.holes(0, 50) == [(0, 20)]
    assert store.read(19, 21).tolist() == [0, 21]
