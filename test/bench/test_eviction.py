import json

import pytest

from roma_ros.bench.eviction import run_eviction


@pytest.fixture(scope='module')
def figures(runtime):
    figures = run_eviction(runtime, seeds=(0, 1), window_s=5, num_units=24, measure_every=4)
    assert json.loads(json.dumps(figures)) == figures
    return figures


def test_before_the_first_eviction_all_is_equal(figures):
    assert figures['comparisons_before'] == 2
    assert figures['probability_before']['max'] < 1e-5
    for name in ('key', 'value'):
        assert max(figures[f'{name}_error_by_layer_before']) < 1e-5


def test_after_it_the_first_layer_is_equal_and_the_others_carry_what_they_saw(figures):
    assert figures['comparisons_after'] == 2 * 5
    for name in ('key', 'value'):
        first, *deeper = figures[f'{name}_error_by_layer']
        assert first < 1e-5
        assert len(deeper) == 5
        assert min(deeper) > 1e-3
    assert 1e-4 < figures['probability_after']['median'] < 1


def test_all_ways_to_go_on_are_compared(figures):
    names = ('probability_after', 'probability_after_append', 'probability_without_eviction')
    spreads = [figures[name] for name in names]
    assert all(0 < s['median'] <= s['p95'] <= s['max'] < 1 for s in spreads)
    assert len({s['median'] for s in spreads}) == 3
