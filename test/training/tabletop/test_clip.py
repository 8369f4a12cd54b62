import json

import numpy as np
import pytest

from roma_ros.training.tabletop.clip import caption, FRAME_RATE_HZ, labels_of, write_clip
from roma_ros.training.tabletop.generator import make_stream
from roma_ros.units.media_file import MediaFile
from roma_ros.units.recording import TimedChunk, TimedFrame


@pytest.fixture(scope='module')
def stream():
    return make_stream(3, split='train', duration_s=8, audible=False)


def test_a_clip_has_the_stream_and_its_labels(stream, tmp_path):
    tone = np.sin(np.arange(8 * 16_000) * 0.2).astype(np.float32) / 4
    object.__setattr__(stream, 'audio', tone)
    labels = write_clip(stream, tmp_path / 'new' / 'clip.mp4')
    items = list(MediaFile(tmp_path / 'new' / 'clip.mp4'))
    frames = [item for item in items if isinstance(item, TimedFrame)]
    assert len(frames) == 8 * FRAME_RATE_HZ
    for index in (0, 70, 159):
        picture = frames[index].decode()[:120]
        true = stream.frame_at(index / FRAME_RATE_HZ)
        assert np.abs(picture.astype(int) - true).mean() < 12
    heard = np.concatenate([c.samples.ravel() for c in items if isinstance(c, TimedChunk)])
    assert len(heard) == pytest.approx(8 * 16_000, abs=2048)
    assert np.sqrt(np.mean(np.square(heard))) == pytest.approx(0.25 / 2**0.5, rel=0.05)
    assert json.loads(labels.read_text()) == json.loads(json.dumps(labels_of(stream)))


def test_a_caption_tells_what_is_true(streams):
    stream = next(s for s in streams if any(len(a.windows) for a in s.alerts))
    alert = next(a for a in stream.alerts if a.windows)
    start, end = alert.windows[0]
    event = stream.events[0]
    question = stream.questions[0]

    def lit(time_s):
        return next(color for text, color in caption(stream, time_s) if text.endswith(alert.text))

    assert lit((start + end) / 2) != lit(end + 0.01)
    assert any(event.text in text for text, _ in caption(stream, event.time_s + 0.1)[:2])
    assert not any(event.text in text for text, _ in caption(stream, event.time_s - 0.1)[:2])
    assert any(question.answer in text for text, _ in caption(stream, question.time_s)[4:5])


def test_a_clip_is_mp4(stream, tmp_path):
    with pytest.raises(ValueError, match=r'clip\.avi: a clip is a \.mp4 file'):
        write_clip(stream, tmp_path / 'clip.avi')
