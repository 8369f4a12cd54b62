import numpy as np
import pytest

from roma_ros.units.echo import BLOCK, EchoCanceller, TAIL_S
from roma_ros.units.unit import SAMPLE_RATE_HZ

RATE = SAMPLE_RATE_HZ


def speech(seed: int, seconds: int) -> np.ndarray:
    """Return what is like speech: syllables of a voice that glides, and of breath, and pauses."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(seconds * RATE) / RATE
    pitch = 110 + 30 * (seed % 3) + 20 * np.sin(2 * np.pi * 0.7 * time_s + seed)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 30))
    breath = rng.standard_normal(len(time_s))
    syllables = np.repeat(rng.choice([0.0, 0.4, 1.0], seconds * 5), RATE // 5)
    is_breath = np.repeat(rng.random(seconds * 5) < 0.4, RATE // 5)
    return 0.1 * syllables * np.where(is_breath, breath, voice)


def room(seed: int = 0, delay_s: float = 0.06) -> np.ndarray:
    """Return how a loudspeaker reaches the microphone: late, and by many ways."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(0.2 * RATE)) / RATE
    response = rng.standard_normal(len(time_s)) * np.exp(-time_s / 0.03)
    response = response / np.linalg.norm(response) * 0.6
    return np.concatenate([np.zeros(round(delay_s * RATE)), response])


def echo_of(played: np.ndarray, response: np.ndarray) -> np.ndarray:
    size = len(played) + len(response)
    spectrum = np.fft.rfft(played, size) * np.fft.rfft(response, size)
    return np.fft.irfft(spectrum, size)[: len(played)]


def run(canceller: EchoCanceller, heard: np.ndarray, played: np.ndarray) -> np.ndarray:
    """Return what is left, second by second as units come."""
    heard, played = heard.astype(np.float32), played.astype(np.float32)
    seconds = range(0, len(heard), RATE)
    return np.concatenate(
        [canceller.subtract(heard[b : b + RATE], played[b : b + RATE]) for b in seconds]
    )


def power_db(samples: np.ndarray) -> float:
    return 10 * np.log10(np.mean(np.square(samples, dtype=float)) + 1e-12)


def test_an_echo_is_silenced_first_and_subtracted_soon():
    played = speech(1, 12)
    noise = np.random.default_rng(9).standard_normal(len(played)) * 1e-4
    echo = echo_of(played, room())
    canceller = EchoCanceller()
    left = run(canceller, echo + noise, played)
    assert canceller.is_learnt
    for second in range(12):
        part = slice(second * RATE, (second + 1) * RATE)
        # Never above what is left of an echo that has been subtracted.
        assert power_db(left[part]) < power_db(echo[part]) - 8
    assert power_db(left[6 * RATE :]) < power_db(echo[6 * RATE :]) - 15


def test_who_speaks_while_the_loudspeaker_plays_is_heard():
    played, operator = speech(1, 20), speech(2, 20)
    operator[: 10 * RATE] = 0.0  # speaks up when the filter has learnt
    echo = echo_of(played, room())
    canceller = EchoCanceller()
    left = run(canceller, echo + operator, played)
    late = slice(11 * RATE, None)
    error = left[late] - operator[late]
    assert power_db(operator[late]) - power_db(error) > 10
    assert power_db(operator[late]) - power_db(echo[late]) < 8  # which it was not before


def test_nothing_changes_where_nothing_is_played():
    heard = speech(2, 4).astype(np.float32)
    left = run(EchoCanceller(), heard, np.zeros_like(heard))
    np.testing.assert_array_equal(left, heard)


def test_what_is_heard_after_the_echo_has_died_away_passes_at_once():
    played, operator = speech(1, 6), speech(2, 6)
    played[2 * RATE :] = 0.0
    left = run(EchoCanceller(), echo_of(played, room()) + operator, played)
    begin = round((2 + TAIL_S) * RATE) + 2 * BLOCK
    expected = (echo_of(played, room()) + operator).astype(np.float32)
    np.testing.assert_array_equal(left[begin:], expected[begin:])


def test_another_room_is_learnt_anew():
    played = speech(1, 24)
    first, second = (echo_of(played, room(seed)) for seed in (0, 5))
    heard = np.concatenate([first[: 10 * RATE], second[10 * RATE :]])
    left = run(EchoCanceller(), heard, played)
    assert power_db(left[18 * RATE :]) < power_db(heard[18 * RATE :]) - 12


@pytest.mark.parametrize(('num_heard', 'num_played'), [(320, 640), (300, 300)])
def test_sounds_of_other_lengths_are_refused(num_heard, num_played):
    with pytest.raises(ValueError, match='multiple of 320'):
        EchoCanceller().subtract(np.zeros(num_heard, np.float32), np.zeros(num_played, np.float32))
