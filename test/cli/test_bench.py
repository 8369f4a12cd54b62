from importlib.util import find_spec
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

pytest.importorskip('transformers', reason='transformers is not installed')


def test_stream_prints_a_table_and_writes_its_figures(roma, tmp_path):
    path = tmp_path / 'new' / 'stream.json'
    done = roma('bench', 'stream', '--hours', 0.005, '--json', path)
    assert done.returncode == 0, done.stderr
    figures = json.loads(path.read_text())
    assert figures['units'] == 18
    assert {'latency_growth', 'memory_growth_mib', 'positions_max', 'cache_tokens_max'} <= (
        figures.keys()
    )
    assert figures['config']['bounded']
    assert figures['config']['contiguous']
    assert f'of {figures["capacity"]:,} tokens' in done.stdout
    assert '0 to 0.3' in done.stdout
    assert '18 units' in done.stderr


def test_an_unbounded_stream_is_stopped_at_its_limit(roma, tmp_path):
    path = tmp_path / 'stream.json'
    done = roma(
        *('bench', 'stream', '--unbounded', '--append', '--limit-minutes', 0.1, '--json', path)
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(path.read_text())
    assert figures['units'] == 6
    assert not figures['config']['bounded']
    assert not figures['config']['contiguous']


def test_an_interrupt_writes_what_it_has(tmp_path):
    path = tmp_path / 'stream.json'
    code = 'import sys; from roma_ros.cli.main import main; sys.exit(main())'
    with subprocess.Popen(
        [sys.executable, '-c', code, 'bench', 'stream', '--json', str(path)],
        cwd=tempfile.gettempdir(),
        env={**os.environ, 'PYTHONUNBUFFERED': '1'},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert 'units' in process.stderr.readline()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
    assert process.returncode == 130
    figures = json.loads(path.read_text())
    assert figures['interrupted']
    assert 0 < figures['units'] < 7200


@pytest.mark.parametrize(
    ('arguments', 'code', 'words'),
    [
        ([], 2, 'BENCHMARK'),
        (['stream', '--hours', '0'], 2, 'expected more than 0'),
        (['stream', '--hours', 'nan'], 2, 'not a length of time'),
        (['eviction', '--model', 'nowhere'], 1, 'nowhere'),
    ],
)
def test_bad_options_are_told(roma, arguments, code, words):
    done = roma('bench', *arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert 'Traceback' not in done.stderr


def test_step_compares_engines_with_the_reference(roma, tmp_path):
    path = tmp_path / 'step.json'
    done = roma(
        *('bench', 'step', '--engines', 'torch,onnxruntime-w8a8', '--units', 2),
        *('--window-s', 2, '--json', path),
        ROMA_HOME=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(path.read_text())
    assert figures['engines'].keys() == {'torch', 'onnxruntime-w8a8'}
    assert list(tmp_path.glob('graphs/roma-tiny-*/w8a8-*/step.onnx'))
    assert figures['ratio'].keys() == {'unit_start', 'unit_minute_10', 'reply'}
    assert all(ratio > 0 for ratio in figures['ratio'].values())
    ours, reference = figures['engines']['torch'], figures['reference']
    for name in ('unit_ms_p50', 'unit_ms_p95', 'reply_ms_p50', 'roofline_share'):
        assert ours[name] > 0
        assert reference[name] > 0
    # 600 units of 49 tokens against two seconds of them.
    assert reference['tokens_minute_10'] > 600 * 40 > 30 * ours['tokens_minute_10']
    assert f'{figures["engine"]} against the reference' in done.stdout


def test_an_engine_that_is_not_there_is_named(roma):
    done = roma('bench', 'step', '--engines', 'abacus')
    assert done.returncode == 1
    assert "engine is 'abacus'" in done.stderr


@pytest.mark.ros
def test_node_measures_units_above_a_bare_subscriber(roma, tmp_path):
    pytest.importorskip('rclpy', reason='rclpy is not installed')
    path = tmp_path / 'node.json'
    done = roma(*('bench', 'node', '--seconds', 6, '--width', 64, '--height', 48, '--json', path))
    assert done.returncode == 0, done.stderr
    figures = json.loads(path.read_text())
    raw, bare, units = (figures[role] for role in ('raw', 'bare', 'units'))
    assert raw['units'] == bare['units'] == 0 < units['units']
    assert min(f[what] for f in (raw, bare, units) for what in ('images', 'chunks')) > 10
    # What is not made a message has no stamp.
    assert 'images_delay_ms_p50' in bare
    assert 'images_delay_ms_p50' not in raw
    assert ('pairs' in figures) == (find_spec('message_filters') is not None)
    assert [line.split()[0] for line in done.stdout.splitlines()[1:4]] == ['raw', 'bare', 'units']
    assert units['cpu_share'] > 0 < bare['cpu_share']
    assert figures['added_share'] == pytest.approx(
        units['cpu_share'] - bare['cpu_share'], abs=1e-3
    )
