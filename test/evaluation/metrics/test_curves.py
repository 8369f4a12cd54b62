from hypothesis import given, strategies as st
import numpy as np
import pytest

from roma_ros.evaluation.metrics.curves import average_precision, roc_auc, sweep_thresholds

sklearn_metrics = pytest.importorskip('sklearn.metrics', reason='scikit-learn is not installed')

#: Labels and scores in 0..1, with ties.
labelled_scores = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 12).map(lambda i: i / 12)), min_size=1, max_size=40
).map(lambda pairs: tuple(zip(*pairs, strict=True)))


@given(labelled_scores)
def test_curves_agree_with_scikit_learn(pairs):
    labels, scores = pairs
    curve = sweep_thresholds(labels, scores)
    if any(labels):
        precision, recall, thresholds = sklearn_metrics.precision_recall_curve(labels, scores)
        np.testing.assert_allclose(curve.thresholds[::-1], thresholds)
        np.testing.assert_allclose(curve.precision[::-1], precision[:-1])
        np.testing.assert_allclose(curve.recall[::-1], recall[:-1])
        expected = sklearn_metrics.average_precision_score(labels, scores)
        assert average_precision(labels, scores) == pytest.approx(expected)
    if len(set(labels)) == 2:
        rate, recall, _ = sklearn_metrics.roc_curve(labels, scores, drop_intermediate=False)
        np.testing.assert_allclose(curve.false_positive_rate, rate[1:])
        np.testing.assert_allclose(curve.recall, recall[1:])
        assert roc_auc(labels, scores) == pytest.approx(
            sklearn_metrics.roc_auc_score(labels, scores)
        )


@given(labelled_scores)
def test_auc_is_how_often_a_positive_is_above_a_negative(pairs):
    labels, scores = np.array(pairs[0], bool), np.array(pairs[1])
    if labels.all() or not labels.any():
        assert roc_auc(labels, scores) is None
        return
    difference = scores[labels][:, None] - scores[~labels][None]
    assert roc_auc(labels, scores) == pytest.approx(np.mean((np.sign(difference) + 1) / 2))


@given(labelled_scores)
def test_only_the_order_of_scores_counts(pairs):
    labels, scores = np.array(pairs[0]), np.array(pairs[1])
    for metric in (average_precision, roc_auc):
        assert metric(labels, np.exp(3 * scores)) == metric(labels, scores)
        assert metric(labels[::-1], scores[::-1]) == metric(labels, scores)


@given(labelled_scores)
def test_raising_a_positive_never_hurts(pairs):
    labels, scores = np.array(pairs[0]), np.array(pairs[1])
    if not labels.any():
        return
    ranks = np.argsort(np.argsort(scores, kind='stable')).astype(float)  # ties broken
    for given_scores, metrics in ((scores, [roc_auc]), (ranks, [roc_auc, average_precision])):
        better = given_scores.copy()
        better[np.argmax(labels)] += 2.5
        for metric in metrics:
            before, after = metric(labels, given_scores), metric(labels, better)
            assert before is after is None or after >= before - 1e-12


def test_ties_flatter_average_precision():
    labels = [0, 1, 1]
    assert average_precision(labels, [0.5, 0.0, 0.0]) > average_precision(labels, [0.5, 0.4, 0.0])


def test_degenerate_labels():
    assert average_precision([0, 0], [0.1, 0.2]) is None
    assert average_precision([1, 1], [0.1, 0.2]) == 1
    assert average_precision([], []) is None
    assert roc_auc([1, 1], [0.1, 0.2]) is roc_auc([], []) is None
    assert sweep_thresholds([], []).thresholds.size == 0
    assert np.isnan(sweep_thresholds([0], [0.5]).recall).all()


@pytest.mark.parametrize(
    ('labels', 'scores', 'message'),
    [
        ([0, 1], [0.5], r'shape \(2,\) and scores \(1,\)'),
        ([0, 1], [0.5, np.nan], 'score 1 is nan'),
        ([0, 1], [np.inf, 0.5], 'score 0 is inf'),
        ([0, 2], [0.5, 0.5], r'labels hold \[0 2\], expected 0 and 1'),
        ([0, np.nan], [0.5, 0.5], 'expected 0 and 1'),
    ],
)
def test_what_is_no_label_or_score_is_refused(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        average_precision(labels, scores)
