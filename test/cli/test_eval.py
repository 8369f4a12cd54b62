import json

import pytest

from roma_ros.cli.eval import main
from roma_ros.cli.report import main as report
from roma_ros.evaluation.benchmarks.registry import BENCHMARKS
from roma_ros.evaluation.benchmarks.small_clips import write_clip
from roma_ros.evaluation.benchmarks.small_sets import main as small_sets


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_the_list_says_where_data_come_from(capsys):
    assert run('--list') == 0
    text = capsys.readouterr().out
    for benchmark in BENCHMARKS.values():
        assert benchmark.owner in text
        assert benchmark.layout.splitlines()[0].strip() in text


def test_without_a_name_it_says_how(capsys):
    with pytest.raises(SystemExit):
        run()
    assert 'name a benchmark, or --list' in capsys.readouterr().err


@pytest.fixture
def tabletop(tmp_path):
    pytest.importorskip('espeakng_loader', reason='no voice of the tabletop world is installed')
    pytest.importorskip('cv2', reason='OpenCV is not installed')

    def evaluate(*arguments):
        path = tmp_path / 'tabletop.json'
        sizes = ('--streams', 2, '--seconds', 8, '--threads', 1, '--device', 'cpu')
        code = run('tabletop', *sizes, '--json', path, *arguments)
        return code, json.loads(path.read_text()) if path.is_file() else None

    return evaluate


def test_tabletop_figures_have_their_places(tabletop, tmp_path, capsys):
    code, figures = tabletop('--calibrate-on', 'validation', '--calibration-streams', 1)
    assert code == 0
    assert {'f1', 'delay_s_median', 'false_alerts_per_hour', 'by_sense'} <= set(figures['alert'])
    assert set(figures['alert']['by_sense']) == {'sight', 'sound', 'joint'}
    assert {'time_f1', 'slot_accuracy'} <= set(figures['narration'])
    assert {'spoken', 'typed', 'constant'} <= set(figures['questions'])
    assert 'false_alerts_per_hour' in figures['silent']
    assert {'always', 'never', 'every_k_seconds', 'motion', 'loudness'} <= set(
        figures['baselines']
    )
    assert figures['split'] == 'test'
    assert figures['seeds'] == {'first': 0, 'count': 2}
    assert figures['thresholds']['from'] == '1 streams of the validation split, seeds from 0'
    assert 0 < figures['thresholds']['alert']['threshold'] < 1
    table = capsys.readouterr().out
    assert 'most_frequent_answer' in table
    lines = tmp_path / 'tabletop.lines'
    assert {path.name for path in lines.iterdir()} == {
        'validation-1.jsonl',
        'validation-2.jsonl',
        'test.jsonl',
    }
    # Run again: nothing is played, and the figures are the same.
    before = {path: path.stat().st_mtime_ns for path in lines.iterdir()}
    code, again = tabletop('--calibrate-on', 'validation', '--calibration-streams', 1)
    assert {path: path.stat().st_mtime_ns for path in lines.iterdir()} == before
    assert {k: v for k, v in again.items() if k != 'date'} == {
        k: v for k, v in figures.items() if k != 'date'
    }


def test_thresholds_of_the_judged_split_are_refused(tabletop, capsys):
    code, _ = tabletop('--calibrate-on', 'test')
    assert code == 1
    assert 'calibrate on another one' in capsys.readouterr().err


def test_a_missing_model_is_named(capsys, tmp_path):
    assert run('tabletop', '--model', tmp_path / 'none') == 1
    assert 'none' in capsys.readouterr().err


def test_all_runs_what_is_there_and_says_what_is_not(tmp_path, capsys):
    pytest.importorskip('av', reason='PyAV is not installed')
    folder = tmp_path / 'data' / 'omnimmi-pa'
    write_clip(folder / 'videos' / 'a.mp4', 2)
    entry = {'video': 'a.mp4', 'question': 'Tell me when it rains.', 'answer': [1, 2]}
    (folder / 'proactive_alerting.json').write_text(json.dumps([entry]))
    (tmp_path / 'data' / 'youcook2').mkdir()
    path = tmp_path / 'all.json'
    options = ('--json', path, '--threads', 1, '--streams', 0)
    assert run('all', '--data', tmp_path / 'data', *options) == 0
    text = capsys.readouterr().out
    assert 'OmniMMI PA: 1 samples' in text
    assert 'left out: youcook2: YouCook2: there is no youcookii_annotations' in text
    assert 'left out: egoschema: there is no folder' in text
    written = json.loads(path.read_text())
    assert [result['benchmark'] for result in written['results']] == ['omnimmi-pa']
    assert len(written['left_out']) == len(BENCHMARKS) - 1
    assert run('all', '--data', tmp_path / 'none') == 1


def test_everything_by_one_command(tmp_path, capsys):
    pytest.importorskip('av', reason='PyAV is not installed')
    pytest.importorskip('espeakng_loader', reason='no voice of the tabletop world is installed')
    pytest.importorskip('cv2', reason='OpenCV is not installed')
    assert small_sets([str(tmp_path / 'data')]) == 0
    path = tmp_path / 'all.json'
    options = ('--json', path, '--threads', 1, '--streams', 1, '--limit', 1)
    assert run('all', '--data', tmp_path / 'data', *options) == 0
    written = json.loads(path.read_text())
    assert [result['benchmark'] for result in written['results']] == ['tabletop', *BENCHMARKS]
    assert written['left_out'] == []
    text = capsys.readouterr().out
    assert '12 sets: ' in text
    assert 'most_frequent_answer' in text
    assert 'left out' not in text
    page = tmp_path / 'page'
    assert report([str(path), '--data', str(tmp_path / 'data'), '--output', str(page)]) == 0
    html = (page / 'report.html').read_text()
    assert all(benchmark.title in html for benchmark in BENCHMARKS.values())
    assert 'Tabletop, test split' in html


def test_small_sets_want_a_folder(capsys, tmp_path):
    assert small_sets([]) == 2
    assert 'small_sets FOLDER' in capsys.readouterr().err
    (tmp_path / 'file').write_text('')
    pytest.importorskip('av', reason='PyAV is not installed')
    assert small_sets([str(tmp_path / 'file')]) == 1
