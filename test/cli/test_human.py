import json
import re
import threading
import time
from urllib.request import Request, urlopen

import pytest

from roma_ros.cli.human import main


def run(*arguments):
    return main([str(argument) for argument in arguments])


def person(capsys, presses_s):
    """Answer all trials of the page that the command shows."""
    text = ''
    while not (found := re.search(r'http://\S+', text)):
        time.sleep(0.05)
        text += capsys.readouterr().out
    left = 1
    while left:
        with urlopen(found[0] + 'trial', timeout=10) as response:
            trial = json.load(response)
        if trial['state'] != 'show':
            continue
        body = json.dumps({'id': trial['id'], 'presses_s': presses_s}).encode()
        request = Request(
            found[0] + 'presses', data=body, headers={'Content-Type': 'application/json'}
        )
        with urlopen(request, timeout=10) as response:
            left = json.load(response)['left']


def test_a_person_is_judged_in_the_same_table(tmp_path, capsys):
    av = pytest.importorskip('av', reason='PyAV is not installed')
    clip = tmp_path / 'clip.mp4'
    with av.open(str(clip), 'w') as container:
        stream = container.add_stream('libx264', rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, 'yuv420p'
        for _ in range(40):
            frame = av.VideoFrame(64, 64, 'yuv420p')
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    labels = tmp_path / 'labels.json'
    entries = [
        {'instruct': 'alert: it rains', 'windows': [[1.0, 2.0]]},
        {'instruct': 'alert: it snows', 'windows': []},
    ]
    labels.write_text(json.dumps({'labels': entries}))
    path = tmp_path / 'anna.json'
    arguments = ['--recording', clip, '--labels', labels, '--name', 'anna', '--json', path]
    arguments += ['--folder', tmp_path / 'human']
    codes = []
    thread = threading.Thread(target=lambda: codes.append(run(*arguments)))
    thread.start()
    person(capsys, [1.5])
    thread.join(30)
    assert codes == [0]
    figures = json.loads(path.read_text())
    assert figures['model'] == {'name': 'anna'}
    assert figures['alert']['recall'] == 1
    assert figures['alert']['precision'] == 0.5
    assert figures['alert']['delay_s_median'] == 0.5
    assert set(figures['baselines']) == {'always', 'never', 'every_k_seconds'}
    # All was seen: the command shows the table again, and no page.
    capsys.readouterr()
    assert run(*arguments) == 0
    table = capsys.readouterr().out
    assert re.search(r'^anna +0\.667', table, re.MULTILINE)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--recording', 'clip.mp4'], 'belong together'),
        (['--trials', '0'], 'at least 1'),
        (['--recording', 'none.mp4', '--labels', 'none.json'], 'no media file'),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments, message, capsys, tmp_path):
    assert run(*arguments, '--folder', tmp_path) == 1
    assert message in capsys.readouterr().err
