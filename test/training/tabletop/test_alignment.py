import numpy as np
import pytest

pytest.importorskip('espeakng_loader', reason='espeakng-loader is not installed')

from roma_ros.training.tabletop.alignment import carry_words
from roma_ros.training.tabletop.voices import speak

SENTENCES = (
    'what is the color of the ball',
    'tell me when the bell rings while the red ball is in view',
    'where is the yellow star',
)


@pytest.mark.parametrize(('said', 'heard'), [('en-us+f2', 'en-us+Michael'), ('en+f4', 'en-us+m3')])
def test_words_are_found_in_another_voice_at_another_speed(said, heard, tmp_path):
    errors_s, stretched_errors_s = [], []
    for text in SENTENCES:
        a = speak(text, voice=said, cache_folder=tmp_path)
        b = speak(text, voice=heard, speed=0.8, cache_folder=tmp_path)
        carried = carry_words(a.words, a.samples, b.samples)
        assert [word for word, _, _ in carried] == text.split()
        for old, new, true in zip(a.words[1:], carried[1:], b.words[1:], strict=True):
            errors_s.append(abs(new[1] - true[1]))
            stretched_errors_s.append(abs(old[1] * b.duration_s / a.duration_s - true[1]))
    assert np.mean(errors_s) < 0.01
    assert max(errors_s) < 0.04
    assert np.mean(errors_s) < 0.5 * np.mean(stretched_errors_s)


def test_a_sentence_laid_over_itself_keeps_its_times(tmp_path):
    utterance = speak(SENTENCES[0], voice='en-us', cache_folder=tmp_path)
    carried = carry_words(utterance.words, utterance.samples, utterance.samples)
    for (_, *old), (_, *new) in zip(utterance.words, carried, strict=True):
        assert new == pytest.approx(old, abs=0.006)
    assert carried[0][1] == 0.0
    assert carried[-1][2] == utterance.duration_s
