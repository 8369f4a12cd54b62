from hypothesis import given, strategies as st
import numpy as np
import pytest

from roma_ros.evaluation.metrics.calibration_error import (
    brier_score,
    expected_calibration_error,
    reliability,
)

sklearn_metrics = pytest.importorskip('sklearn.metrics', reason='scikit-learn is not installed')
sklearn_calibration = pytest.importorskip('sklearn.calibration')

#: Labels and scores in 0..1, with ties.
labelled_scores = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 12).map(lambda i: i / 12)), min_size=1, max_size=40
).map(lambda pairs: tuple(zip(*pairs, strict=True)))


@given(labelled_scores)
def test_bins_agree_with_scikit_learn(pairs):
    labels, scores = pairs
    if len(set(labels)) == 2:
        share, mean = sklearn_calibration.calibration_curve(labels, scores, n_bins=7)
        bins = reliability(labels, scores, num_bins=7)
        np.testing.assert_allclose([part.share_true for part in bins], share)
        np.testing.assert_allclose([part.mean_probability for part in bins], mean)


@given(labelled_scores)
def test_error_agrees_with_a_plain_loop(pairs):
    labels, scores = pairs
    total = 0.0
    for index in range(10):
        low, high = index / 10, (index + 1) / 10
        inside = [i for i, p in enumerate(scores) if low < p <= high or (index == 0 and p <= high)]
        if inside:
            gap = np.mean([scores[i] for i in inside]) - np.mean([labels[i] for i in inside])
            total += len(inside) / len(scores) * abs(gap)
    # A score on an edge, as 0.3 on 3/10, may fall to either side by rounding.
    if not any(abs(p * 10 - round(p * 10)) < 1e-9 for p in scores):
        error = expected_calibration_error(labels, scores, num_bins=10)
        assert error == pytest.approx(total)


@given(labelled_scores)
def test_brier_agrees_with_scikit_learn(pairs):
    labels, scores = pairs
    expected = sklearn_metrics.brier_score_loss(labels, scores, labels=[0, 1])
    assert brier_score(labels, scores) == pytest.approx(expected)


@given(labelled_scores)
def test_errors_are_in_range_and_do_not_depend_on_order(pairs):
    labels, scores = pairs
    error = expected_calibration_error(labels, scores)
    assert 0 <= error <= 1
    assert expected_calibration_error(labels[::-1], scores[::-1]) == pytest.approx(error)


def test_a_constant_share_of_positives_has_no_error_and_sureness_has_all():
    labels = [1, 0, 0, 0]
    assert expected_calibration_error(labels, [0.25] * 4) == 0
    assert expected_calibration_error([1, 1], [0.0, 0.0]) == 1
    assert expected_calibration_error([1, 0], [1.0, 0.0]) == 0
    assert expected_calibration_error([], []) is brier_score([], []) is None


def test_what_is_no_probability_is_refused():
    with pytest.raises(ValueError, match='sigmoid'):
        expected_calibration_error([0, 1], [-2.0, 3.0])
    with pytest.raises(ValueError, match='score 1 is nan'):
        brier_score([0, 1], [0.5, float('nan')])
