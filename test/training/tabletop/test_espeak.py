import hashlib
import platform

import numpy as np
import pytest

pytest.importorskip('espeakng_loader', reason='espeakng-loader is not installed')

from roma_ros.training.tabletop.espeak import synthesize


def test_a_sentence_does_not_depend_on_what_was_said_before():
    # This variant is breathy and flutters: the library's random numbers are heard.
    first = synthesize('the red ball', voice='en-us+f2')
    synthesize('something else', voice='en+m1', speed=1.3)
    again = synthesize('the red ball', voice='en-us+f2')
    np.testing.assert_array_equal(first.samples, again.samples)
    assert first.words == again.words


@pytest.mark.skipif(platform.machine() != 'x86_64', reason='digest taken on x86-64')
def test_a_sentence_is_the_same_on_every_machine_and_day():
    speech = synthesize('the red ball', voice='en-us+f2')
    digest = hashlib.sha256(speech.samples.astype('<i2').tobytes()).hexdigest()
    assert digest.startswith('1daa37453feac238')


def test_words_are_in_order_and_touch():
    speech = synthesize('Tell me when the bell rings.', voice='en-us')
    assert [word for word, _, _ in speech.words] == ['tell', 'me', 'when', 'the', 'bell', 'rings']
    bounds = [sample for _, begin, end in speech.words for sample in (begin, end)]
    assert bounds == sorted(bounds)
    assert bounds[0] < bounds[-1] <= len(speech.samples)
    assert len(speech.samples) / speech.rate_hz == pytest.approx(1.6, abs=0.4)


def test_words_said_as_one_are_told_apart():
    # espeak-ng has "of the" in its dictionary as one word.
    speech = synthesize('the color of the ball', voice='en-us')
    words = {word: (begin, end) for word, begin, end in speech.words[1:]}
    assert list(words) == ['color', 'of', 'the', 'ball']
    for begin, end in words.values():
        assert 0.05 <= (end - begin) / speech.rate_hz <= 0.5


def test_words_said_as_one_are_parted_between_phonemes():
    # "was the" is one too. The voiced hiss of "s" ends where "the" begins.
    speech = synthesize('what was the last sound', voice='en-us')
    assert [word for word, _, _ in speech.words] == ['what', 'was', 'the', 'last', 'sound']
    _, begin, end = speech.words[1]

    def hiss(start: int, stop: int) -> float:
        spectrum = np.square(np.abs(np.fft.rfft(speech.samples[start:stop].astype(float), 4096)))
        return spectrum[700:].sum() / spectrum.sum()

    quarter = (end - begin) // 4
    assert hiss(end - quarter, end) > 3 * hiss(begin, begin + quarter)


@pytest.mark.parametrize('text', ['"What is that?" -- a bell', '-- what is (that) a bell'])
def test_punctuation_is_no_word(text):
    speech = synthesize(text, voice='en-us')
    assert [word for word, _, _ in speech.words] == ['what', 'is', 'that', 'a', 'bell']
    assert all(begin < end for _, begin, end in speech.words)


def test_a_pause_belongs_to_no_word():
    speech = synthesize('yellow, many', voice='en-us')
    (_, _, end), (_, begin, _) = speech.words
    assert (begin - end) / speech.rate_hz > 0.1
    assert np.abs(speech.samples[end + 200 : begin - 200]).max() < 100


def test_speed_and_pitch_are_factors():
    plain = synthesize('where is the yellow ring', voice='en-us')
    fast = synthesize('where is the yellow ring', voice='en-us', speed=1.25)
    assert len(plain.samples) / len(fast.samples) == pytest.approx(1.25, abs=0.1)
    high = synthesize('where is the yellow ring', voice='en-us', pitch=1.25)
    assert _pitch_hz(high) / _pitch_hz(plain) == pytest.approx(1.25, abs=0.08)


def test_an_unknown_voice_is_refused():
    with pytest.raises(ValueError, match="no voice 'xx-nowhere'"):
        synthesize('hello', voice='xx-nowhere')


def test_text_without_words_is_refused():
    with pytest.raises(ValueError, match='no times for the words'):
        synthesize('...', voice='en-us')


def _pitch_hz(speech) -> float:
    """Median of the strongest period, 60 to 300 Hz, over the loud frames."""
    rate = speech.rate_hz
    frames = np.lib.stride_tricks.sliding_window_view(speech.samples.astype(float), 1024)[::512]
    loud = frames[np.abs(frames).max(axis=1) > 0.3 * np.abs(frames).max()]
    shortest, longest = rate // 300, rate // 60
    lags = [
        shortest + np.argmax([frame[lag:] @ frame[:-lag] for lag in range(shortest, longest)])
        for frame in loud
    ]
    return float(rate / np.median(lags))
