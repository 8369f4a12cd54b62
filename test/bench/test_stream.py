import json
import os

import pytest

from roma_ros.bench.stream import run_stream, StreamBenchConfig


def bench(runtime, **fields):
    figures = run_stream(runtime, StreamBenchConfig(**fields))
    assert json.loads(json.dumps(figures)) == figures
    return figures


@pytest.fixture(scope='module')
def figures(runtime):
    return bench(runtime, num_units=50, period_units=20, window_s=10)


def test_units_and_periods_are_counted(figures):
    assert (figures['units'], figures['interrupted']) == (50, False)
    assert [(p['begin_units'], p['units']) for p in figures['periods']] == [
        (0, 20),
        (20, 20),
        (40, 10),
    ]
    assert [m['units'] for m in figures['minutes']] == [50]
    for period in figures['periods']:
        assert 0 < period['latency_p50_ms'] <= period['latency_p95_ms']
        assert period['cpu_p50_ms'] > 0


def test_growth_is_between_the_first_and_the_last_full_period(figures):
    first, last, rest = figures['periods']
    assert figures['latency_growth'] == pytest.approx(
        last['latency_p50_ms'] / first['latency_p50_ms'], abs=1e-3
    )
    after = max(last['resident_mib'], rest['resident_mib'])
    assert figures['memory_growth_mib'] == pytest.approx(after - first['resident_mib'], abs=0.02)


def test_a_young_stream_reads_the_same_units_in_the_first_and_the_last_full_period(figures):
    first, last, rest = figures['periods']
    assert rest['control_p50_ms'] is None
    ratios = [p['latency_p50_ms'] / p['control_p50_ms'] for p in (first, last)]
    assert figures['latency_growth_paired'] == pytest.approx(ratios[1] / ratios[0], abs=1e-3)


def test_instructions_questions_and_replies_happen(figures):
    # Every 20th unit, from the first; a question at unit 44.
    assert figures['questions'] == figures['answers'] == 1
    assert figures['narrations'] == 3
    assert figures['alerts'] == 3 * 3
    assert figures['utterances'] == 3 + 9 + 1
    assert sum(p['segments'] for p in figures['periods']) >= figures['utterances']


def test_a_bounded_stream_stays_in_its_bounds(figures):
    assert figures['cache_tokens_max'] <= figures['capacity']
    assert figures['positions_max'] <= figures['capacity']
    assert 10 * 40 < figures['cache_tokens_max'] < 20 * 49 + 512


def test_the_process_is_measured(figures):
    memory_mib = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**20
    assert 50 < figures['periods'][0]['resident_mib'] < memory_mib
    assert figures['machine']['cores'] == len(os.sched_getaffinity(0))
    assert (figures['model'], figures['threads']) == ('roma-tiny', 1)


def test_unbounded_keeps_everything_and_append_only_lets_positions_grow(runtime, figures):
    unbounded, append = (
        bench(runtime, num_units=50, period_units=20, window_s=10, **{name: False})
        for name in ('bounded', 'contiguous')
    )
    assert unbounded['cache_tokens_max'] > figures['cache_tokens_max'] + 25 * 40
    assert unbounded['positions_max'] > 50 * 27
    assert append['positions_max'] > 50 * 27 > figures['positions_max']
    assert append['capacity'] == figures['capacity'] < unbounded['capacity']


def test_an_interrupt_returns_what_was_measured(runtime):
    def stop(count, latency_ms):
        if count == 7:
            raise KeyboardInterrupt

    figures = run_stream(runtime, StreamBenchConfig(num_units=1000), on_unit=stop)
    assert (figures['units'], figures['interrupted']) == (7, True)
    assert [p['units'] for p in figures['periods']] == [7]
    assert figures['latency_growth'] is figures['memory_growth_mib'] is None


def test_an_empty_stream_is_refused():
    with pytest.raises(ValueError, match='num_units is 0'):
        StreamBenchConfig(num_units=0)
