"""Interpolation: exact in the pass band, silent beyond it, the same in pieces as at once."""

import itertools

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from roma_ros.units.resampler import Resampler

RATES_HZ = [8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000]


def tone(frequency_hz: float, rate_hz: int) -> np.ndarray:
    return np.sin(2 * np.pi * frequency_hz / rate_hz * np.arange(2 * rate_hz)).astype(np.float32)


@pytest.mark.parametrize('rate_hz', RATES_HZ)
@pytest.mark.parametrize('share', [0.02, 0.3, 0.6, 0.87])
def test_tones_in_the_pass_band_are_exact(rate_hz: int, share: float) -> None:
    frequency_hz = share * min(rate_hz, 16_000) / 2
    first, step = 0.4 * rate_hz + 0.123, rate_hz / 16_000 * (1 + 87e-6)
    out = Resampler(rate_hz, 16_000).interpolate(
        tone(frequency_hz, rate_hz), first=first, step=step, count=16_000
    )

    exact = np.sin(2 * np.pi * frequency_hz / rate_hz * (first + step * np.arange(16_000)))
    noise_db = 10 * np.log10(np.mean((out - exact) ** 2) / np.mean(exact**2))
    assert noise_db < -85


@pytest.mark.parametrize('rate_hz', [22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize('share', [1.12, 1.3, 2.0])
def test_tones_above_the_new_band_vanish(rate_hz: int, share: float) -> None:
    frequency_hz = share * 8000
    if frequency_hz > rate_hz / 2:
        pytest.skip('the source cannot carry it')
    out = Resampler(rate_hz, 16_000).interpolate(
        tone(frequency_hz, rate_hz), first=0.3 * rate_hz, step=rate_hz / 16_000, count=16_000
    )

    assert np.abs(out).max() < 10 ** (-80 / 20)


@pytest.mark.parametrize('rate_hz', RATES_HZ)
def test_a_constant_stays_constant(rate_hz: int) -> None:
    out = Resampler(rate_hz, 16_000).interpolate(
        np.ones(2 * rate_hz, np.float32), first=rate_hz / 3, step=rate_hz / 16_000, count=8000
    )

    np.testing.assert_allclose(out, 1, atol=1e-6)


@given(
    rate_hz=st.sampled_from(RATES_HZ[:7]),
    phase=st.floats(0, 1),
    cuts=st.lists(st.integers(1, 1999), max_size=5, unique=True),
)
@settings(max_examples=30, deadline=None)
def test_pieces_equal_the_whole(rate_hz: int, phase: float, cuts: list[int]) -> None:
    samples = np.random.default_rng(0).normal(size=rate_hz // 4).astype(np.float32)
    resampler, step = Resampler(rate_hz, 16_000), rate_hz / 16_000 * (1 + 1e-5)
    whole = resampler.interpolate(samples, first=phase, step=step, count=2000)
    edges = [0, *sorted(cuts), 2000]
    pieces = [
        resampler.interpolate(samples, first=phase + begin * step, step=step, count=end - begin)
        for begin, end in itertools.pairwise(edges)
    ]

    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)


def test_equal_rates_on_whole_samples_copy() -> None:
    samples = np.random.default_rng(0).normal(size=100).astype(np.float32)
    resampler = Resampler(16_000, 16_000)

    assert not resampler.needs_filter(10.00001, 1.0, 50)
    out = resampler.interpolate(samples, first=10.00001, step=1.0, count=50)
    np.testing.assert_array_equal(out, samples[10:60])
    # Half a sample aside, or drifting by one sample on the way, it is not a copy.
    assert resampler.needs_filter(10.5, 1.0, 50)
    assert resampler.needs_filter(10.0, 1 + 1 / 50, 50)
    assert Resampler(32_000, 16_000).needs_filter(10.0, 2.0, 50)


def test_outside_is_silence() -> None:
    samples = np.ones(100, np.float32)
    out = Resampler(16_000, 16_000).interpolate(samples, first=-200.5, step=1.0, count=500)

    assert out[:160].max() == out[-160:].max() == 0
    assert out[250] == pytest.approx(1, abs=1e-3)
