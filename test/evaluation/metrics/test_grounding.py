from hypothesis import given, strategies as st
import numpy as np
import pytest

from roma_ros.evaluation.metrics.grounding import recall_at, second_iou, span_overlaps


def test_every_second_above_the_threshold_counts():
    scores = [0, 0, 9, 9, 0, 0, 9, 0]
    assert second_iou(scores, (2, 3), smoothing=0) == pytest.approx(2 / 3)
    assert second_iou(scores, (2, 6), smoothing=0) == pytest.approx(3 / 5)


def test_the_threshold_itself_counts():
    assert second_iou([0.0, 0.45, 1.0], (1, 2), smoothing=0, threshold=0.45) == 1


def test_constant_scores_predict_nothing():
    assert second_iou([0.9] * 5, (1, 2)) == 0
    assert second_iou([0.9] * 5, (7, 9)) == 1  # nothing predicted, nothing true in the video


@given(
    st.lists(st.integers(0, 9), min_size=2, max_size=25),
    st.integers(0, 20),
    st.integers(0, 5),
    st.floats(0.05, 0.95),
)
def test_overlap_agrees_with_sets(scores, start, length, threshold):
    low, high = min(scores), max(scores)
    scaled = [(s - low) / (high - low) if high > low else 0.0 for s in scores]
    predicted = {
        i for i in range(len(scores)) if np.mean(scaled[max(0, i - 1) : i + 2]) >= threshold
    }
    true = {i for i in range(start, start + length + 1) if i < len(scores)}
    expected = len(predicted & true) / len(predicted | true) if predicted | true else 1.0
    overlap = second_iou(scores, (start, start + length), smoothing=1, threshold=threshold)
    assert overlap == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_recall_falls_with_the_overlap_asked_for(overlaps, first, second):
    low, high = sorted((first, second))
    assert recall_at(overlaps, low) >= recall_at(overlaps, high)
    assert recall_at(overlaps[::-1], low) == recall_at(overlaps, low)


def test_recall_by_hand():
    assert recall_at([0.5, 0.49, 1.0, 0.0], 0.5) == 0.5
    assert recall_at([], 0.5) is None
    with pytest.raises(ValueError, match='NaN'):
        recall_at([float('nan')], 0.5)


def test_one_span_a_sentence():
    overlaps = span_overlaps([(0.0, 10.0), None], [(5.0, 10.0), (1.0, 2.0)])
    assert overlaps == [0.5, 0.0]
