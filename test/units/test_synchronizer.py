"""Units out of any two sensors: in order, contiguous, every sample and frame where it belongs."""

from dataclasses import dataclass, field, replace
import re
from typing import Any

from hypothesis import assume, given, HealthCheck, settings, strategies as st
import numpy as np
import pytest

from roma_ros.units import (
    MultimodalUnit,
    SAMPLE_RATE_HZ,
    SynchronizerConfig,
    UNIT_NS,
    UnitFlag,
    UnitSynchronizer,
)
from roma_ros.units.audio import resample

T0_NS = 1_700_000_000_123_456_789
#: Tones of the test signal: frequency [Hz], amplitude, phase. Below 0.4 of 8 kHz, no period.
TONES = ((83.1, 0.3, 0.1), (419.7, 0.3, 1.3), (1021.3, 0.2, 2.2), (2903.9, 0.1, 0.7))
MAX_SLOPE = sum(amplitude * 2 * np.pi * f for f, amplitude, _ in TONES)
#: Sound next to a hole is shaped by the hole: half the resampling filter at 8 kHz.
RIM_S = 0.0045


def sound(time_s: np.ndarray) -> np.ndarray:
    """The pressure at any time."""
    return sum(a * np.sin(2 * np.pi * f * time_s + phase) for f, a, phase in TONES)


def picture(number: int) -> np.ndarray:
    return np.full((2, 3, 3), number % 251, np.uint8)


@dataclass
class Event:
    """A message on its way: when it arrives, and what it carries."""

    arrival_s: float
    stamp_ns: int
    frame: int | None = None
    samples: np.ndarray | None = None
    first_sample: int | None = None


