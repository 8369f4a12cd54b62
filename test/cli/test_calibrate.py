import json

import numpy as np
import pytest

from roma_ros.cli.calibrate import main
from roma_ros.evaluation.score_files import load_scores, save_scores, Scores

yaml = pytest.importorskip('yaml', reason='PyYAML is not installed')


def write_case(folder, *, seconds=7200, name='a'):
    """Write scores that are easy to tell apart, and their labels."""
    rng = np.random.default_rng(1)
    probabilities = rng.uniform(0.0, 0.4, seconds)
    starts = range(30, seconds - 30, 60)
    for start in starts:
        probabilities[start : start + 4] = 0.8
    save_scores(
        folder / f'{name}.jsonl',
        [Scores('alert: a bell', tuple(np.arange(1.0, seconds + 1)), tuple(probabilities))],
    )
    windows = [[float(start), start + 4.0] for start in starts]
    (folder / f'{name}.json').write_text(
        json.dumps({'labels': [{'instruct': 'alert: a bell', 'windows': windows}]})
    )
    return [
        *('--scores', str(folder / f'{name}.jsonl')),
        *('--labels', str(folder / f'{name}.json')),
        *('--output', str(folder / 'out.yaml')),
    ]


def test_thresholds_are_written_and_promised(tmp_path, capsys):
    arguments = write_case(tmp_path)
    figures = tmp_path / 'figures.json'
    code = main([*arguments, '--false-alerts-per-hour', '2', '--json', str(figures)])
    assert code == 0
    threshold = yaml.safe_load((tmp_path / 'out.yaml').read_text())['/**']['ros__parameters']
    assert 0.4 < threshold['alert_threshold'] < 0.8
    assert 'promised, with 95 % confidence' in capsys.readouterr().out
    assert json.loads(figures.read_text())[0]['verdict'] == 'promised'
    assert 'a.jsonl' in (tmp_path / 'out.yaml').read_text().splitlines()[0]


def test_too_short_a_recording_is_told_by_words_and_exit_code(tmp_path, capsys):
    arguments = write_case(tmp_path, seconds=600)
    assert main([*arguments, '--false-alerts-per-hour', '1']) == 3
    out = capsys.readouterr().out
    assert 'NOT PROMISED: 10 min are too short to tell' in out
    assert 'about 3.0 h' in out
    assert (tmp_path / 'out.yaml').is_file()


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'labels': None}, 'No such file'),
        ({'twice': True}, '1 recordings and 2 files of labels'),
        ({'rate': '0'}, 'false_per_hour is 0'),
        ({'folds': '1'}, 'num_folds 1'),
    ],
)
def test_what_cannot_be_done_is_told(tmp_path, capsys, change, words):
    arguments = write_case(tmp_path, seconds=600)
    if 'labels' in change:
        (tmp_path / 'a.json').unlink()
    if 'twice' in change:
        arguments[3:4] = [arguments[3]] * 2
    rate = change.get('rate', '1')
    code = main([*arguments, '--false-alerts-per-hour', rate, '--folds', change.get('folds', '5')])
    assert code == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / 'out.yaml').exists()


def test_lines_of_an_evaluation_need_no_labels(tmp_path):
    rng = np.random.default_rng(0)
    rows = [{'identity': {}}]
    for index in range(200):
        probabilities = rng.uniform(0, 0.4, 16)
        probabilities[5:9] = 0.9
        rows.append(
            {
                'id': f's{index}',
                'seconds': 16,
                'truth': {'span': [5.0, 9.0], 'text': 'a bell'},
                'probabilities': {'main': [0.0] * 16, 'alert-0': probabilities.tolist()},
                'fired_s': {},
            }
        )
    lines = tmp_path / 'set.jsonl'
    lines.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    output = tmp_path / 'out.yaml'
    arguments = ['--lines', str(lines), '--output', str(output), '--false-alerts-per-hour', '6']
    assert main(arguments) == 0
    values = yaml.safe_load(output.read_text())['/**']['ros__parameters']
    assert 0.4 < values['alert_threshold'] < 0.9


def write_clip(path, *, seconds=6):
    av = pytest.importorskip('av', reason='PyAV is not installed')
    with av.open(str(path), 'w') as container:
        video = container.add_stream('mjpeg', rate=2)
        video.width, video.height, video.pix_fmt = 64, 48, 'yuvj420p'
        for number in range(2 * seconds):
            picture = np.full((48, 64, 3), 20 * (number % 12), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        container.mux(video.encode(None))


def test_a_model_is_run_over_a_recording(tmp_path):
    """Two passes: a narrating stream does not answer by itself."""
    pytest.importorskip('transformers', reason='transformers is not installed')
    write_clip(tmp_path / 'clip.mkv')
    labels = [
        {'instruct': 'alert: a bell', 'windows': [[1.0, 2.0]]},
        {'instruct': 'narrate', 'windows': [[3.0, 4.0]]},
        {'instruct': 'answer', 'windows': []},
    ]
    (tmp_path / 'clip.json').write_text(json.dumps({'labels': labels}))
    code = main(
        [
            *('--recording', str(tmp_path / 'clip.mkv'), '--labels', str(tmp_path / 'clip.json')),
            *('--false-alerts-per-hour', '60', '--folds', '2'),
            *('--save-scores', str(tmp_path / 'scores'), '--output', str(tmp_path / 'out.yaml')),
        ]
    )
    assert code == 3  # six seconds promise nothing
    values = yaml.safe_load((tmp_path / 'out.yaml').read_text())['/**']['ros__parameters']
    assert set(values) == {'alert_threshold', 'narration_threshold', 'answer_threshold'}
    scores = {item.instruct: item for item in load_scores(tmp_path / 'scores' / 'clip.jsonl')}
    assert set(scores) == {'alert: a bell', 'narrate', 'answer'}
    assert all(len(item.probabilities) == 6 for item in scores.values())
    assert scores['narrate'].probabilities != scores['answer'].probabilities
