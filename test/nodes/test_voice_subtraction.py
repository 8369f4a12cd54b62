"""What is played, subtracted from units: with the real voice, where it is installed."""

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from roma_ros.nodes.conversions import Chunk
from roma_ros.nodes.voice_subtraction import VoiceSubtraction
from roma_ros.units.unit import MultimodalUnit, SAMPLE_RATE_HZ, UNIT_NS, UnitFlag

RATE = SAMPLE_RATE_HZ
BEGIN_NS = 1_700_000_000 * UNIT_NS
SECONDS = 14


def unit(index, audio, flags=UnitFlag.NONE):
    start_ns = BEGIN_NS + index * UNIT_NS
    return MultimodalUnit(
        index=index,
        start_ns=start_ns,
        end_ns=start_ns + UNIT_NS,
        frames=np.zeros((0, 1, 1, 3), np.uint8),
        frame_stamps_ns=(),
        audio=audio.astype(np.float32),
        flags=flags,
    )


def chunks(samples, rate_hz, begin_s=0.0):
    """Yield what the speaker tells of, 20 ms at a time."""
    size = rate_hz // 50
    for begin in range(0, len(samples), size):
        stamp_ns = BEGIN_NS + round(begin_s * UNIT_NS) + begin * UNIT_NS // rate_hz
        part = samples[begin : begin + size, None].astype(np.float32)
        yield Chunk(stamp_ns, part, rate_hz=rate_hz, first_sample=stamp_ns * rate_hz // UNIT_NS)


@pytest.fixture(scope='module')
def voice():
    """Return some seconds of the robot's own voice, 24 kHz."""
    pytest.importorskip('hibari', reason='hibari-tts is not installed')
    from roma_ros.nodes.voices import make_voice

    samples, rate_hz = make_voice(()).speak(
        'A red ball rolls in from the left, and a blue cup stands behind it. The bell rings. '
        'Now somebody comes in, takes the cup and leaves again. The ball comes to a rest.'
    )
    assert rate_hz == 24_000
    repeated = np.resize(samples / 32768, SECONDS * rate_hz)
    return repeated.astype(np.float32)


def heard_in_a_room(voice):
    """Return the voice at the microphone: 16 kHz, 70 ms late, with reverberation."""
    time_s = np.arange(len(voice) * 2 // 3) / RATE
    at_rate = np.interp(time_s, np.arange(len(voice)) / 24_000, voice)
    rng = np.random.default_rng(0)
    tail_s = np.arange(round(0.15 * RATE)) / RATE
    response = rng.standard_normal(len(tail_s)) * np.exp(-tail_s / 0.025)
    response = np.concatenate(
        [np.zeros(round(0.07 * RATE)), 0.5 * response / np.abs(response).max()]
    )
    size = len(at_rate) + len(response)
    return np.fft.irfft(np.fft.rfft(at_rate, size) * np.fft.rfft(response, size), size)[
        : len(at_rate)
    ]


def power_db(samples):
    return 10 * np.log10(np.mean(np.square(samples, dtype=float)) + 1e-12)


def test_the_robots_voice_goes_and_the_operators_stays(voice):
    subtraction = VoiceSubtraction()
    heard = heard_in_a_room(voice)
    rng = np.random.default_rng(1)
    operator = np.zeros_like(heard)  # speaks up in the last seconds: breath, in syllables
    late = slice((SECONDS - 3) * RATE, SECONDS * RATE)
    syllables = np.repeat(rng.choice([0.0, 1.0], 3 * 5), RATE // 5)
    operator[late] = 0.1 * syllables * rng.standard_normal(3 * RATE)
    played = list(chunks(voice, 24_000))
    left = []
    for index in range(SECONDS):
        for chunk in played[50 * index : 50 * (index + 1) + 5]:
            subtraction.add(chunk)
        second = slice(index * RATE, (index + 1) * RATE)
        left.append(subtraction.apply(unit(index, heard[second] + operator[second])).audio)
    left = np.concatenate(left)
    before = slice(6 * RATE, (SECONDS - 3) * RATE)
    assert power_db(left[before]) < power_db(heard[before]) - 10
    assert power_db(left[late] - operator[late]) < power_db(operator[late]) - 8


def test_without_anything_played_units_stay_as_they_are():
    subtraction = VoiceSubtraction()
    given = unit(0, np.ones(RATE) * 0.1)
    assert subtraction.apply(given) is given
    assert not subtraction.covers(BEGIN_NS)


def test_what_is_played_covers_its_time_and_a_jump_of_the_clock_ends_that(voice):
    subtraction = VoiceSubtraction()
    for chunk in chunks(voice[:24_000], 24_000):
        subtraction.add(chunk)
    assert subtraction.covers(BEGIN_NS + UNIT_NS)
    assert not subtraction.covers(BEGIN_NS + 4 * UNIT_NS)
    subtraction.apply(unit(0, np.zeros(RATE), UnitFlag.CLOCK_JUMP))
    assert not subtraction.covers(BEGIN_NS + UNIT_NS)
    with pytest.raises(ValueError, match='no rate or no samples'):
        subtraction.add(Chunk(0, np.zeros((0, 1), np.float32), rate_hz=16_000, first_sample=0))
