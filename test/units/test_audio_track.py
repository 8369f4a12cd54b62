"""One microphone's samples in capture time: tracks, and timelines of several tracks."""

import numpy as np
import pytest

from roma_ros.units import SAMPLE_RATE_HZ, UNIT_NS
from roma_ros.units.audio_timeline import AudioTimeline
from roma_ros.units.audio_track import AudioTrack, ChunkCounts

T0_NS = 5_000_000_000_000


def ramp(first: int, count: int) -> np.ndarray:
    """Samples that tell their number."""
    return ((first + np.arange(count)) % 16_000 / 32_000).astype(np.float32)


def feed(track: AudioTrack, begin: int, end: int, *, length: int = 160, shift_ns: int = 0) -> None:
    for first in range(begin, end, length):
        track.add(T0_NS + first * 62_500 + shift_ns, ramp(first, length))


def test_chunks_are_joined_and_read_bit_by_bit() -> None:
    track = AudioTrack(16_000, ChunkCounts())
    feed(track, 0, 16_000)
    assert track.has_passed(T0_NS + UNIT_NS, given_up_ns=T0_NS)
    audio, covered = track.read(T0_NS, T0_NS + UNIT_NS)

    np.testing.assert_array_equal(audio, ramp(0, 16_000))
    assert covered.all()


def test_between_samples_the_last_chunk_waits_for_the_filter() -> None:
    track = AudioTrack(16_000, ChunkCounts())
    feed(track, 0, 16_000, shift_ns=30_000)
    assert not track.has_passed(T0_NS + UNIT_NS, given_up_ns=T0_NS)
    feed(track, 16_000, 16_160, shift_ns=30_000)
    assert track.has_passed(T0_NS + UNIT_NS, given_up_ns=T0_NS + UNIT_NS // 2)


def test_a_hole_is_awaited_until_it_is_given_up() -> None:
    track = AudioTrack(16_000, ChunkCounts())
    feed(track, 0, 8000)
    feed(track, 8160, 16_000)
    assert not track.has_passed(T0_NS + UNIT_NS, given_up_ns=T0_NS + 490_000_000)
    assert track.has_passed(T0_NS + UNIT_NS, given_up_ns=T0_NS + 511_000_000)
    feed(track, 8000, 8160)
    assert track.has_passed(T0_NS + UNIT_NS, given_up_ns=T0_NS)
    np.testing.assert_array_equal(track.read(T0_NS, T0_NS + UNIT_NS)[0], ramp(0, 16_000))


def test_doubled_and_late_chunks_are_counted() -> None:
    counts = ChunkCounts()
    track = AudioTrack(16_000, counts)
    feed(track, 0, 8000)
    feed(track, 7840, 8000)
    assert (counts.doubled, counts.late) == (1, 0)
    feed(track, 8160, 16_000)
    track.read(T0_NS, T0_NS + UNIT_NS)
    feed(track, 8000, 8160)
    assert (counts.doubled, counts.late) == (1, 1)


def test_a_slip_of_the_stamps_is_followed_slowly() -> None:
    track = AudioTrack(16_000, ChunkCounts())
    feed(track, 0, 16_160)
    track.read(T0_NS, T0_NS + UNIT_NS)
    shifts = []
    for second in range(1, 5):
        begin = second * 16_000 + 160
        feed(track, begin, begin + 16_000, shift_ns=4_000_000)  # under half a chunk: no loss
        audio, covered = track.read(T0_NS + second * UNIT_NS, T0_NS + (second + 1) * UNIT_NS)
        assert covered.all()
        # The ramp's height tells which sample is read at the middle of the second.
        shifts.append((8000 - audio[8000] * 32_000) * 62.5e-6)
    assert shifts[0] < 2.6e-3
    np.testing.assert_allclose(shifts[2:], 4e-3, atol=1e-5)
    # Never faster than 5 ms a second.
    assert max(np.diff([0, *shifts])) <= 5.01e-3


@pytest.mark.parametrize('gap_ns', [0, 500_000_000])
def test_another_rate_is_another_track(gap_ns: int) -> None:
    timeline = AudioTimeline(ChunkCounts())
    assert not timeline.has_begun
    for first in range(0, 8000, 160):
        timeline.add(T0_NS + first * 62_500, np.full(160, 0.25, np.float32), rate_hz=16_000)
    for first in range(0, 24_000, 480):
        stamp_ns = T0_NS + UNIT_NS // 2 + gap_ns + first * UNIT_NS // 48_000
        timeline.add(stamp_ns, np.full(480, 0.5, np.float32), rate_hz=48_000)
    audio, gaps_ns = timeline.read(T0_NS, T0_NS + UNIT_NS)

    assert timeline.has_begun
    assert (audio[:7900] == 0.25).all()
    if gap_ns:
        assert gaps_ns == ((T0_NS + 500_000_000, T0_NS + UNIT_NS),)
        audio, gaps_ns = timeline.read(T0_NS + UNIT_NS, T0_NS + 2 * UNIT_NS)
        np.testing.assert_allclose(audio[100:7900], 0.5, atol=1e-5)
    else:
        assert gaps_ns == ()
        np.testing.assert_allclose(audio[8100:-100], 0.5, atol=1e-5)


def test_nothing_is_a_gap_and_overshoot_is_clipped() -> None:
    timeline = AudioTimeline(ChunkCounts())
    audio, gaps_ns = timeline.read(T0_NS, T0_NS + UNIT_NS)
    assert (audio == 0).all()
    assert gaps_ns == ((T0_NS, T0_NS + UNIT_NS),)

    square = np.repeat([1, -1] * 500, 50).astype(np.float32)
    timeline.add(T0_NS, square[:48_000], rate_hz=48_000)
    audio, _ = timeline.read(T0_NS, T0_NS + UNIT_NS)
    assert np.abs(audio).max() == 1
    assert audio.shape == (SAMPLE_RATE_HZ,)
