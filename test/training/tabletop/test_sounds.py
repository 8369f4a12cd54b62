from hypothesis import given, strategies as st
import numpy as np
import pytest

from roma_ros.model.processor import UnitProcessor
from roma_ros.training.tabletop.sounds import (
    make_sound,
    MAX_SOUND_S,
    MIN_SOUND_S,
    PEAK,
    SOUNDS,
)

RATE_HZ = 16_000


def picture(name: str, seed: int) -> np.ndarray:
    """Summarise two seconds with the sound as the network sees them."""
    rng = np.random.default_rng(seed)
    sound = make_sound(name, rng)
    audio = rng.normal(0, 1e-4, 2 * RATE_HZ).astype(np.float32)
    audio[: len(sound)] += sound
    log_mel = UnitProcessor().log_mel(audio)
    change = np.abs(np.diff(log_mel, axis=1))
    return np.concatenate([log_mel.mean(axis=1), change.mean(axis=1), log_mel.max(axis=1)])


@given(st.sampled_from(SOUNDS), st.integers(0, 2**32))
def test_every_draw_is_a_sound(name, seed):
    samples = make_sound(name, np.random.default_rng(seed))
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert MIN_SOUND_S <= len(samples) / RATE_HZ <= MAX_SOUND_S
    assert np.abs(samples).max() == pytest.approx(PEAK)
    # It begins at once and, at its end, does not break off.
    assert np.abs(samples[: RATE_HZ // 10]).max() > 0.1 * PEAK
    assert abs(samples[-1]) < 0.02 * PEAK
    assert abs(samples.mean()) < 0.02 * PEAK


@pytest.mark.parametrize('name', SOUNDS)
def test_a_seed_gives_one_sound_and_another_seed_another(name):
    first, again, other = (make_sound(name, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len(other) != len(first) or not np.allclose(other, first, atol=0.01)


def test_sounds_are_told_apart_by_the_nearest_mean():
    means = np.array(
        [np.mean([picture(name, seed) for seed in range(20)], axis=0) for name in SOUNDS]
    )
    hits = [
        name == SOUNDS[np.argmin(np.sum(np.square(means - picture(name, seed)), axis=1))]
        for name in SOUNDS
        for seed in range(1000, 1015)
    ]
    assert np.mean(hits) >= 0.95


def test_a_siren_glides_and_a_beep_stays():
    def moves(name: str) -> float:
        spread = []
        for seed in range(10):
            log_mel = UnitProcessor().log_mel(make_sound(name, np.random.default_rng(seed)))
            loud = log_mel.max(axis=0) > log_mel.max() - 0.3
            spread.append(np.ptp(log_mel[:, loud].argmax(axis=0)))
        return float(np.median(spread))

    assert moves('beep') <= 2
    assert moves('siren') >= 8


def test_an_unknown_sound_is_refused():
    with pytest.raises(ValueError, match="no sound 'drum'; there are bell, beep"):
        make_sound('drum', np.random.default_rng(0))
