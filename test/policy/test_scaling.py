from hypothesis import given, strategies as st
import numpy as np
import pytest

from roma_ros.evaluation.metrics.calibration_error import expected_calibration_error
from roma_ros.policy.scaling import fit_scaling, log_loss, Scaling

units = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 20).map(lambda i: i / 20)), min_size=1, max_size=60
).map(lambda pairs: tuple(zip(*pairs, strict=True)))


def spoiled(temperature, offset, *, count=20_000, seed=0):
    """Return labels drawn from true probabilities, and the head's wrong ones."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1.5, 1.5, count)
    labels = rng.random(count) < 1 / (1 + np.exp(-logits))
    return labels, 1 / (1 + np.exp(-(logits - offset) * temperature))


@pytest.mark.parametrize(('temperature', 'offset'), [(3.0, 0.0), (0.5, 0.0), (1.0, -1.1)])
def test_what_was_spoiled_is_found_again(temperature, offset):
    labels, probabilities = spoiled(temperature, offset)
    scaling = fit_scaling(labels, probabilities)
    assert scaling.temperature == pytest.approx(temperature, rel=0.06)
    assert scaling.offset == pytest.approx(offset, abs=0.06)
    before = expected_calibration_error(labels, probabilities)
    after = expected_calibration_error(labels, scaling(probabilities))
    assert after < 0.015 < before


def test_agrees_with_scikit_learn():
    linear = pytest.importorskip('sklearn.linear_model', reason='scikit-learn is not installed')
    labels, probabilities = spoiled(2.0, -0.7, count=3000)
    logits = np.log(probabilities / (1 - probabilities))
    fitted = linear.LogisticRegression(C=np.inf).fit(logits[:, None], labels)
    scaling = fit_scaling(labels, probabilities)
    # The softened labels shift it a little.
    assert 1 / scaling.temperature == pytest.approx(fitted.coef_[0, 0], rel=0.02)
    assert scaling.offset == pytest.approx(fitted.intercept_[0], abs=0.02)


@given(units)
def test_the_order_of_probabilities_stays(pairs):
    labels, probabilities = pairs
    scaling = fit_scaling(labels, probabilities)
    assert 1 / 20.01 < scaling.temperature < 50.01
    grid = scaling(np.linspace(0.01, 0.99, 50))
    assert (np.diff(grid) >= 0).all()
    assert ((grid >= 0) & (grid <= 1)).all()


@given(units)
def test_the_order_of_units_does_not_count(pairs):
    labels, probabilities = pairs
    forth, back = (
        fit_scaling(labels, probabilities),
        fit_scaling(labels[::-1], probabilities[::-1]),
    )
    np.testing.assert_allclose(forth([0.2, 0.7]), back([0.2, 0.7]), atol=1e-5)


def test_perfect_separation_does_not_make_sure_of_everything():
    scaling = fit_scaling([0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.8, 0.9])
    assert 0.02 < float(scaling(0.1)) < 0.4
    assert 0.6 < float(scaling(0.9)) < 0.98


def test_scores_that_contradict_their_labels_tell_little_more_than_the_share_of_positives():
    labels = np.array([1, 0, 0, 0] * 50)
    scaling = fit_scaling(labels, np.where(labels, 0.1, 0.9))
    np.testing.assert_allclose(scaling([0.2, 0.8]), 0.25, atol=0.03)


def test_degenerate_input():
    assert fit_scaling([], []) == Scaling()
    assert float(fit_scaling([1, 1], [0.5, 0.5])(0.5)) > 0.5
    assert np.isnan(Scaling()(float('nan')))
    np.testing.assert_allclose(Scaling()([0.0, 0.25, 1.0]), [0, 0.25, 1], atol=1e-5)
    with pytest.raises(ValueError, match='1 of them NaN'):
        fit_scaling([0, 1], [0.5, float('nan')])
    with pytest.raises(ValueError, match='2 labels and 1 probabilities'):
        fit_scaling([0, 1], [0.5])


def test_log_loss_by_hand():
    assert log_loss([1, 0], [0.5, 0.5]) == pytest.approx(np.log(2))
    assert log_loss([1], [0.0]) == pytest.approx(-np.log(1e-6))
    assert log_loss([], []) is None
