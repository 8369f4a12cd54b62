"""The clock of a sound card, found from stamps."""

import numpy as np
import pytest

from roma_ros.units.sample_clock import SampleClock

T0_NS = 1_700_000_000_000_000_000


def observe(
    clock: SampleClock, count: int, *, drift: float, jitter_s: float = 0.0, begin: int = 0
) -> float:
    """Feed stamps of 10 ms chunks; return the error at the end [s]."""
    jitters_s = np.random.default_rng(0).uniform(-jitter_s, jitter_s, count)
    last_ns = None
    for number in range(begin, begin + count):
        exact_s = number * 0.01 / (1 + drift)
        stamp_ns = T0_NS + round((exact_s + jitters_s[number - begin]) * 1e9)
        if last_ns is not None:
            clock.add_difference(stamp_ns - last_ns, 160)
        last_ns = stamp_ns
        if number % 10 == 9:
            clock.measure_noise()
        clock.observe(160 * number, stamp_ns)
    exact_ns = T0_NS + round((begin + count) * 0.01 / (1 + drift) * 1e9)
    return clock.error_s(exact_ns, index=160 * (begin + count))


@pytest.mark.parametrize('drift', [-200e-6, 0.0, 37e-6, 200e-6])
def test_exact_stamps_are_followed_at_once(drift: float) -> None:
    clock = SampleClock(16_000, index=0, stamp_ns=T0_NS)

    assert abs(observe(clock, 20, drift=drift)) < 1e-7
    assert clock.noise_s == pytest.approx(1e-6, abs=2e-6)
    assert clock.period_s * 16_000 - 1 == pytest.approx(-drift, abs=1e-6)


def test_jittered_stamps_are_averaged() -> None:
    clock = SampleClock(16_000, index=0, stamp_ns=T0_NS)

    assert abs(observe(clock, 60_000, drift=100e-6, jitter_s=0.02)) < 0.5e-3
    assert clock.noise_s == pytest.approx(0.0115, rel=0.3)


def test_index_and_time_are_inverse() -> None:
    clock = SampleClock(44_100, index=1000, stamp_ns=T0_NS)
    clock.observe(1000, T0_NS)

    assert clock.index_at(T0_NS + 1_000_000_000) == pytest.approx(45_100, abs=1e-6)
    assert clock.error_s(T0_NS + 1_000_000_000, index=45_100) == pytest.approx(0, abs=1e-10)


def test_a_single_stray_stamp_is_void_and_a_lasting_step_is_not() -> None:
    clock = SampleClock(16_000, index=0, stamp_ns=T0_NS)
    observe(clock, 100, drift=0)
    clock.observe(16_000, T0_NS + 1_003_000_000)
    assert abs(clock.error_s(T0_NS + 1_010_000_000, index=16_160)) < 1e-7

    for number in range(1, 4):
        clock.observe(16_000 + 160 * number, T0_NS + 1_003_000_000 + number * 10_000_000)
    assert abs(clock.error_s(T0_NS + 1_043_000_000, index=16_640)) < 1e-4


def test_a_change_of_drift_is_followed() -> None:
    clock = SampleClock(16_000, index=0, stamp_ns=T0_NS)
    observe(clock, 500, drift=0)
    # From 5 s on the ROS clock is slewed by 500 ppm, as chrony and ntpd do.
    for number in range(500, 600):
        clock.observe(160 * number, T0_NS + round((5 + (number - 500) * 0.010005) * 1e9))
    exact_ns = T0_NS + round((5 + 100 * 0.010005) * 1e9)
    assert abs(clock.error_s(exact_ns, index=96_000)) < 2e-6


def test_uncertainty_grows_with_distance() -> None:
    clock = SampleClock(16_000, index=0, stamp_ns=T0_NS)
    observe(clock, 100, drift=0)

    assert clock.uncertainty_s(16_000) < clock.uncertainty_s(160_000) < 1e-3


def test_older_samples_teach_nothing() -> None:
    clock = SampleClock(16_000, index=0, stamp_ns=T0_NS)
    observe(clock, 100, drift=0)
    before_s = clock.error_s(T0_NS + 2_000_000_000, index=32_000)
    clock.observe(0, T0_NS + 5_000_000)

    assert clock.error_s(T0_NS + 2_000_000_000, index=32_000) == before_s
