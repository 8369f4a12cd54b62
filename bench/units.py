"""
Measure the units: alignment, drift, resampling, and what they cost.

    python bench/units.py
    python bench/units.py --json units.json
    python bench/units.py --minutes 5 --only drift
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
import itertools
import json
from pathlib import Path
import time
from typing import Any

import numpy as np

from roma_ros.bench.messages import feed, INPUTS, make_messages, T0_NS
from roma_ros.nodes.filters import UnitFilter
from roma_ros.units import (
    MultimodalUnit,
    SAMPLE_RATE_HZ,
    SynchronizerConfig,
    UNIT_NS,
    UnitSynchronizer,
)
from roma_ros.units.resampler import Resampler

Row = dict[str, Any]


def measure_claps() -> Iterator[Row]:
    """Clap 60 times at the instant of a frame, and see and hear where it lands in the units."""
    rates_hz, frame_rates_hz = (8000, 16_000, 44_100, 48_000), (5, 15, 30, 60, 120)
    for rate_hz, fps in itertools.product(rates_hz, frame_rates_hz):
        random = np.random.default_rng(rate_hz + fps)
        errors_s, grid_frames, in_one_unit = [], [], 0
        for _ in range(60):
            clap_ns = T0_NS + int(random.integers(6 * fps // 5, 14 * fps // 5)) * UNIT_NS // fps
            drift, phase_s = random.uniform(-200e-6, 200e-6), random.uniform(0, 0.1)
            units = _clap(rate_hz, fps, clap_ns, drift=drift, phase_s=phase_s)
            audio = np.concatenate([unit.audio for unit in units])
            heard_ns = units[0].start_ns + round(_peak(audio) * UNIT_NS / SAMPLE_RATE_HZ)
            errors_s.append((heard_ns - clap_ns) * 1e-9)
            # 2 us: a clap on the border of two units may be heard on either side of it.
            unit = next(u for u in units if u.start_ns <= clap_ns < u.end_ns)
            in_one_unit += unit.start_ns - 2000 <= heard_ns < unit.end_ns
            grid_ns = (unit.start_ns, unit.start_ns + UNIT_NS // 2)
            grid_frames += [
                abs(stamp_ns - at_ns) * fps / UNIT_NS
                for stamp_ns, at_ns in zip(unit.frame_stamps_ns, grid_ns, strict=True)
            ]
        yield {
            'rate_hz': rate_hz,
            'fps': fps,
            'flash_to_click_max_us': 1e6 * max(map(abs, errors_s)),
            'flash_to_click_rms_us': 1e6 * float(np.sqrt(np.mean(np.square(errors_s)))),
            'in_one_unit': f'{in_one_unit}/60',
            'frame_to_grid_max_frames': max(grid_frames),
        }


def _clap(
    rate_hz: int, fps: int, clap_ns: int, *, drift: float, phase_s: float
) -> list[MultimodalUnit]:
    units: list[MultimodalUnit] = []
    synchronizer = UnitSynchronizer(on_unit=units.append)
    period_s, length = 1 / (rate_hz * (1 + drift)), rate_hz // 50
    window, clap_s = np.hanning(1001), (clap_ns - T0_NS) * 1e-9
    events: list[tuple[float, Callable[[], None]]] = []
    for number in range(4 * 50):
        time_s = phase_s + (number * length + np.arange(length)) * period_s
        place = np.clip(np.rint((time_s - clap_s) * 1e5 + 500), 0, 1000).astype(int)
        click = (np.sinc((time_s - clap_s) * 6000) * window[place]).astype(np.float32)
        stamp_ns = T0_NS + round(time_s[0] * 1e9)
        events.append(
            (time_s[-1], partial(synchronizer.add_audio, stamp_ns, click, rate_hz=rate_hz))
        )
    frame = np.zeros((2, 2, 3), np.uint8)
    for number in range(4 * fps):
        stamp_ns = T0_NS + number * UNIT_NS // fps
        events.append((number / fps, partial(synchronizer.add_frame, stamp_ns, frame)))
    for _, act in sorted(events, key=lambda event: event[0]):
        act()
    synchronizer.flush()
    return units


def _peak(audio: np.ndarray) -> float:
    """Return the position of the largest sample, refined by a parabola (within 1 us here)."""
    at = int(audio.argmax())
    left, top, right = (float(audio[at + step]) for step in (-1, 0, 1))
    return at + 0.5 * (left - right) / (left - 2 * top + right)


def measure_drift(minutes: float) -> Iterator[Row]:
    """Follow a crystal that is off by stamps that jitter, and tell how far the sound is off."""
    for ppm, jitter_ms in itertools.product((-200, -100, 0, 100, 200), (0.0, 2.0, 20.0)):
        shifts_s = np.array(_shifts_s(ppm * 1e-6, jitter_ms * 1e-3, minutes))
        yield {
            'drift_ppm': ppm,
            'jitter_ms': jitter_ms,
            'minutes': minutes,
            'uncorrected_ms': abs(ppm) * 1e-6 * minutes * 60e3,
            'first_10_s_max_ms': 1e3 * float(np.abs(shifts_s[:10]).max()),
            'after_60_s_max_ms': 1e3 * float(np.abs(shifts_s[60:]).max()),
            'last_60_s_max_ms': 1e3 * float(np.abs(shifts_s[-60:]).max()),
            'steepest_us_per_s': 1e6 * float(np.abs(np.diff(shifts_s[10:])).max()),
        }


def _shifts_s(drift: float, jitter_s: float, minutes: float) -> list[float]:
    """Return how late the sound of each unit is, by the phase of a tone [s]."""
    tone_hz, rate_hz, length = 20.0, 16_000, 320
    shifts_s: list[float] = []

    def listen(unit: MultimodalUnit) -> None:
        time_s = (unit.start_ns - T0_NS) * 1e-9 + np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
        phase = np.angle(np.sum(unit.audio * np.exp(-2j * np.pi * tone_hz * time_s)))
        shifts_s.append(-float(phase) / (2 * np.pi * tone_hz))

    synchronizer = UnitSynchronizer(SynchronizerConfig(expect_video=False), on_unit=listen)
    random = np.random.default_rng(0)
    period_s = 1 / (rate_hz * (1 + drift))
    for number in range(int(minutes * 60 * rate_hz / length)):
        begin = number * length
        samples = np.cos(2 * np.pi * tone_hz * (begin + np.arange(length)) * period_s)
        stamp_s = begin * period_s + random.uniform(-jitter_s, jitter_s)
        synchronizer.add_audio(
            T0_NS + round(stamp_s * 1e9), samples.astype(np.float32), rate_hz=rate_hz
        )
    counters = synchronizer.counters
    assert counters.audio_chunks_late == counters.audio_chunks_doubled == 0
    return shifts_s


def measure_resampler() -> Iterator[Row]:
    """Tones through the resampler: noise, pass band, and what folds back."""
    for rate_hz in (8000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000, 16_000):
        resampler = Resampler(rate_hz, SAMPLE_RATE_HZ)
        band_hz = min(rate_hz, SAMPLE_RATE_HZ) / 2
        play = partial(_play_tone, resampler, rate_hz)
        noise_db = max(
            _db(np.mean((out - exact) ** 2) / np.mean(exact**2))
            for out, exact in (play(share * band_hz) for share in np.linspace(0.01, 0.88, 30))
        )
        gains = [
            (share, _db(np.mean(out * exact) ** 2 / np.mean(exact**2) ** 2))
            for share in np.linspace(0.85, 1, 61)
            for out, exact in [play(share * band_hz)]
        ]
        above_hz = np.linspace(1.1 * band_hz, 0.99 * rate_hz / 2, 20)
        is_lower = rate_hz > 1.2 * SAMPLE_RATE_HZ
        yield {
            'rate_hz': rate_hz,
            'taps': 2 * resampler.half_width,
            'noise_db': noise_db,
            'passband_to_hz': band_hz * max(share for share, gain in gains if gain > -0.1),
            'alias_db': max(_db(2 * np.mean(play(f)[0] ** 2)) for f in above_hz)
            if is_lower
            else None,
        }


def _play_tone(
    resampler: Resampler, rate_hz: int, frequency_hz: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return one second of a resampled tone, and the exact one."""
    first, step = 0.4 * rate_hz + 0.3, rate_hz / SAMPLE_RATE_HZ * (1 + 50e-6)
    omega = 2 * np.pi * frequency_hz / rate_hz
    tone = np.sin(omega * np.arange(2 * rate_hz)).astype(np.float32)
    out = resampler.interpolate(tone, first=first, step=step, count=SAMPLE_RATE_HZ)
    return out, np.sin(omega * (first + step * np.arange(SAMPLE_RATE_HZ)))


