import itertools

from hypothesis import given, settings, strategies as st
import numpy as np

from roma_ros.nodes.playlist import in_order, limit_fps, repeat, split_chunks
from roma_ros.units.recording import TimedChunk, TimedFrame

SECOND_NS = 1_000_000_000


def frame(stamp_ns):
    return TimedFrame(stamp_ns, lambda: None)


def chunks_of(lengths, rate_hz, *, start_ns=0, jitter_ns=None):
    """Cut a ramp into chunks of the lengths; samples are their own numbers."""
    first, items = 0, []
    for index, length in enumerate(lengths):
        samples = np.arange(first, first + length, dtype=np.float32)[:, None]
        stamp_ns = start_ns + first * SECOND_NS // rate_hz
        stamp_ns += 0 if jitter_ns is None else jitter_ns[index]
        items.append(TimedChunk(stamp_ns, samples, rate_hz))
        first += length
    return items


@given(
    lengths=st.lists(st.integers(1, 5_000), min_size=1, max_size=30),
    rate_hz=st.sampled_from([8_000, 16_000, 44_100, 48_000]),
    chunk_ms=st.integers(1, 200),
    start_ns=st.integers(0, 2 * 10**18),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_chunks_come_out_even_and_no_sample_is_lost_or_moved(
    lengths, rate_hz, chunk_ms, start_ns, seed
):
    jitter_ns = np.random.default_rng(seed).integers(-500_000, 500_000, len(lengths)).tolist()
    jitter_ns[0] = 0  # containers round stamps to milliseconds
    items = chunks_of(lengths, rate_hz, start_ns=start_ns, jitter_ns=jitter_ns)
    parts = list(split_chunks(items, chunk_ms * 1_000_000))
    samples = np.concatenate([part.samples for part in parts])[:, 0]
    np.testing.assert_array_equal(samples, np.arange(sum(lengths)))
    size = round(chunk_ms * rate_hz / 1_000)
    assert [len(part.samples) for part in parts[:-1]] == [size] * (len(parts) - 1)
    assert 1 <= len(parts[-1].samples) <= size
    for part in parts:
        first = int(part.samples[0, 0])
        assert part.stamp_ns == start_ns + first * SECOND_NS // rate_hz


def test_a_gap_ends_a_chunk():
    before, after = chunks_of([1_000, 1_000], 16_000)
    after = TimedChunk(after.stamp_ns + SECOND_NS, after.samples, 16_000)
    parts = list(split_chunks([before, frame(5), after], 20_000_000))
    chunks = [part for part in parts if isinstance(part, TimedChunk)]
    assert [len(c.samples) for c in chunks] == [320, 320, 320, 40, 320, 320, 320, 40]
    assert chunks[3].stamp_ns == 60_000_000
    assert chunks[4].stamp_ns == SECOND_NS + 62_500_000
    assert len(parts) == 9


@given(piece_ms=st.integers(5, 900), fps=st.integers(1, 60), start_ns=st.integers(0, 2 * 10**18))
@settings(deadline=None)
def test_items_come_out_in_the_order_they_are_due(piece_ms, fps, start_ns):
    rate_hz, duration_s = 8_000, 6
    size = piece_ms * rate_hz // 1_000
    items = chunks_of([size] * (duration_s * 1_000 // piece_ms), rate_hz, start_ns=start_ns)
    items += [frame(start_ns + i * SECOND_NS // fps) for i in range(duration_s * fps)]
    items.sort(key=lambda item: item.end_ns)  # as a file is read: a piece when it is whole
    arranged = list(in_order(split_chunks(items, 20_000_000)))
    due = [item.end_ns for item in arranged]
    assert due == sorted(due)
    assert sum(isinstance(item, TimedFrame) for item in arranged) == duration_s * fps


def test_frames_beyond_the_rate_are_left_out_and_sound_is_not():
    items = [frame(1_700_000_000 * SECOND_NS + i * SECOND_NS // 30) for i in range(300)]
    kept = list(limit_fps([*items, *chunks_of([160] * 10, 16_000)], 10.0))
    frames = [item.stamp_ns for item in kept if isinstance(item, TimedFrame)]
    assert len(frames) in (100, 101)
    assert np.abs(np.diff(frames[1:]) - SECOND_NS // 10).max() <= 1
    assert len(kept) - len(frames) == 10
    assert len(list(limit_fps(items, 60.0))) == 300


def test_a_round_follows_the_other_without_a_seam():
    items = [*chunks_of([800] * 4, 16_000, start_ns=7), frame(7), frame(7 + 100_000_000)]
    rounds = list(itertools.islice(repeat(items), 18))
    stamps = [item.stamp_ns for item in rounds if isinstance(item, TimedChunk)]
    assert stamps == [7 + i * 50_000_000 for i in range(12)]
    frames = [item.stamp_ns for item in rounds if isinstance(item, TimedFrame)]
    assert frames == [7 + i * 100_000_000 for i in range(6)]
    assert list(repeat([])) == []
