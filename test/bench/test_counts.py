import shutil

import pytest

from roma_ros.bench.counts import run_counts
from roma_ros.cli import bench

PLAIN, SWAPPED = 'rgb8 640x480, 16 kHz drifting', 'bgr8 640x480, 16 kHz drifting'


@pytest.mark.skipif(shutil.which('valgrind') is None, reason='valgrind is not installed')
def test_counts_what_each_second_costs_and_not_the_start():
    lines = []
    figures = run_counts([SWAPPED], on_progress=lines.append)
    assert lines == [f'{SWAPPED}: 1 of 1']
    # The pixels of 30 images are read and written in another order. To import what is needed
    # takes about 500 million.
    assert (
        30 * 3 * 640 * 480 / 1e6 < figures['inputs'][SWAPPED]['million_instructions_per_s'] < 400
    )


def test_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setenv('PATH', '')
    with pytest.raises(RuntimeError, match='apt install valgrind'):
        run_counts([PLAIN])
    assert bench.main(['counts']) == 1
    assert 'valgrind' in capsys.readouterr().err
    with pytest.raises(ValueError, match='no input rgb9'):
        run_counts(['rgb9'])


def test_the_table_has_a_line_for_each_input(monkeypatch, capsys, tmp_path):
    figures = {'inputs': {PLAIN: {'million_instructions_per_s': 40.346}}}
    monkeypatch.setattr('roma_ros.bench.counts.run_counts', lambda on_progress: figures)
    assert bench.main(['counts', '--json', str(tmp_path / 'counts.json')]) == 0
    assert f'{PLAIN} ' in capsys.readouterr().out
    assert '40.346' in (tmp_path / 'counts.json').read_text()
