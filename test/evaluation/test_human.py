"""A person's key presses, from the clip to the table."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.resources import files
import json
import shutil
import subprocess
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from roma_ros.evaluation.benchmarks.tabletop_score import score_tabletop
from roma_ros.evaluation.human import (
    model_on_trials,
    recording_trials,
    tabletop_trials,
    Trial,
)
from roma_ros.evaluation.human_server import HumanServer

av = pytest.importorskip('av', reason='PyAV is not installed')


@pytest.fixture(scope='module')
def trials(tmp_path_factory):
    pytest.importorskip('espeakng_loader', reason='no voice of the tabletop world is installed')
    folder = tmp_path_factory.mktemp('clips')
    return tabletop_trials(folder, split='test', seed=0, count=2, seconds=8)


def make_trial(name, path, *, windows=((1.0, 2.0),)):
    alert = {'text': 'it rings', 'sense': 'sound', 'windows': windows, 'fired_s': []}
    line = {
        'id': name,
        'seconds': 8.0,
        'narrate': False,
        'events': [],
        'alerts': [alert | {'spoken_at_s': None}],
        'questions': [],
        'utterances': [],
    }
    return Trial(id=name, text='it rings', clip=path, line=line)


@contextmanager
def serving(trials, **options):
    """Serve trials; yield the server and the lines to come."""
    with HumanServer(**options) as server, ThreadPoolExecutor(1) as pool:
        lines = pool.submit(lambda: list(server(lambda: None, trials)))
        while server.current()['state'] == 'wait' and trials:
            pass
        yield server, lines


def fetch(url, *, data=None, **headers):
    request = Request(url, data=data, headers=headers)
    with urlopen(request, timeout=10) as response:
        return response.read(), response


def press(server, name, presses_s):
    body = json.dumps({'id': name, 'presses_s': presses_s}).encode()
    return fetch(server.url + 'presses', data=body, **{'Content-Type': 'application/json'})


def test_clips_have_picture_and_sound_and_no_labels(trials):
    assert [trial.id.rpartition('-alert-')[0] for trial in trials] == ['test-0-8', 'test-1-8']
    for trial in trials:
        assert trial.text == trial.line['alerts'][0]['text']
        with av.open(str(trial.clip)) as container:
            assert container.streams.video[0].codec_context.width == 480
            frames = sum(1 for _ in container.decode(video=0))
            assert frames == 160
        with av.open(str(trial.clip)) as container:
            seconds = sum(f.samples / f.sample_rate for f in container.decode(audio=0))
            assert seconds == pytest.approx(8, abs=0.1)


def test_presses_are_judged_as_alerts_are(tmp_path):
    trial = make_trial('a', tmp_path)
    figures = score_tabletop([trial.answered([6.0, 1.5])])
    assert figures['alert']['delay_s_median'] == 0.5
    assert figures['alert']['false_alerts_per_hour'] == 3600 / 8
    assert trial.line['alerts'][0]['fired_s'] == []


def test_a_model_is_put_beside_on_the_same_alerts(trials):
    def model_line(trial):
        stream, _, place = trial.id.rpartition('-alert-')
        others = [{'fired_s': [0.0]}] * int(place)
        return {'id': stream, 'alerts': [*others, {'fired_s': [3.0]}]}

    lines = model_on_trials(trials, [model_line(trial) for trial in trials])
    assert [line['alerts'][0]['fired_s'] for line in lines] == [[3.0], [3.0]]
    assert [line['id'] for line in lines] == [trial.id for trial in trials]
    with pytest.raises(ValueError, match='run roma eval tabletop on the same split'):
        model_on_trials(trials, [model_line(trials[0])])


def test_labelled_recordings_become_trials(trials, tmp_path):
    labels = tmp_path / 'labels.json'
    entries = [
        {'instruct': 'alert: a bell', 'windows': [[1.0, 2.5]]},
        {'instruct': 'narrate', 'windows': [[3.0, 4.0]]},
    ]
    labels.write_text(json.dumps({'labels': entries}))
    (trial,) = recording_trials(trials[0].clip, labels)
    assert trial.text == 'a bell'
    assert trial.line['seconds'] == pytest.approx(8, abs=0.1)
    assert trial.line['alerts'][0]['windows'] == [[1.0, 2.5]]
    labels.write_text(json.dumps({'labels': entries[1:]}))
    with pytest.raises(ValueError, match='there is none in'):
        recording_trials(trials[0].clip, labels)


def test_trials_come_one_after_the_other(tmp_path):
    clip = tmp_path / 'clip.webm'
    clip.write_bytes(bytes(range(256)))
    with serving([make_trial('a', clip), make_trial('b', clip)]) as (server, lines):
        shown = json.loads(fetch(server.url + 'trial')[0])
        assert shown == {
            'state': 'show',
            'id': 'a',
            'text': 'it rings',
            'number': 1,
            'total': 2,
            'clip': 'clip/1',
        }
        page, response = fetch(server.url)
        assert b'space bar' in page
        assert "default-src 'none'" in response.headers['Content-Security-Policy']
        assert fetch(server.url + 'clip/1')[0] == bytes(range(256))
        data, response = fetch(server.url + 'clip/1', Range='bytes=10-19')
        assert (data, response.status) == (bytes(range(10, 20)), 206)
        assert response.headers['Content-Range'] == 'bytes 10-19/256'
        assert json.loads(press(server, 'a', [1.5])[0]) == {'left': 1}
        assert json.loads(press(server, 'b', [])[0]) == {'left': 0}
        assert json.loads(fetch(server.url + 'trial')[0]) == {'state': 'done'}
        assert [line['alerts'][0]['fired_s'] for line in lines.result(10)] == [[1.5], []]


def test_it_waits_before_it_knows_its_trials():
    with HumanServer() as server:
        assert json.loads(fetch(server.url + 'trial')[0]) == {'state': 'wait'}
        assert server.url.startswith('http://127.0.0.1:')


@pytest.mark.parametrize(
    ('body', 'match'),
    [
        (b'{"id": "b", "presses_s": []}', 'is not shown now'),
        (b'{"id": "a", "presses_s": [99]}', 'expected seconds of the clip'),
        (b'{"id": "a", "presses_s": [NaN]}', 'expected seconds of the clip'),
        (b'{"id": "a"}', 'expected seconds of the clip'),
        (b'[]', 'expected an object'),
        (b'{', 'Expecting'),
    ],
)
def test_what_is_no_answer_is_refused(body, match, tmp_path):
    with serving([make_trial('a', tmp_path / 'clip.webm')]) as (server, lines):
        with pytest.raises(HTTPError) as error:
            fetch(server.url + 'presses', data=body, **{'Content-Type': 'application/json'})
        assert error.value.code == 400
        assert match in error.value.read().decode()
        press(server, 'a', [])
        lines.result(10)


def test_strangers_are_turned_away(tmp_path):
    with serving([make_trial('a', tmp_path / 'clip.webm')]) as (server, lines):
        root = server.url.rsplit('/', 2)[0]
        answer = b'{"id": "a", "presses_s": []}'
        attempts = [
            (404, root + '/', None, {}),
            (404, root + '/guess/trial', None, {}),
            (404, server.url + 'trial', None, {'Host': 'evil.example:80'}),
            (404, server.url + 'clip/../../etc/passwd', None, {}),
            (404, root + '/presses', answer, {'Content-Type': 'application/json'}),
            (415, server.url + 'presses', answer, {'Content-Type': 'text/plain'}),
            (413, server.url + 'presses', b'x' * 70_000, {'Content-Type': 'application/json'}),
        ]
        for code, url, data, headers in attempts:
            with pytest.raises((HTTPError, ConnectionError)) as error:
                fetch(url, data=data, **headers)
            if isinstance(error.value, HTTPError):
                assert error.value.code == code
        press(server, 'a', [])
        assert len(lines.result(10)) == 1


def test_a_browser_plays_the_clip_and_counts_keys(trials, tmp_path):
    chromium = shutil.which('chromium') or shutil.which('google-chrome')
    if chromium is None:
        pytest.skip('no chromium to play the clips with')
    probe = """<script nonce="$nonce">
    const film = document.getElementById('clip');
    let pressed = false;
    film.addEventListener('loadeddata', () => document.getElementById('start').click());
    film.addEventListener('timeupdate', () => {
      if (pressed || film.currentTime < 0.5) return;
      pressed = true;
      const key = {code: 'Space', bubbles: true, cancelable: true};
      document.dispatchEvent(new KeyboardEvent('keydown', key));
      document.dispatchEvent(new KeyboardEvent('keydown', {...key, repeat: true}));
      document.dispatchEvent(new KeyboardEvent('keydown', {...key, code: 'KeyA'}));
    });
    </script></body>"""
    page = files('roma_ros.evaluation').joinpath('human.html').read_text()
    with serving(trials[:1], page=page.replace('</body>', probe)) as (server, lines):
        browser = subprocess.Popen(
            [
                *(chromium, '--headless', '--no-sandbox', '--disable-gpu', '--mute-audio'),
                '--autoplay-policy=no-user-gesture-required',
                f'--user-data-dir={tmp_path / "profile"}',
                server.url,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            (line,) = lines.result(120)
        finally:
            browser.terminate()
            browser.wait(20)
    (time_s,) = line['alerts'][0]['fired_s']
    assert 0.5 <= time_s < 8
