from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from roma_ros.training.tabletop.sounds import make_sound, SOUNDS
from roma_ros.training.tabletop.soundscape import Item, level, MAX_PEAK, mix

RATE_HZ = 16_000


def white(seconds: float, rms: float = 0.01, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rms * rng.standard_normal(round(seconds * RATE_HZ))).astype(np.float32)


def tone(seconds: float = 0.5, amplitude: float = 1.0) -> np.ndarray:
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (amplitude * np.sin(2 * np.pi * 1000 * time_s)).astype(np.float32)


def mix_(duration_s, items, noise, seed=0):
    return mix(duration_s, items, noise, np.random.default_rng(seed))


@pytest.mark.parametrize('snr_db', [3.0, 10.0, 25.0])
@pytest.mark.parametrize('amplitude', [0.001, 1.0])
def test_an_item_is_as_loud_over_the_noise_as_asked(snr_db, amplitude):
    noise = white(4)
    mixed = mix_(4, [Item(tone(amplitude=amplitude), 1.0, snr_db)], noise)
    heard = (mixed - noise)[RATE_HZ : RATE_HZ * 3 // 2]
    measured_db = 20 * np.log10(np.std(heard) / np.std(noise))
    # The echo of a steady tone adds to it or takes from it.
    assert measured_db == pytest.approx(snr_db, abs=3)


def test_levels_are_relative_to_the_noise_beneath():
    noise = white(4)
    noise[: 2 * RATE_HZ] *= 10
    mixed = mix_(4, [Item(tone(), 0.5, 10.0)], noise)
    heard = (mixed - noise)[RATE_HZ // 2 : RATE_HZ]
    assert 20 * np.log10(np.std(heard) / 0.1) == pytest.approx(10, abs=3)


def test_items_begin_where_they_are_placed():
    noise = white(4, rms=1e-4)
    items = [Item(tone(0.3), 2.25, 25.0), Item(tone(0.2), 0.5, 25.0)]
    heard = np.abs(mix_(4, items, noise) - noise)
    loud = np.flatnonzero(heard > 0.2 * heard.max())
    assert loud[0] / RATE_HZ == pytest.approx(0.5, abs=0.002)
    second = loud[loud > 1.5 * RATE_HZ]
    assert second[0] / RATE_HZ == pytest.approx(2.25, abs=0.002)
    assert np.abs(heard[: RATE_HZ // 2]).max() < 1e-7


def test_the_room_echoes_lightly_and_dies_away():
    shares = []
    for seed in range(20):
        noise = white(3, rms=1e-5, seed=seed)
        impulse = np.zeros(16, np.float32)
        impulse[0] = 1
        heard = mix_(3, [Item(impulse, 1.0, 25.0)], noise, seed) - noise
        direct, after = heard[RATE_HZ], heard[RATE_HZ + 1 :]
        shares.append(10 * np.log10(np.sum(np.square(after)) / direct**2))
        assert np.abs(heard[RATE_HZ + round(0.35 * RATE_HZ) :]).max() < 1e-3 * direct
        early, late = after[: RATE_HZ // 20], after[RATE_HZ // 20 : RATE_HZ // 5]
        assert np.sum(np.square(early)) > np.sum(np.square(late))
    assert min(shares) > -21
    assert max(shares) < -7
    assert max(shares) - min(shares) > 4


@given(
    st.lists(st.tuples(st.sampled_from(SOUNDS), st.floats(0, 3.99), st.floats(0, 60)), max_size=5),
    st.floats(1e-5, 0.5),
    st.integers(0, 1000),
)
@settings(max_examples=25)
def test_no_mix_clips(placed, noise_rms, seed):
    rng = np.random.default_rng(seed)
    items = [Item(make_sound(name, rng), start_s, snr) for name, start_s, snr in placed]
    mixed = mix(4, items, white(4, noise_rms, seed), rng)
    assert mixed.dtype == np.float32
    assert mixed.shape == (4 * RATE_HZ,)
    assert np.isfinite(mixed).all()
    assert np.abs(mixed).max() <= MAX_PEAK + 1e-6


def test_a_loud_mix_is_made_quieter_as_a_whole():
    noise = white(2, rms=0.05)
    mixed = mix_(2, [Item(tone(), 1.0, 40.0)], noise)
    assert np.abs(mixed).max() == pytest.approx(MAX_PEAK, abs=1e-4)
    share = mixed[: RATE_HZ // 2] / noise[: RATE_HZ // 2]
    assert share == pytest.approx(float(share[0]), rel=1e-4)
    assert share[0] < 0.5


def test_a_seed_gives_one_mix_and_inputs_stay_as_they_are():
    noise, samples = white(2), tone()
    kept = noise.copy(), samples.copy()
    items = [Item(samples, 0.5, 10.0)]
    np.testing.assert_array_equal(mix_(2, items, noise, 1), mix_(2, items, noise, 1))
    assert not np.array_equal(mix_(2, items, noise, 1), mix_(2, items, noise, 2))
    np.testing.assert_array_equal(noise, kept[0])
    np.testing.assert_array_equal(samples, kept[1])


def test_what_reaches_past_the_end_is_cut():
    noise = white(1)
    mixed = mix_(1, [Item(tone(2.0), 0.75, 20.0)], noise)
    assert mixed.shape == (RATE_HZ,)
    assert np.std(mixed[-2000:]) > 5 * np.std(noise)


def test_pauses_do_not_count_in_the_level():
    hit = tone(0.1, 0.4)
    pause = np.zeros(RATE_HZ // 2, np.float32)
    assert level(np.concatenate([hit, pause, hit])) == pytest.approx(level(hit), rel=0.05)
    assert level(tone(1.0, 0.4)) == pytest.approx(0.4 / np.sqrt(2), rel=0.01)


def test_mixes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match='for a mix of 32000 samples'):
        mix_(2, [], white(1))
    with pytest.raises(ValueError, match=r'begins at 2.0 s of 2 s'):
        mix_(2, [Item(tone(), 2.0, 10.0)], white(2))
    with pytest.raises(ValueError, match='the noise is silent'):
        mix_(1, [Item(tone(), 0.5, 10.0)], np.zeros(RATE_HZ, np.float32))
    assert not mix_(1, [], np.zeros(RATE_HZ, np.float32)).any()
