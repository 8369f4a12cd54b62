import math

import numpy as np
import pytest

from roma_ros.evaluation.metrics.intervals import (
    bootstrap,
    poisson_high,
    rate_without_events_high,
    share_without_events_high,
)


def test_bootstrap_of_a_mean_agrees_with_its_standard_error():
    values = np.random.default_rng(3).normal(5, 2, 400)
    low, high = bootstrap(lambda weights: weights @ values / weights.sum(1), 400)
    error = values.std() / math.sqrt(400)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.03)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.03)


def test_bootstrap_says_nothing_where_nothing_can_be_said():
    assert bootstrap(lambda weights: weights[:, 0].astype(float), 1) == (None, None)
    assert bootstrap(lambda weights: weights[:, 0] * math.nan, 9) == (None, None)


def test_bootstrap_is_repeatable():
    values = np.random.default_rng(0).normal(size=9)
    first, again, other = (bootstrap(lambda w: w @ values, 9, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_rule_of_three():
    assert rate_without_events_high(2.0) == pytest.approx(3 / 2, rel=0.01)
    assert rate_without_events_high(0.0) == math.inf
    assert share_without_events_high(300) == pytest.approx(3 / 300, rel=0.01)
    assert share_without_events_high(0) == 1
    assert poisson_high(0) == pytest.approx(rate_without_events_high(1.0))


@pytest.mark.parametrize(
    ('count', 'expected'),
    # Tables of one-sided 95 % limits, as in Garwood 1936.
    [(0, 2.996), (1, 4.744), (2, 6.296), (5, 10.513), (10, 16.962), (50, 63.287), (500, 538.4)],
)
def test_poisson_limits_are_those_of_the_tables(count, expected):
    assert poisson_high(count) == pytest.approx(expected, rel=2e-4)


def test_poisson_limit_holds_as_often_as_promised():
    rng = np.random.default_rng(0)
    counts = rng.poisson(4.0, 4000)
    high = {count: poisson_high(int(count)) for count in set(counts.tolist())}
    assert np.mean([high[count] >= 4.0 for count in counts.tolist()]) >= 0.94


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError, match='count is -1'):
        poisson_high(-1)
