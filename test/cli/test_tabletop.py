import json

import pytest

pytest.importorskip('cv2', reason='OpenCV is not installed')
pytest.importorskip('espeakng_loader', reason='espeakng-loader is not installed')

from roma_ros.cli.main import main


def test_a_clip_and_its_labels_are_written(tmp_path, capsys):
    path = tmp_path / 'clip.mp4'
    options = ['--seed', '5', '--duration', '8', '--size', '160x120', '--split', 'test']
    assert main(['tabletop', *options, '--out', str(path)]) == 0
    assert path.stat().st_size > 10_000
    labels = json.loads(path.with_suffix('.json').read_text())
    assert (labels['seed'], labels['split'], labels['duration_s']) == (5, 'test', 8)
    assert capsys.readouterr().out.split()[1::2] == [str(path), str(path.with_suffix('.json'))]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--out', 'clip.avi'], 'a clip is a .mp4 file'),
        (['--out', 'clip.mp4', '--duration', '2'], 'expected 8 s or more'),
        (['--out', 'clip.mp4', '--size', '300x100'], 'expected 4:3'),
    ],
)
def test_what_cannot_be_made_is_told(options, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(['tabletop', '--seed', '1', *options]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