def _db(power: float) -> float:
    return float(10 * np.log10(power + 1e-30))


def measure_cost(seconds: int = 60) -> Iterator[Row]:
    """Messages of a 30 fps camera and a microphone through the unit filter, as in the node."""
    for name, (encoding, rate_hz, drift_ppm) in INPUTS.items():
        messages = make_messages(encoding, rate_hz, drift_ppm, seconds)
        units: list[MultimodalUnit] = []
        unit_filter = UnitFilter(now_ns=lambda: T0_NS)
        unit_filter.registerCallback(units.append)
        unit_ms = []
        begin_s = time.process_time()
        for message in messages:
            before, num_units = time.perf_counter(), len(units)
            feed(unit_filter, [message])
            if len(units) > num_units:
                unit_ms.append(1e3 * (time.perf_counter() - before))
        cpu_s = time.process_time() - begin_s
        assert len(units) >= seconds - 1
        yield {
            'input': name,
            'cpu_percent_of_a_core': 100 * cpu_s / seconds,
            'closing_a_unit_p50_ms': float(np.median(unit_ms)),
            'closing_a_unit_max_ms': max(unit_ms),
        }


def print_rows(title: str, rows: list[Row]) -> None:
    """Print rows as a Markdown table."""
    print(f'\n{title}\n')
    names = list(rows[0])
    print('| ' + ' | '.join(names) + ' |')
    print('|' + '---|' * len(names))
    for row in rows:
        cells = (f'{v:.4g}' if isinstance(v, float) else str(v) for v in row.values())
        print('| ' + ' | '.join(cells) + ' |')


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--json', type=Path, metavar='PATH', help='write the figures there')
    parser.add_argument('--minutes', type=float, default=35, help='length of the drift streams')
    parser.add_argument('--only', choices=['claps', 'drift', 'resampler', 'cost'])
    arguments = parser.parse_args()
    measurements: dict[str, Callable[[], Iterator[Row]]] = {
        'claps': measure_claps,
        'drift': lambda: measure_drift(arguments.minutes),
        'resampler': measure_resampler,
        'cost': measure_cost,
    }
    results = {}
    for name, measure in measurements.items():
        if arguments.only in (None, name):
            results[name] = list(measure())
            print_rows(name, results[name])
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + '\n')


if __name__ == '__main__':
    main()
