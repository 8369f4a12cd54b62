import hashlib

import numpy as np
import pytest

from roma_ros.evaluation.demo_recording import (
    build_recording,
    FRAME_RATE_HZ,
    LEAD_IN_S,
    SAMPLE_RATE_HZ,
    SEED,
    TAIL_FRAMES,
)
from roma_ros.evaluation.truth import load_truth
from roma_ros.training.tabletop.generator import make_stream

av = pytest.importorskip('av', reason='PyAV is not installed')
pytest.importorskip('hibari', reason='hibari-tts is not installed')
pytest.importorskip('espeakng_loader', reason='espeakng-loader is not installed')

SECONDS = 16
NUM_FRAMES = 16 * FRAME_RATE_HZ + TAIL_FRAMES


@pytest.fixture(scope='module')
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp('recording') / 'recording.mp4'
    return path, build_recording(path, seconds=SECONDS)


@pytest.fixture(scope='module')
def picture(recording):
    """Return stamps [s] and mean luminance of each frame, and small grey frames."""
    with av.open(str(recording[0])) as container:
        frames = list(container.decode(video=0))
    grey = np.stack([frame.to_ndarray(format='gray')[::8, ::8] for frame in frames])
    assert (frames[0].width, frames[0].height) == (640, 480)
    return np.array([frame.time for frame in frames]), grey.astype(float)


@pytest.fixture(scope='module')
def sound(recording):
    """Return the decoded track, float in -1..1."""
    with av.open(str(recording[0])) as container:
        frames = list(container.decode(audio=0))
    assert frames[0].rate == SAMPLE_RATE_HZ
    assert frames[0].pts == 0
    return np.concatenate([frame.to_ndarray().ravel() for frame in frames]) / 32768


def test_tracks_are_whole_and_regular(picture, sound):
    stamps_s, _ = picture
    np.testing.assert_allclose(stamps_s, np.arange(NUM_FRAMES) / FRAME_RATE_HZ)
    assert len(sound) == NUM_FRAMES * SAMPLE_RATE_HZ / FRAME_RATE_HZ


def test_clap_is_in_the_frame_and_the_sample_that_the_truth_names(recording, picture, sound):
    truth = recording[1]
    stamps_s, grey = picture
    first_flash = np.flatnonzero(grey.mean((1, 2)) > 200)[0]
    first_click = np.flatnonzero(np.abs(sound) > 0.3)[0]
    assert stamps_s[first_flash] == pytest.approx(truth.clap_s, abs=1e-9)
    assert first_click == truth.clap_s * SAMPLE_RATE_HZ


def test_the_picture_is_the_stream_behind_a_dark_second(recording, picture):
    stream = make_stream(SEED, split='test', duration_s=15, size=(640, 480))
    stamps_s, grey = picture
    assert grey[: round(0.4 * FRAME_RATE_HZ)].max() < 40
    for time_s in (0.0, 6.5, 14.9):
        index = round((LEAD_IN_S + time_s) * FRAME_RATE_HZ)
        expected = stream.frame_at(index / FRAME_RATE_HZ - LEAD_IN_S)[::8, ::8].mean(axis=2)
        assert np.abs(grey[index] - expected).mean() < 12, stamps_s[index]


def test_the_truth_is_that_of_the_stream_a_second_later(recording):
    truth = recording[1]
    stream = make_stream(SEED, split='test', duration_s=15, size=(640, 480))
    assert [e.text for e in truth.events] == [e.text for e in stream.events]
    assert truth.events[0].time_s == stream.events[0].time_s + LEAD_IN_S
    assert truth.narrate == stream.narrate
    typed = [a for a in stream.alerts if a.speech is None]
    assert [a.text for a in truth.alerts] == [a.text for a in typed]
    assert sum(len(a.windows) for a in truth.alerts) == sum(len(a.windows) for a in typed) > 0
    spoken = {q.speech.text: q.answer for q in stream.questions if q.speech}
    assert {s.text: s.answer for s in truth.speech if s.kind == 'answer'} == spoken
    assert len(truth.questions) + len(spoken) == len(stream.questions)


def test_speech_is_where_the_truth_says_and_nowhere_else(recording, sound):
    truth = recording[1]
    quiet = np.ones(len(sound), bool)
    for item in (*truth.speech, *truth.sounds):
        start, end = (round(s * SAMPLE_RATE_HZ) for s in (item.start_s, item.end_s))
        quiet[start:end] = False
    noise_rms = np.sqrt(np.mean(np.square(sound[quiet])))
    for item in truth.speech:
        start, end = (round(s * SAMPLE_RATE_HZ) for s in (item.start_s, item.end_s))
        assert np.sqrt(np.mean(np.square(sound[start:end]))) > 1.4 * noise_rms, item


def test_truth_is_written_beside_and_read_back(recording):
    path, truth = recording
    assert load_truth(path.with_suffix('.json')) == truth
    assert truth.media == path.name


def test_same_call_gives_same_bytes(tmp_path):
    digests = set()
    for name in ('first', 'second'):
        build_recording(tmp_path / name / 'recording.mp4', seconds=9)
        for suffix in ('.mp4', '.json'):
            data = (tmp_path / name / f'recording{suffix}').read_bytes()
            digests.add(hashlib.sha256(data).hexdigest())
    assert len(digests) == 2


@pytest.mark.parametrize(('seconds', 'name'), [(8, 'a.mp4'), (30, 'a.wav')])
def test_wrong_length_and_name_are_refused(tmp_path, seconds, name):
    with pytest.raises(ValueError, match=r'allowed are 9 s or more in a \.mp4 file'):
        build_recording(tmp_path / name, seconds=seconds)
