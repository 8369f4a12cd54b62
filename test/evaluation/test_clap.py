import numpy as np
import pytest

from roma_ros.evaluation.clap import find_clap

RATE_HZ = 48_000


def frames(flash_index, *, rate_hz=30, level=235.0):
    """Ten seconds of dark frames with one bright one."""
    return [
        (index * 10**9 // rate_hz, level if index == flash_index else 20.0)
        for index in range(10 * rate_hz)
    ]


def track(click_s, *, peak=0.9):
    stamps = np.arange(2 * RATE_HZ) * 10**9 // RATE_HZ
    samples = np.random.default_rng(1).normal(0, 0.005, 2 * RATE_HZ).astype(np.float32)
    if click_s is not None:
        samples[round(click_s * RATE_HZ) :][:200] = peak
    return stamps, samples


@pytest.mark.parametrize(('click_s', 'offset_ms'), [(0.5, 0.0), (0.53, 30.0), (0.4, -100.0)])
def test_offset_is_measured_to_the_sample(click_s, offset_ms):
    clap = find_clap(frames(15), *track(click_s))
    assert clap.flash_ns == 500_000_000
    assert clap.offset_ms == pytest.approx(offset_ms, abs=1000 / RATE_HZ)


@pytest.mark.parametrize(
    ('luminance', 'sound'),
    [
        (frames(15, level=100), track(0.5)),  # no flash
        (frames(15), track(None)),  # no click
        (frames(15), track(0.5, peak=0.1)),  # too quiet
        (frames(15), track(1.2)),  # too far away
        (frames(250), track(0.5)),  # no sound there
        ([], track(0.5)),
        (frames(15), (np.empty(0, np.int64), np.empty(0, np.float32))),
    ],
)
def test_half_a_clap_is_none(luminance, sound):
    assert find_clap(luminance, *sound) is None
