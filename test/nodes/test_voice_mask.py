import pytest

pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from builtin_interfaces.msg import Time
from roma_ros.msg import AudioChunk
from std_msgs.msg import Header

from roma_ros.nodes.voice_mask import VoiceMask

S = 1_000_000_000


def chunk(start_s: float, seconds: float = 1.0, sample_format=AudioChunk.FORMAT_S16) -> AudioChunk:
    seconds_part, nanoseconds = divmod(round(start_s * S), S)
    sample_bytes = 1 if sample_format == AudioChunk.FORMAT_U8 else 2
    return AudioChunk(
        header=Header(stamp=Time(sec=seconds_part, nanosec=nanoseconds), frame_id='mic'),
        sample_rate=100,
        channels=2,
        sample_format=sample_format,
        first_sample=7,
        data=b'\x05' * round(100 * seconds) * 2 * sample_bytes,
    )


@pytest.fixture
def passed():
    return []


@pytest.fixture
def mask(passed):
    mask = VoiceMask(hold_off_ns=S // 2)
    mask.registerCallback(passed.append)
    return mask


def test_masks_what_overlaps_speech_and_hold_off(mask, passed):
    mask.set_speaking(True, 10 * S)
    mask.set_speaking(False, 12 * S)
    for start_s in (8.0, 9.0, 9.5, 11.0, 12.4, 12.5):
        mask.add(chunk(start_s))
    masked = [set(c.data) == {0} for c in passed]
    assert masked == [False, False, True, True, True, False]
    assert all(len(c.data) == 400 for c in passed)
    assert (passed[2].first_sample, passed[2].header.frame_id) == (7, 'mic')


def test_masks_while_the_robot_speaks(mask, passed):
    mask.set_speaking(True, 10 * S)
    mask.set_speaking(True, 11 * S)  # told again: it began at the first
    mask.add(chunk(10.0))
    assert set(passed[0].data) == {0}


def test_silence_of_unsigned_samples_is_in_their_middle(mask, passed):
    mask.set_speaking(True, 0)
    mask.add(chunk(1.0, sample_format=AudioChunk.FORMAT_U8))
    assert set(passed[0].data) == {0x80}


def test_an_end_without_a_begin_masks_nothing(mask, passed):
    mask.set_speaking(False, 10 * S)
    mask.add(chunk(10.0))
    assert set(passed[0].data) == {5}
