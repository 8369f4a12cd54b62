from itertools import pairwise

import pytest

from roma_ros.bench import scaling
from roma_ros.model.checkpoint import load_roma
from roma_ros.runtime.factory import default_model, load_runtime


@pytest.fixture(scope='module')
def points():
    runtime = load_runtime(threads=1)
    config = load_roma(default_model()).config
    figures = scaling.run_scaling(runtime, config, num_units=1, window_s=2)
    by_axis: dict[str, list[dict]] = {}
    for point in figures['points']:
        by_axis.setdefault(point['axis'], []).append(point)
    return by_axis


def test_each_axis_begins_at_one(points):
    assert len(points) == 5
    assert all(axis[0]['ratio'] == 1 and len(axis) >= 3 for axis in points.values())


def test_age_costs_no_token_and_window_and_frames_do(points):
    ages = [p['tokens'] for p in points['age [s]']]
    assert max(ages) < 1.5 * min(ages)
    for axis in ('window [s]', 'frame [pixels]'):
        assert all(b['tokens'] > a['tokens'] for a, b in pairwise(points[axis]))


def test_networks_grow(points):
    sizes = [p['value'] for p in points['network [million parameters]']]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 5 * sizes[0]