@dataclass
class Rig:
    """A camera and a microphone in simulated time, and a synchronizer behind them."""

    config: SynchronizerConfig = field(default_factory=SynchronizerConfig)
    units: list[MultimodalUnit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.synchronizer = UnitSynchronizer(self.config, on_unit=self.units.append)

    def play(self, events: list[Event], *, rate_hz: int = 16_000) -> None:
        for event in sorted(events, key=lambda event: event.arrival_s):
            if event.samples is None:
                self.synchronizer.add_frame(event.stamp_ns, picture(event.frame))
            else:
                self.synchronizer.add_audio(
                    event.stamp_ns,
                    event.samples,
                    rate_hz=rate_hz,
                    first_sample=event.first_sample,
                )


def microphone(
    lengths: list[int],
    *,
    rate_hz: int,
    drift: float = 0.0,
    channels: int = 1,
    begin_s: float = 0.0,
    jitter_s: np.ndarray | None = None,
    delay_s: float = 0.0,
    counted: bool = False,
) -> list[Event]:
    """Chunks as a sound card with its own crystal delivers them."""
    period_s = 1 / (rate_hz * (1 + drift))
    events, first = [], 0
    for number, length in enumerate(lengths):
        time_s = begin_s + (first + np.arange(length)) * period_s
        stamp_s = time_s[0] + (0 if jitter_s is None else jitter_s[number])
        samples = sound(time_s).astype(np.float32)
        if channels > 1:  # the mean of the channels is the sound
            tilt = np.linspace(-0.5, 0.5, channels, dtype=np.float32)
            samples = samples[:, None] + tilt * 0.1
        events.append(
            Event(
                arrival_s=time_s[-1] + period_s + delay_s,
                stamp_ns=T0_NS + round(stamp_s * 1e9),
                samples=samples,
                first_sample=first + 7 if counted else None,
            )
        )
        first += length
    return events


def camera(rate_hz: float, seconds: float, *, delay_s: float = 0.0) -> list[Event]:
    return [
        Event(arrival_s=n / rate_hz + delay_s, stamp_ns=T0_NS + round(n / rate_hz * 1e9), frame=n)
        for n in range(int(seconds * rate_hz))
    ]


def chunk_lengths(seconds: float, rate_hz: int, chunk_s: float) -> list[int]:
    length = max(1, round(chunk_s * rate_hz))
    return [length] * max(1, int(seconds * rate_hz / length))


def assert_in_order(units: list[MultimodalUnit]) -> None:
    for number, unit in enumerate(units):
        assert unit.index == number
        assert unit.audio.shape == (SAMPLE_RATE_HZ,)
        assert unit.start_ns == units[0].start_ns + number * UNIT_NS


def misplacement_s(
    units: list[MultimodalUnit], span_s: tuple[float, float], *, rim_s: float = RIM_S
) -> float:
    """How far samples in a span are from their time, judged by what the sound's slope allows."""
    worst = 0.0
    for unit in units:
        times_s = (unit.start_ns - T0_NS) * 1e-9 + np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
        is_sound = (times_s >= span_s[0] + rim_s) & (times_s <= span_s[1] - rim_s)
        for begin_ns, end_ns in unit.audio_gaps_ns:
            is_sound &= (times_s < (begin_ns - T0_NS) * 1e-9 - rim_s) | (
                times_s > (end_ns - T0_NS) * 1e-9 + rim_s
            )
        if is_sound.any():
            error = np.abs(unit.audio[is_sound] - sound(times_s[is_sound]))
            worst = max(worst, float(error.max()) / MAX_SLOPE)
    return worst


@given(
    rate_hz=st.sampled_from([8000, 11025, 16000, 22050, 32000, 44100, 48000]),
    chunk_s=st.one_of(st.floats(0.001, 0.04), st.floats(0.04, 2.0)),
    channels=st.integers(1, 8),
    drift_ppm=st.integers(-200, 200),
    frame_rate_hz=st.one_of(st.integers(1, 120), st.floats(1, 10)),
    begin_s=st.floats(0, 0.9),
    delays_s=st.tuples(st.floats(0, 0.3), st.floats(0, 0.3)),
    seed=st.integers(0, 999),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_each_sample_is_where_it_was_captured(
    rate_hz: int,
    chunk_s: float,
    channels: int,
    drift_ppm: int,
    frame_rate_hz: float,
    begin_s: float,
    delays_s: tuple[float, float],
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    lengths = [
        min(round(length * random.uniform(1, 1.9)), 2 * rate_hz)
        for length in chunk_lengths(6 if chunk_s < 0.3 else 12, rate_hz, chunk_s)
    ]
    # The begin of a stream waits 3 s for its first chunk, and no longer.
    assume(begin_s + lengths[0] / rate_hz + delays_s[0] < 2.99)
    mic = microphone(
        lengths,
        rate_hz=rate_hz,
        drift=drift_ppm * 1e-6,
        channels=channels,
        begin_s=begin_s,
        delay_s=delays_s[0],
    )
    total_s = begin_s + sum(lengths) / rate_hz / (1 + drift_ppm * 1e-6)
    rig = Rig()
    rig.play(mic + camera(frame_rate_hz, total_s, delay_s=delays_s[1]), rate_hz=rate_hz)
    rig.synchronizer.flush()

    assert_in_order(rig.units)
    # Until the drift has been seen, a long chunk's end is off by what it drifts.
    longest_s = max(lengths) / rate_hz
    tolerance_s = 1 / rate_hz + abs(drift_ppm) * 1e-6 * 2 * longest_s
    assert misplacement_s(rig.units, (begin_s, total_s)) < tolerance_s
    assert misplacement_s(rig.units, (begin_s + 5 * longest_s + 0.5, total_s)) < 0.1 / rate_hz
    # Gaps: before the microphone began, and after it ended. Nothing else.
    gap_ns = sum(e - b for u in rig.units for b, e in u.audio_gaps_ns)
    expected_ns = mic[0].stamp_ns - rig.units[0].start_ns
    expected_ns += max(0, rig.units[-1].end_ns - T0_NS - total_s * 1e9)
    assert gap_ns == pytest.approx(expected_ns, abs=2e9 / 16000 + tolerance_s * 1e9)
    counters = rig.synchronizer.counters
    assert counters.audio_samples_received == sum(lengths)
    assert counters.audio_chunks_late == counters.audio_chunks_doubled == 0
    assert counters.audio_chunks_rejected == counters.clock_jumps == 0


@given(
    rate_hz=st.sampled_from([8000, 16000, 44100]),
    chunk_s=st.floats(0.002, 0.4),
    drift_ppm=st.integers(-200, 200),
    counted=st.booleans(),
    seed=st.integers(0, 999),
)
@settings(max_examples=20, deadline=None)
def test_lost_doubled_and_unordered_chunks_leave_holes_where_they_were(
    rate_hz: int, chunk_s: float, drift_ppm: int, counted: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    lengths = [
        round(length * random.uniform(1, 1.9)) for length in chunk_lengths(7, rate_hz, chunk_s)
    ]
    mic = microphone(lengths, rate_hz=rate_hz, drift=drift_ppm * 1e-6, counted=counted)
    # Half a second of peace shows that the stamps are exact.
    num_calm = max(10, round(0.5 / chunk_s))
    fates = random.random(len(mic))
    lost, kept, num_doubled = [], [], 0
    for number, (event, fate) in enumerate(zip(mic, fates, strict=True)):
        if num_calm < number < len(mic) - 2 and fate < 0.05:
            lost.append(event)
            continue
        kept.append(event)
        if num_calm < number and 0.05 < fate < 0.1:
            kept.append(replace(event, arrival_s=event.arrival_s + 0.001))
            num_doubled += 1
        next_s = len(mic[min(number + 1, len(mic) - 1)].samples) / rate_hz
        if num_calm < number and fate > 0.93 and next_s < 0.4:  # overtaken, within patience
            event.arrival_s += 1.2 * next_s
    end_s = sum(lengths) / rate_hz / (1 + drift_ppm * 1e-6)
    rig = Rig(SynchronizerConfig(expect_video=False))
    rig.play(kept, rate_hz=rate_hz)
    rig.synchronizer.flush()

    assert_in_order(rig.units)
    longest_s = max(lengths) / rate_hz
    tolerance_s = 1 / rate_hz + abs(drift_ppm) * 1e-6 * 2 * longest_s
    assert misplacement_s(rig.units, (0, end_s)) < tolerance_s
    missing = np.zeros(len(rig.units) * SAMPLE_RATE_HZ, np.bool_)
    for unit in rig.units:
        for begin_ns, end_ns in unit.audio_gaps_ns:
            span = np.array([begin_ns, end_ns]) - rig.units[0].start_ns
            missing[slice(*np.rint(span * 16e-6).astype(int))] = True
    times_s = np.arange(len(missing)) / SAMPLE_RATE_HZ
    truth = times_s >= end_s
    for event in lost:
        begin_s = (event.stamp_ns - T0_NS) * 1e-9
        truth |= (times_s >= begin_s) & (
            times_s < begin_s + len(event.samples) / rate_hz / (1 + drift_ppm * 1e-6)
        )
    num_edges = 2 * len(lost) + 1
    assert np.count_nonzero(missing != truth) <= num_edges * np.ceil(tolerance_s * 16_000)
    assert rig.synchronizer.counters.audio_chunks_doubled == num_doubled
    assert rig.synchronizer.counters.audio_chunks_late == 0


@given(
    chunk_s=st.sampled_from([0.001, 0.01, 0.032, 0.1]),
    drift_ppm=st.integers(-200, 200),
    counted=st.booleans(),
    seed=st.integers(0, 999),
)
@settings(max_examples=10, deadline=None)
def test_jittered_stamps_do_not_tear_the_sound(
    chunk_s: float, drift_ppm: int, counted: bool, seed: int
) -> None:
    lengths = chunk_lengths(12, 16_000, chunk_s)
    jitter_s = np.random.default_rng(seed).uniform(-0.02, 0.02, len(lengths))
    mic = microphone(
        lengths, rate_hz=16_000, drift=drift_ppm * 1e-6, jitter_s=jitter_s, counted=counted
    )
    rig = Rig()
    rig.play(mic + camera(30, 12))
    rig.synchronizer.flush()

    assert_in_order(rig.units)
    audio = np.concatenate([unit.audio for unit in rig.units[1:11]])
    assert not any(unit.audio_gaps_ns for unit in rig.units[1:11])
    # A tear of n samples is a step of up to n * slope; smooth sound has none.
    curvature = np.abs(np.diff(audio, 2)).max()
    smooth = sum(a * (2 * np.pi * f / SAMPLE_RATE_HZ) ** 2 for f, a, _ in TONES)
    assert curvature < 1.05 * smooth
    assert misplacement_s(rig.units, (0, 12)) < 0.02


def test_a_late_stamp_followed_by_right_ones_is_no_gap() -> None:
    lengths = chunk_lengths(6, 16_000, 0.01)
    # Stamps of arrival; the network stalls for 0.2 s, then everything arrives at once.
    jitter_s = np.random.default_rng(0).uniform(0, 0.002, len(lengths))
    jitter_s[300:320] += np.linspace(0.2, 0.01, 20)
    rig = Rig(SynchronizerConfig(expect_video=False))
    rig.play(microphone(lengths, rate_hz=16_000, jitter_s=jitter_s))
    rig.synchronizer.flush()

    assert sum(len(unit.audio_gaps_ns) for unit in rig.units[1:5]) == 0
    assert misplacement_s(rig.units, (0.5, 6)) < 0.003


def test_counted_samples_show_a_loss_that_noisy_stamps_hide() -> None:
    lengths = chunk_lengths(5, 16_000, 0.01)
    jitter_s = np.random.default_rng(0).uniform(-0.02, 0.02, len(lengths))
    mic = microphone(lengths, rate_hz=16_000, jitter_s=jitter_s, counted=True)
    del mic[250]
    rig = Rig(SynchronizerConfig(expect_video=False))
    rig.play(mic)
    rig.synchronizer.flush()

    gaps = [gap for unit in rig.units[1:4] for gap in unit.audio_gaps_ns]
    assert len(gaps) == 1
    assert gaps[0][1] - gaps[0][0] == pytest.approx(10e6, abs=62_500)


def test_a_counter_that_begins_anew_is_a_reopened_device() -> None:
    mic = microphone(chunk_lengths(4, 16_000, 0.01), rate_hz=16_000, counted=True)
    for number, event in enumerate(mic[200:]):  # after 0.1 s of silence
        event.first_sample = 160 * number
        event.stamp_ns += 100_000_000
    rig = Rig(SynchronizerConfig(expect_video=False))
    rig.play(mic)
    rig.synchronizer.flush()

    gaps = [gap for unit in rig.units[:4] for gap in unit.audio_gaps_ns]
    assert gaps == [(T0_NS + 2_000_000_000, T0_NS + 2_100_000_000)]
    assert rig.synchronizer.counters.audio_chunks_doubled == 0


def test_a_source_that_never_counts_is_heard() -> None:
    mic = microphone(chunk_lengths(3, 16_000, 0.01), rate_hz=16_000)
    for event in mic:
        event.first_sample = 0
    rig = Rig(SynchronizerConfig(expect_video=False))
    rig.play(mic)
    rig.synchronizer.flush()

    assert [unit.audio_gaps_ns for unit in rig.units] == [(), (), ()]


@pytest.mark.parametrize(('drift_ppm', 'jitter_s'), [(200, 0.0), (-200, 0.02)])
def test_half_an_hour_drifts_by_nothing(drift_ppm: int, jitter_s: float) -> None:
    rig = Rig(SynchronizerConfig(expect_video=False))
    rate_hz, length, num_chunks = 8000, 1600, 31 * 60 * 5
    period_s = 1 / (rate_hz * (1 + drift_ppm * 1e-6))
    jitters_s = np.random.default_rng(1).uniform(-jitter_s, jitter_s, num_chunks)
    last_units: list[MultimodalUnit] = []
    for number in range(num_chunks):
        time_s = (number * length + np.arange(length)) * period_s
        stamp_ns = T0_NS + round((time_s[0] + jitters_s[number]) * 1e9)
        rig.synchronizer.add_audio(stamp_ns, sound(time_s).astype(np.float32), rate_hz=rate_hz)
        last_units += rig.units if time_s[0] > 31 * 60 - 30 else []
        rig.units.clear()

    assert len(last_units) >= 25
    # The crystal has drifted by 0.37 s, 2976 samples.
    error_s = misplacement_s(last_units, (0, 31 * 60))
    assert error_s < (0.5e-3 if jitter_s else 1e-6)
    counters = rig.synchronizer.counters
    # Nothing but the stretch before or after the microphone's first second is missing.
    assert counters.audio_gap_ns <= 2 * jitter_s * 1e9
    assert counters.audio_chunks_late == counters.audio_chunks_doubled == 0


@pytest.mark.parametrize('rate_hz', [44_100, 48_000, 16_000, 8_000])
def test_units_in_a_row_are_the_signal_resampled_at_once(rate_hz: int) -> None:
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, 5 * rate_hz).astype(np.float32)
    rig = Rig(SynchronizerConfig(expect_video=False))
    for first in range(0, len(samples), 1000):
        stamp_ns = T0_NS + round(first * 1e9 / rate_hz)
        rig.synchronizer.add_audio(stamp_ns, samples[first : first + 1000], rate_hz=rate_hz)
    rig.synchronizer.flush()

    audio = np.concatenate([unit.audio for unit in rig.units])
    np.testing.assert_allclose(audio, resample(samples, rate_hz=rate_hz), atol=2e-5)


def test_16_khz_in_step_with_the_grid_is_passed_on_bit_by_bit() -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 3 * 16_000).astype(np.float32)
    rig = Rig(SynchronizerConfig(expect_video=False))
    for first in range(0, len(samples), 333):
        rig.synchronizer.add_audio(
            T0_NS + first * 62_500, samples[first : first + 333], rate_hz=16_000
        )
    # The last unit needs no sample after its end: it is here before the stream ends.
    assert len(rig.units) == 3
    np.testing.assert_array_equal(np.concatenate([unit.audio for unit in rig.units]), samples)


@given(
    rate_hz=st.sampled_from([8000, 16000, 44100, 48000]),
    frame_rate_hz=st.sampled_from([1, 5, 15, 24, 30, 60, 120]),
    clap_s=st.floats(0.3, 4),
    drift_ppm=st.integers(-200, 200),
    mic_phase_s=st.floats(0, 0.1),
)
@settings(max_examples=25, deadline=None)
def test_clap_is_seen_and_heard_at_one_place(
    rate_hz: int, frame_rate_hz: int, clap_s: float, drift_ppm: int, mic_phase_s: float
) -> None:
    period_s = 1 / (rate_hz * (1 + drift_ppm * 1e-6))
    rig = Rig()
    events = []
    for number in range(round(5.5 * rate_hz / 512)):
        time_s = mic_phase_s + (512 * number + np.arange(512)) * period_s
        click = np.sinc((time_s - clap_s) * 6000) * (np.abs(time_s - clap_s) < 0.003)
        events.append(
            Event(time_s[-1], T0_NS + round(time_s[0] * 1e9), samples=click.astype(np.float32))
        )
    frames = [n / frame_rate_hz for n in range(int(5.5 * frame_rate_hz))]
    flash = next(n for n, time_s in enumerate(frames) if time_s >= clap_s)
    for number, time_s in enumerate(frames):
        lit = 250 if number == flash else 0
        events.append(Event(time_s, T0_NS + round(time_s * 1e9), frame=lit))
    rig.play(events, rate_hz=rate_hz)
    rig.synchronizer.flush()

    audio = np.concatenate([unit.audio for unit in rig.units])
    heard_s = np.abs(audio).argmax() / SAMPLE_RATE_HZ
    assert abs(heard_s - clap_s) < 1e-3
    # Every frame that is shown is within one frame of its grid time, so the flash, where it is
    # shown, is in the unit of the click or, across a unit's end, in the next one's first frame.
    for unit in rig.units:
        for stamp_ns, frame in zip(unit.frame_stamps_ns, unit.frames, strict=True):
            if frame.max() == 250:
                seen_s = (stamp_ns - T0_NS) * 1e-9
                assert 0 <= seen_s - clap_s <= 1 / frame_rate_hz
                assert unit.start_ns <= stamp_ns < unit.end_ns or frame_rate_hz == 1


def steady_events(seconds: float, *, frame_rate_hz: float = 30) -> list[Event]:
    mic = microphone(chunk_lengths(seconds, 16_000, 0.02), rate_hz=16_000)
    return mic + camera(frame_rate_hz, seconds)


def shifted(events: list[Event], shift_s: float, *, stamp_ns: int | None = None) -> list[Event]:
    """The same events later, with stamps that move along or by another amount."""
    step_ns = round(shift_s * 1e9) if stamp_ns is None else stamp_ns
    return [
        replace(e, arrival_s=e.arrival_s + shift_s, stamp_ns=e.stamp_ns + step_ns) for e in events
    ]


def assert_equal_units(first: list[MultimodalUnit], second: list[MultimodalUnit]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.audio, other.audio)
        np.testing.assert_array_equal(one.frames, other.frames)
        assert one.frame_stamps_ns == other.frame_stamps_ns
        assert one.audio_gaps_ns == other.audio_gaps_ns
        assert (one.index, one.start_ns, one.flags) == (other.index, other.start_ns, other.flags)


def test_two_sensors_in_step_make_plain_units() -> None:
    rig = Rig()
    rig.play(steady_events(3))
    rig.synchronizer.flush()

    assert [unit.flags for unit in rig.units] == [UnitFlag.NONE] * 3
    assert [unit.frame_stamps_ns for unit in rig.units] == [
        (T0_NS + n * UNIT_NS, T0_NS + n * UNIT_NS + UNIT_NS // 2) for n in range(3)
    ]
    assert [unit.frames[:, 0, 0, 0].tolist() for unit in rig.units] == [
        [0, 15],
        [30, 45],
        [60, 75],
    ]
    counters = rig.synchronizer.counters
    assert (counters.units, counters.frames_received, counters.audio_chunks_received) == (
        3,
        90,
        150,
    )
    assert counters.audio_gaps == counters.frames_rejected == counters.units_late == 0


@given(lags_s=st.tuples(st.floats(0, 0.45), st.floats(0, 0.45)), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_the_order_of_arrival_does_not_matter(lags_s: tuple[float, float], seed: int) -> None:
    random = np.random.default_rng(seed)
    events = steady_events(4)
    in_step, lagging = Rig(), Rig()
    in_step.play(events)
    for event in events:
        is_frame = event.samples is None
        event.arrival_s += lags_s[is_frame]
        if is_frame and event.arrival_s > 0.5:  # frames overtake one another
            event.arrival_s += random.uniform(0, 0.04)
    lagging.play(events)
    in_step.synchronizer.flush()
    lagging.synchronizer.flush()

    assert_equal_units(in_step.units, lagging.units)


def test_a_unit_comes_as_soon_as_its_sound_is_complete() -> None:
    rig = Rig()
    events = sorted(steady_events(2, frame_rate_hz=5), key=lambda event: event.arrival_s)
    rig.play([event for event in events if event.arrival_s < 0.99])
    assert rig.units == []
    # No frame after the unit's end is needed: none can be nearer to 0.5 s than the one at 0.6 s.
    rig.play([event for event in events if 0.99 <= event.arrival_s <= 1.0 and event.frame is None])
    assert len(rig.units) == 1


@pytest.mark.parametrize('dead', ['camera', 'microphone'])
def test_a_dead_sensor_does_not_stop_the_stream(dead: str) -> None:
    rig = Rig()
    events = steady_events(10)
    rig.play([e for e in events if (e.samples is None) == (dead == 'microphone')])

    # The other's last unit is still within patience.
    assert len(rig.units) == 9
    missing = UnitFlag.NO_VIDEO if dead == 'camera' else UnitFlag.NO_AUDIO
    assert all(unit.flags == missing | UnitFlag.LATE for unit in rig.units)
    assert rig.synchronizer.counters.units_late == 9


@pytest.mark.parametrize('dead', ['camera', 'microphone'])
def test_a_sensor_that_pauses_comes_back(dead: str) -> None:
    rig = Rig()
    events = steady_events(9)
    rig.play(
        [
            e
            for e in events
            if (e.samples is None) == (dead == 'microphone') or not 2.5 <= e.arrival_s <= 6.5
        ]
    )
    rig.synchronizer.flush()

    assert_in_order(rig.units)
    missing = UnitFlag.NO_VIDEO if dead == 'camera' else UnitFlag.NO_AUDIO
    assert [bool(missing & unit.flags) for unit in rig.units] == [False] * 3 + [True] * 3 + [
        False
    ] * 3
    if dead == 'microphone':
        counters = rig.synchronizer.counters
        assert counters.audio_gaps == 1
        assert counters.audio_gap_ns == pytest.approx(4e9, abs=20e6)
        assert misplacement_s(rig.units, (0, 9)) < 1e-6


def test_with_both_sensors_dead_the_clock_keeps_units_coming() -> None:
    rig = Rig()
    rig.play(steady_events(2))
    for tenth in range(100):  # of a clock that has nothing to do with the stamps
        rig.synchronizer.advance(5_000 + tenth * 100_000_000)

    assert_in_order(rig.units)
    # 9.9 s have passed since the end of the data at 2 s; 0.5 s of patience is left.
    assert len(rig.units) == 11
    assert rig.units[-1].flags == UnitFlag.NO_VIDEO | UnitFlag.NO_AUDIO | UnitFlag.LATE
    # Sensors that come back find their time.
    rig.play(shifted(steady_events(2), 12))
    assert rig.units[12].flags == UnitFlag.NONE
    assert rig.synchronizer.counters.clock_jumps == 0


def test_a_clock_that_jumps_is_no_time_that_passes() -> None:
    rig = Rig()
    rig.play(steady_events(1.5))
    for now_ns in (0, 1_700_000_000_000_000_000, 1_700_000_000_100_000_000, 50):
        rig.synchronizer.advance(now_ns)

    assert len(rig.units) == 1


def test_nothing_comes_before_the_first_stamp() -> None:
    rig = Rig()
    for second in range(10):
        rig.synchronizer.advance(second * UNIT_NS)
    rig.synchronizer.flush()

    assert rig.units == []


@pytest.mark.parametrize('clip_s', [1.5, 2.0, 6.25])
def test_a_looped_recording_begins_anew_without_a_loss(clip_s: float) -> None:
    clip = steady_events(clip_s)
    back = [shifted(clip, clip_s * n, stamp_ns=0) for n in range(3)]
    rig = Rig()
    rig.play([event for loop in back for event in loop])
    rig.synchronizer.flush()

    alone = Rig()
    alone.play(clip)
    alone.synchronizer.flush()
    per_loop = len(alone.units)
    assert [unit.index for unit in rig.units] == list(range(3 * per_loop))
    assert [unit.start_ns for unit in rig.units] == 3 * [unit.start_ns for unit in alone.units]
    jumps = [number for number, unit in enumerate(rig.units) if UnitFlag.CLOCK_JUMP & unit.flags]
    assert jumps == [per_loop, 2 * per_loop]
    for number, unit in enumerate(rig.units):
        np.testing.assert_array_equal(unit.audio, alone.units[number % per_loop].audio)
        np.testing.assert_array_equal(unit.frames, alone.units[number % per_loop].frames)
    counters = rig.synchronizer.counters
    assert counters.clock_jumps == 2
    assert counters.frames_rejected == counters.frames_late == 0
    assert counters.audio_chunks_rejected == counters.audio_chunks_late == 0


def test_a_clock_that_is_set_forward_begins_a_new_grid() -> None:
    hour_s = 3600.0
    rig = Rig()
    rig.play(steady_events(2.5) + shifted(steady_events(3), 2.5, stamp_ns=round(hour_s * 1e9)))
    rig.synchronizer.flush()

    assert [unit.index for unit in rig.units] == list(range(6))
    starts_s = [(unit.start_ns - T0_NS) / 1e9 for unit in rig.units]
    assert starts_s == [0, 1, 2, hour_s, hour_s + 1, hour_s + 2]
    assert rig.units[3].flags == UnitFlag.CLOCK_JUMP
    # The second that the jump cut short is here as far as it went.
    assert rig.units[2].audio_gaps_ns == ((T0_NS + 2_500_000_000, T0_NS + 3_000_000_000),)


@pytest.mark.parametrize('stray_ns', [0, -T0_NS, 4_000_000_000_000_000_000])
def test_stray_stamps_are_rejected_and_change_nothing(stray_ns: int) -> None:
    events = steady_events(4)
    clean, dirty = Rig(), Rig()
    clean.play(events)
    strays = [
        Event(1.71, stray_ns, frame=77),
        Event(2.345, stray_ns, samples=np.ones(320, np.float32)),
    ]
    dirty.play(events + strays)
    clean.synchronizer.flush()
    dirty.synchronizer.flush()

    assert_equal_units(clean.units, dirty.units)
    counters = dirty.synchronizer.counters
    assert (counters.frames_rejected, counters.audio_chunks_rejected) == (1, 1)
    assert counters.clock_jumps == 0
    assert 'not of this time' in counters.last_rejection


@pytest.mark.parametrize('offset_s', [-3 * 3600, 3 * 3600])
def test_a_camera_with_another_clock_stays_outside(offset_s: int) -> None:
    mic = microphone(chunk_lengths(8, 16_000, 0.02), rate_hz=16_000)
    wrong = shifted(camera(30, 8, delay_s=0.005), 0, stamp_ns=offset_s * UNIT_NS)
    rig = Rig()
    rig.play(mic + wrong)
    rig.synchronizer.flush()

    assert rig.synchronizer.counters.clock_jumps == 0
    heard = [unit for unit in rig.units if UnitFlag.NO_AUDIO not in unit.flags]
    if heard:  # the microphone came first
        assert len(heard) >= 7
        assert_in_order(heard)
    counters = rig.synchronizer.counters
    assert counters.frames_rejected + counters.frames_late + counters.audio_chunks_rejected > 100


class Tracked(np.ndarray):
    """A frame that counts how many of its kind are alive."""

    alive = 0

    def __array_finalize__(self, source: object) -> None:
        Tracked.alive += 1

    def __del__(self) -> None:
        Tracked.alive -= 1


@pytest.mark.parametrize('stamps', ['running', 'dead', 'far ahead', 'backwards'])
@pytest.mark.parametrize('with_audio', [False, True])
def test_memory_is_bounded_whatever_a_camera_does(stamps: str, with_audio: bool) -> None:
    rig = Rig()
    Tracked.alive = peak = 0
    for number in range(2000):
        stamp_ns = {
            'running': T0_NS + number * 5_000_000,
            'dead': T0_NS,
            'far ahead': T0_NS + number * 3600 * UNIT_NS,
            'backwards': T0_NS - number * 40_000_000,
        }[stamps]
        rig.synchronizer.add_frame(stamp_ns, np.zeros((2, 2, 3), np.uint8).view(Tracked))
        if with_audio and number % 4 == 0:
            samples = np.zeros(320, np.float32)
            rig.synchronizer.add_audio(T0_NS + number * 5_000_000, samples, rate_hz=16_000)
        rig.units.clear()
        peak = max(peak, Tracked.alive)

    assert 0 < peak <= 140
    counters = rig.synchronizer.counters
    assert counters.frames_received == 2000


@given(
    frame_rate_hz=st.one_of(st.integers(1, 120), st.floats(0.7, 30)),
    jitter=st.floats(0, 0.4),
    phase_s=st.floats(0, 1),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_the_nearest_frames_of_a_unit_are_its_frames(
    frame_rate_hz: float, jitter: float, phase_s: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    count = int(6 * frame_rate_hz) + 1
    times_s = phase_s + (np.arange(count) + random.uniform(0, jitter, count)) / frame_rate_hz
    stamps_ns = [T0_NS + round(time_s * 1e9) for time_s in times_s]
    decoded: list[int] = []
    rig = Rig(SynchronizerConfig(expect_audio=False, origin_ns=T0_NS))
    for number, stamp_ns in enumerate(stamps_ns):

        def decode(number: int = number) -> np.ndarray:
            decoded.append(number)
            return picture(number)

        rig.synchronizer.add_frame(stamp_ns, decode)
    rig.synchronizer.flush()

    assert_in_order(rig.units)
    assert len(decoded) == len(set(decoded)) <= 2 * len(rig.units)
    for unit in rig.units:
        own = [ns for ns in stamps_ns if unit.start_ns <= ns < unit.end_ns]
        recent = [ns for ns in stamps_ns if unit.start_ns - UNIT_NS // 2 <= ns < unit.start_ns]
        if own:
            grid = (unit.start_ns, unit.start_ns + UNIT_NS // 2)
            expected = tuple(min(own, key=lambda ns, at=at: (abs(ns - at), ns)) for at in grid)
        else:  # the newest before stands in, for half a second
            expected = (recent[-1],) * 2 if recent else ()
        assert unit.frame_stamps_ns == expected
        for stamp_ns, frame in zip(unit.frame_stamps_ns, unit.frames, strict=True):
            assert frame[0, 0, 0] == stamps_ns.index(stamp_ns) % 251
        is_repeated = len(expected) == 2 and expected[0] == expected[1]
        assert (UnitFlag.REPEATED_FRAME in unit.flags) == is_repeated
        assert (UnitFlag.NO_VIDEO in unit.flags) == (not expected)


def test_corrupt_frames_give_way_to_the_next_nearest() -> None:
    def corrupt() -> np.ndarray:
        raise ValueError('JPEG is cut off')

    rig = Rig(SynchronizerConfig(expect_audio=False))
    for number in range(31):
        stamp_ns = T0_NS + number * UNIT_NS // 30
        if number in (0, 14, 15):
            rig.synchronizer.add_frame(stamp_ns, corrupt)
        elif number == 16:  # grey, not RGB
            rig.synchronizer.add_frame(stamp_ns, np.zeros((2, 3), np.uint8))
        else:
            rig.synchronizer.add_frame(stamp_ns, picture(number))
    (unit,) = rig.units

    assert unit.frames[:, 0, 0, 0].tolist() == [1, 17]
    counters = rig.synchronizer.counters
    assert counters.frames_rejected == 4
    assert counters.last_rejection.startswith('frame: ')


def test_without_any_sound_frame_a_unit_has_no_video() -> None:
    rig = Rig()
    mic = microphone(chunk_lengths(3, 16_000, 0.02), rate_hz=16_000)
    for event in sorted(mic + camera(30, 3), key=lambda e: e.arrival_s):
        if event.samples is None:
            rig.synchronizer.add_frame(event.stamp_ns, lambda: np.zeros((0, 0, 3), np.uint8))
        else:
            rig.synchronizer.add_audio(event.stamp_ns, event.samples, rate_hz=16_000)
    rig.synchronizer.flush()

    assert [unit.flags for unit in rig.units] == [UnitFlag.NO_VIDEO] * 3
    assert rig.units[0].frames.shape == (0, 0, 0, 3)


def test_a_camera_that_changes_its_resolution_repeats_one_frame() -> None:
    rig = Rig(SynchronizerConfig(expect_audio=False))
    for number in range(31):
        size = 2 if number < 10 else 4
        frame = np.zeros((size, size, 3), np.uint8)
        rig.synchronizer.add_frame(T0_NS + number * UNIT_NS // 30, frame)
    (unit,) = rig.units

    assert unit.frames.shape == (2, 4, 4, 3)
    assert unit.frame_stamps_ns[0] == unit.frame_stamps_ns[1]
    assert unit.flags == UnitFlag.REPEATED_FRAME | UnitFlag.NO_AUDIO


def test_late_frames_and_chunks_are_counted() -> None:
    rig = Rig()
    events = steady_events(6)
    for event in events:
        if 3.6 < event.arrival_s < 3.9:
            event.arrival_s += 0.95
    rig.play(events)
    rig.synchronizer.flush()

    assert_in_order(rig.units)
    counters = rig.synchronizer.counters
    assert counters.frames_late == 8
    assert counters.audio_chunks_late == 14
    assert counters.audio_gaps == 1
    # Both sensors had passed the unit's end: what was missing was given up, and is told as a gap.
    assert rig.units[3].flags == UnitFlag.NONE
    assert len(rig.units[3].audio_gaps_ns) == 1


@pytest.mark.parametrize(
    ('samples', 'rate_hz', 'reason'),
    [
        (np.array([0.1, np.nan], np.float32), 16_000, 'not finite'),
        (np.zeros(0, np.float32), 16_000, r'shape \[0\]'),
        (np.zeros((2, 2, 2), np.float32), 16_000, r'shape \[2, 2, 2\]'),
        (np.zeros(4, np.int64), 16_000, 'int64'),
        (np.zeros(4, np.float32), 0, 'sample rate is 0 Hz'),
    ],
)
def test_malformed_audio_is_rejected_and_counted(
    samples: np.ndarray, rate_hz: int, reason: str
) -> None:
    rig = Rig()
    rig.synchronizer.add_audio(T0_NS, samples, rate_hz=rate_hz)

    counters = rig.synchronizer.counters
    assert counters.audio_chunks_rejected == counters.audio_chunks_received == 1
    assert re.search(reason, counters.last_rejection)


def test_one_channel_can_be_chosen() -> None:
    rig = Rig(SynchronizerConfig(expect_video=False, audio_channel=1))
    samples = np.stack([np.zeros(16_000), np.full(16_000, 0.25)], axis=1).astype(np.float32)
    rig.synchronizer.add_audio(T0_NS, samples, rate_hz=16_000)

    assert (rig.units[0].audio == 0.25).all()


def test_offsets_move_what_sensors_stamp() -> None:
    config = SynchronizerConfig(frame_offset_ns=-200_000_000, audio_offset_ns=100_000_000)
    rig = Rig(config)
    rig.play(shifted(camera(10, 3), 0, stamp_ns=200_000_000))
    rig.play(microphone([48_000], rate_hz=16_000, begin_s=-0.1))
    rig.synchronizer.flush()

    assert [unit.start_ns - T0_NS for unit in rig.units] == [0, UNIT_NS, 2 * UNIT_NS]
    # Reported as stamped, to join them with the source.
    assert rig.units[1].frame_stamps_ns == (T0_NS + 1_200_000_000, T0_NS + 1_700_000_000)
    np.testing.assert_allclose(
        rig.units[0].audio, sound(np.arange(16_000) / 16_000 - 0.1), atol=1e-6
    )


def test_a_microphone_that_comes_back_at_another_rate_goes_on() -> None:
    first = microphone(chunk_lengths(2.5, 48_000, 0.02), rate_hz=48_000)
    second = microphone(chunk_lengths(2.5, 16_000, 0.02), rate_hz=16_000, begin_s=2.7)
    rig = Rig(SynchronizerConfig(expect_video=False))
    rig.play(first, rate_hz=48_000)
    rig.play(second, rate_hz=16_000)
    rig.synchronizer.flush()

    assert_in_order(rig.units)
    assert misplacement_s(rig.units, (0, 5.2)) < 1e-6
    (gap,) = rig.units[2].audio_gaps_ns
    np.testing.assert_allclose(np.array(gap) - T0_NS, [2.5e9, 2.7e9], atol=62_500)


def test_the_last_partial_second_is_a_unit_and_a_short_rest_is_not() -> None:
    rig = Rig()
    rig.play(steady_events(2.4))
    assert len(rig.units) == 2
    rig.synchronizer.flush()
    assert len(rig.units) == 3
    assert rig.units[2].audio_gaps_ns == ((T0_NS + 2_400_000_000, T0_NS + 3_000_000_000),)

    rig = Rig()
    rig.play(steady_events(2.08))
    rig.synchronizer.flush()
    assert len(rig.units) == 2
    assert rig.synchronizer.counters.rest_ns == 80_000_000


def test_a_stream_shorter_than_patience_is_flushed() -> None:
    rig = Rig()
    rig.play(camera(30, 0.4))
    rig.synchronizer.flush()

    assert [unit.flags for unit in rig.units] == [UnitFlag.NO_AUDIO]


def test_reset_equals_fresh() -> None:
    used, fresh = Rig(), Rig()
    used.play(steady_events(3.3))
    used.synchronizer.reset()
    used.units.clear()
    for rig in (used, fresh):
        rig.play(shifted(steady_events(2.7), 0, stamp_ns=-50 * UNIT_NS))
        rig.synchronizer.flush()

    assert_equal_units(used.units, fresh.units)
    assert used.synchronizer.counters == fresh.synchronizer.counters


def test_a_given_origin_puts_the_grid_there() -> None:
    rig = Rig(SynchronizerConfig(origin_ns=5))
    rig.play(steady_events(2))

    assert {(unit.start_ns - 5) % UNIT_NS for unit in rig.units} == {0}


@pytest.mark.parametrize(
    ('fields', 'reason'),
    [
        ({'patience_ns': -1}, 'patience_ns is -1'),
        ({'clock_jump_ns': 10}, 'clock_jump_ns is 10'),
        ({'expect_video': False, 'expect_audio': False}, 'expect at least one'),
        ({'audio_channel': -1}, 'audio_channel is -1'),
    ],
)
def test_a_senseless_config_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        SynchronizerConfig(**fields)
