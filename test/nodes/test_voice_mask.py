import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from roma_ros.nodes.conversions import Chunk
from roma_ros.nodes.voice_mask import VoiceMask

S = 1_000_000_000


def chunk(start_s: float) -> Chunk:
    """Return a second of sound in two channels."""
    samples = np.full((100, 2), 0.5, dtype=np.float32)
    return Chunk(round(start_s * S), samples, rate_hz=100, first_sample=7)


@pytest.fixture
def mask():
    return VoiceMask(hold_off_ns=S // 2)


def is_silent(chunk: Chunk) -> bool:
    return not chunk.samples.any()


def test_masks_what_overlaps_speech_and_hold_off(mask):
    mask.set_speaking(True, 10 * S)
    mask.set_speaking(False, 12 * S)
    passed = [mask.apply(chunk(start_s)) for start_s in (8.0, 9.0, 9.5, 11.0, 12.4, 12.5)]
    assert [is_silent(c) for c in passed] == [False, False, True, True, True, False]
    assert all(c.samples.shape == (100, 2) for c in passed)
    assert (passed[2].first_sample, passed[2].rate_hz, passed[2].stamp_ns) == (7, 100, 9.5 * S)


def test_masks_while_the_robot_speaks(mask):
    mask.set_speaking(True, 10 * S)
    mask.set_speaking(True, 11 * S)  # told again: it began at the first
    assert is_silent(mask.apply(chunk(10.0)))


def test_another_hold_off_counts_at_the_next_end(mask):
    mask.hold_off_ns = 2 * S
    mask.set_speaking(True, 10 * S)
    mask.set_speaking(False, 12 * S)
    assert is_silent(mask.apply(chunk(13.9)))


def test_an_end_without_a_begin_masks_nothing(mask):
    mask.set_speaking(False, 10 * S)
    assert not is_silent(mask.apply(chunk(10.0)))
