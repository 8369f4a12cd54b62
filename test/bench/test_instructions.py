import json

import pytest

from roma_ros.bench.instructions import run_instructions


@pytest.fixture(scope='module')
def figures(runtime):
    counts = []
    figures = run_instructions(
        runtime, numbers=(1, 3), num_units=3, window_s=3, on_unit=lambda *c: counts.append(c)
    )
    assert counts == [(i, 6) for i in range(1, 7)]
    assert json.loads(json.dumps(figures)) == figures
    return figures


def costs(figures, *, shared):
    return [c for c in figures['costs'] if c['alerts'] and c['share_stream'] == shared]


def test_every_number_is_measured_in_both_layouts(figures):
    cases = [(c['alerts'], c['share_stream']) for c in figures['costs']]
    assert cases == [(0, True), (1, True), (3, True), (1, False), (3, False)]
    assert all(c['unit_ms'] > 0 for c in figures['costs'])
    none = figures['costs'][0]
    assert (none['ratio'], none['ms_per_alert']) == (1.0, None)
    assert (none['cache_tokens'], none['cache_bytes'], none['buffer_bytes']) == (0, 0, 0)


def test_a_shared_stream_costs_the_words_alone(figures, runtime):
    one, three = costs(figures, shared=True)
    words = len(runtime.protocol.encode('Remind me when this happens: somebody opens door 1\n'))
    assert (one['cache_tokens'], three['cache_tokens']) == (words, 3 * words)
    assert one['buffer_bytes'] == three['buffer_bytes'] == 0
    # Keys and values of 6 layers, 2 heads, 48 wide, in float32.
    assert one['cache_bytes'] == words * 2 * 6 * 2 * 48 * 4


def test_a_stream_of_its_own_costs_a_whole_cache_each(figures):
    one, three = costs(figures, shared=False)
    assert one['cache_tokens'] > 3 * 40
    assert three['cache_tokens'] == 3 * one['cache_tokens']
    assert three['buffer_bytes'] == 3 * one['buffer_bytes'] > 0
