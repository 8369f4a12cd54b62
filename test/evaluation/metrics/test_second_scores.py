from hypothesis import given, strategies as st
import numpy as np
import pytest

from roma_ros.evaluation.metrics.second_scores import min_max, smooth, span_labels

scores = st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=30)


@given(scores)
def test_scaled_scores_are_between_0_and_1_and_keep_their_order(given_scores):
    scaled = min_max(given_scores)
    assert (scaled >= 0).all()
    assert (scaled <= 1).all()
    order = np.argsort(given_scores)
    assert (np.diff(scaled[order]) >= 0).all()
    if len(set(given_scores)) == 1:
        assert not scaled.any()
    else:
        assert (scaled.min(), scaled.max()) == (0, 1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 8))
def test_smoothing_agrees_with_a_plain_loop(given_scores, radius):
    expected = []
    for index in range(len(given_scores)):
        near = [v for i, v in enumerate(given_scores) if abs(i - index) <= radius]
        expected.append(sum(near) / len(near))
    np.testing.assert_allclose(smooth(given_scores, radius), expected)


def test_equal_windows_stay_equal():
    smoothed = smooth(np.tile([0.1, 0.7, 0.3], 20), 5)
    assert len(set(smoothed[6:-6].tolist())) == 3


def test_smoothing_looks_into_the_future():
    assert smooth([0.0, 0.0, 0.0, 1.0], 2)[1] == 0.25


@pytest.mark.parametrize(
    ('spans', 'expected'),
    [
        ([(1, 3)], [0, 1, 1, 1, 0, 0]),
        ([(1.9, 2.0)], [0, 1, 1, 0, 0, 0]),
        ([(4, 99)], [0, 0, 0, 0, 1, 1]),
        ([(-3, 0)], [1, 0, 0, 0, 0, 0]),
        ([(-3, -1), (7, 9)], [0, 0, 0, 0, 0, 0]),
        ([(0, 1), (1, 2)], [1, 1, 1, 0, 0, 0]),
        ([], [0, 0, 0, 0, 0, 0]),
    ],
)
def test_spans_are_closed_and_cut_to_the_video(spans, expected):
    assert span_labels(spans, 6).astype(int).tolist() == expected


def test_what_are_no_scores_is_refused():
    with pytest.raises(ValueError, match='at least one'):
        min_max([])
    with pytest.raises(ValueError, match='1 of them not finite'):
        min_max([0.1, float('nan')])
    with pytest.raises(ValueError, match='radius is -1'):
        smooth([0.1], -1)
    with pytest.raises(ValueError, match='the begin not after the end'):
        span_labels([(3, 2)], 6)
