import numpy as np
import pytest

from roma_ros.evaluation.benchmarks import sample_units as module
from roma_ros.evaluation.benchmarks.benchmark import Said, StreamSample
from roma_ros.evaluation.benchmarks.sample_units import duration_s, sample_units
from roma_ros.units.media_file import MediaFile
from roma_ros.units.unit import UNIT_NS, UnitFlag


def voice(text):
    return np.full(16_000 * len(text.split()), 0.5, np.float32)


@pytest.fixture(scope='module')
def clip(tmp_path_factory, clips):
    return clips.write(tmp_path_factory.mktemp('clip') / 'clip.mp4', 6)


@pytest.fixture
def shown(clips):
    return lambda units: [[clips.second_shown(frame) for frame in u.frames] for u in units]


def test_a_whole_recording(clip, clips, shown):
    units = list(sample_units(StreamSample(id='a', media=clip), voice))
    assert shown(units) == [[i, i] for i in range(6)]
    assert [clips.second_heard(unit.audio[4000:12000]) for unit in units] == list(range(6))


def test_parts_are_laid_end_to_end(clip, clips, shown):
    sample = StreamSample(id='a', media=clip, parts=((4.0, 6.0), (1.0, 2.0)))
    units = list(sample_units(sample, voice))
    assert [unit.index for unit in units] == [0, 1, 2]
    assert [unit.start_ns for unit in units] == [0, UNIT_NS, 2 * UNIT_NS]
    assert shown(units) == [[4, 4], [5, 5], [1, 1]]
    assert [clips.second_heard(unit.audio[4000:12000]) for unit in units] == [4, 5, 1]
    assert all(unit.flags is UnitFlag.NONE for unit in units)


def test_parts_that_begin_within_a_second(clip, clips, shown):
    sample = StreamSample(id='a', media=clip, parts=((1.5, 2.5), (4.5, 5.0)))
    units = list(sample_units(sample, voice))
    assert len(units) == 2
    assert shown(units)[0] == [1, 2]
    assert clips.second_shown(units[1].frames[0]) == 4
    assert clips.second_heard(units[0].audio[1000:7000]) == 1
    assert clips.second_heard(units[0].audio[9000:15000]) == 2
    assert clips.second_heard(units[1].audio[9000:]) == -1


def test_nothing_is_read_before_its_time(clip, clips, monkeypatch):
    read_s = []

    class Watched(MediaFile):
        def read(self, *, start_s=0.0):
            for item in super().read(start_s=start_s):
                read_s.append(item.stamp_ns / UNIT_NS)
                yield item

    monkeypatch.setattr(module, 'MediaFile', Watched)
    for parts in ((), ((2.0, 5.0),)):
        read_s.clear()
        begin_s = parts[0][0] if parts else 0.0
        for unit in sample_units(StreamSample(id='a', media=clip, parts=parts), voice):
            # The one frame and the one packet of sound by which the second's end is known.
            assert max(read_s) <= begin_s + unit.index + 1 + 1.5 / clips.fps
        assert read_s


def test_words_are_laid_over_the_sound(clip):
    sample = StreamSample(id='a', media=clip, spoken=(Said(text='one two', time_s=1.5),))
    units = list(sample_units(sample, voice))
    plain = list(sample_units(StreamSample(id='a', media=clip), voice))
    added = np.concatenate([u.audio for u in units]) - np.concatenate([u.audio for u in plain])
    expected = np.zeros(6 * 16_000)
    expected[24_000:56_000] = 0.5
    assert np.abs(added - expected).max() < 1e-6
    assert len(units) == 6


def test_words_that_outlast_the_recording_prolong_it(clip, shown):
    sample = StreamSample(
        id='a', media=clip, spoken=(Said(text='one two', time_s=5.5),), tail_s=2.0
    )
    units = list(sample_units(sample, voice))
    assert [unit.index for unit in units] == list(range(10))
    assert shown(units)[6:] == [[5, 5]] * 4
    assert [float(unit.audio.max()) for unit in units[6:]] == [0.5, 0.5, 0.0, 0.0]
    assert units[7].frame_stamps_ns == (7 * UNIT_NS, 7 * UNIT_NS + UNIT_NS // 2)


def test_words_over_a_silent_video_are_heard(tmp_path, clips):
    import av

    path = tmp_path / 'silent.mp4'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=clips.fps)
        stream.width, stream.height, stream.pix_fmt = 96, 64, 'yuv420p'
        for _ in range(2 * clips.fps):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8), format='rgb24')
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    sample = StreamSample(id='a', media=path, spoken=(Said(text='one', time_s=0.0),))
    first, second = sample_units(sample, voice)
    assert not first.flags & UnitFlag.NO_AUDIO
    assert first.audio_gaps_ns == ()
    assert second.flags & UnitFlag.NO_AUDIO


def test_the_length_of_a_recording(clip, tmp_path):
    assert duration_s(clip) == pytest.approx(6, abs=0.11)
    with pytest.raises(FileNotFoundError, match='no media file'):
        duration_s(tmp_path / 'none.mp4')
