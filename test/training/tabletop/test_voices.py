from concurrent.futures import ThreadPoolExecutor
import os
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('espeakng_loader', reason='espeakng-loader is not installed')

from roma_ros.training.tabletop import voices
from roma_ros.training.tabletop.voices import (
    default_cache_folder,
    HIBARI,
    PITCHES,
    speak,
    SPEECH_RMS,
    SPEEDS,
    VOICES,
    warm,
)

ESPEAK_VOICES = [voice for voices in VOICES.values() for voice in voices if voice != HIBARI]
RATE_HZ = 16_000


def islands(samples: np.ndarray, share: float = 0.06) -> list[tuple[float, float]]:
    """Find where there is sound, with breaks of 60 ms or more between [s]."""
    power = np.convolve(np.square(samples), np.ones(80) / 80, 'same')
    loud = np.flatnonzero(power > share**2 * power.max())
    breaks = np.flatnonzero(np.diff(loud) > 0.06 * RATE_HZ)
    begins = [loud[0], *loud[breaks + 1]]
    ends = [*loud[breaks], loud[-1]]
    return [(b / RATE_HZ, e / RATE_HZ) for b, e in zip(begins, ends, strict=True)]


def test_no_voice_is_in_two_splits():
    every = [voice for voices in VOICES.values() for voice in voices]
    assert len(set(every)) == len(every)
    assert len(VOICES['train']) >= 10
    assert HIBARI in VOICES['test']


@pytest.mark.parametrize('voice', ESPEAK_VOICES)
def test_word_times_are_where_the_sound_is(voice, tmp_path):
    utterance = speak('yellow, many, rings', voice=voice, cache_folder=tmp_path)
    found = islands(utterance.samples)
    assert [word for word, _, _ in utterance.words] == ['yellow', 'many', 'rings']
    assert len(found) == 3
    for (_, start_s, end_s), (begin_s, stop_s) in zip(utterance.words, found, strict=True):
        assert start_s == pytest.approx(begin_s, abs=0.025)
        # Some variants have a slight echo.
        assert end_s == pytest.approx(stop_s, abs=0.06)


@pytest.mark.parametrize('voice', ESPEAK_VOICES)
def test_speech_fills_the_utterance_at_its_level(voice, tmp_path):
    utterance = speak('what is the color of the ball', voice=voice, cache_folder=tmp_path)
    samples = utterance.samples
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert np.abs(samples).max() < 1
    assert np.sqrt(np.mean(np.square(samples))) == pytest.approx(SPEECH_RMS, rel=0.1)
    assert utterance.duration_s == len(samples) / RATE_HZ
    assert utterance.words[0][1] < 0.02
    assert utterance.words[-1][2] == pytest.approx(utterance.duration_s)
    # No word is silence.
    for _, start_s, end_s in utterance.words:
        span = samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
        assert np.sqrt(np.mean(np.square(span))) > 0.2 * SPEECH_RMS


def test_voices_differ(tmp_path):
    spectra = []
    for voice in ESPEAK_VOICES:
        samples = speak('the yellow ring', voice=voice, cache_folder=tmp_path).samples
        power = np.square(np.abs(np.fft.rfft(samples, 1 << 16)))
        bands = np.log([band.sum() for band in np.array_split(power[100:], 60)])
        spectra.append(bands - bands.mean())
    distances = [
        np.sqrt(np.mean(np.square(a - b))) for i, a in enumerate(spectra) for b in spectra[:i]
    ]
    # One voice at two speeds differs by a third at most.
    assert min(distances) > 0.5


def test_speed_and_pitch_make_other_utterances(tmp_path):
    def say(**how):
        return speak('where is the star', voice='en-us', cache_folder=tmp_path, **how)

    assert say(speed=1.15).duration_s < say().duration_s < say(speed=0.85).duration_s
    high, plain = say(pitch=1.12), say()
    count = min(len(high.samples), len(plain.samples))
    assert not np.allclose(high.samples[:count], plain.samples[:count], atol=0.01)


def test_a_kept_utterance_equals_a_new_one(tmp_path):
    new = speak('you hear a bell', voice='en+f4', cache_folder=tmp_path)
    files = list(tmp_path.rglob('*.npz'))
    assert len(files) == 1
    stamp = files[0].stat().st_mtime_ns
    kept = speak('you hear a bell', voice='en+f4', cache_folder=tmp_path)
    assert files[0].stat().st_mtime_ns == stamp
    np.testing.assert_array_equal(new.samples, kept.samples)
    assert new.samples.dtype == kept.samples.dtype
    assert new.words == kept.words


def test_what_is_kept_is_what_is_said(tmp_path):
    # The second call reads the file of the first: change it and hear the change.
    speak('you hear a bell', voice='en+f4', cache_folder=tmp_path)
    other = speak('you hear a hum', voice='en+f4', cache_folder=tmp_path / 'other')
    (file,) = tmp_path.glob('??/*.npz')
    (other_file,) = (tmp_path / 'other').rglob('*.npz')
    os.replace(other_file, file)
    heard = speak('you hear a bell', voice='en+f4', cache_folder=tmp_path)
    assert heard.words == other.words


def test_a_broken_file_is_replaced(tmp_path, caplog):
    new = speak('glass breaks', voice='en-us', cache_folder=tmp_path)
    (file,) = tmp_path.rglob('*.npz')
    file.write_bytes(file.read_bytes()[:100])
    again = speak('glass breaks', voice='en-us', cache_folder=tmp_path)
    assert 'spoken again' in caplog.text
    np.testing.assert_array_equal(new.samples, again.samples)
    caplog.clear()
    speak('glass breaks', voice='en-us', cache_folder=tmp_path)
    assert not caplog.text


def test_a_pickled_file_is_not_opened(tmp_path, caplog):
    speak('glass breaks', voice='en-us', cache_folder=tmp_path)
    (file,) = tmp_path.rglob('*.npz')
    with file.open('wb') as out:
        np.savez(out, *[np.array([{'an': 'object'}], dtype=object)] * 4)
    assert speak('glass breaks', voice='en-us', cache_folder=tmp_path).words[0][0] == 'glass'
    assert 'spoken again' in caplog.text


def test_a_folder_that_cannot_be_written_is_told_of_once(tmp_path, caplog):
    in_the_way = tmp_path / 'file'
    in_the_way.write_text('')
    first = speak('glass breaks', voice='en-us', cache_folder=in_the_way)
    second = speak('glass breaks', voice='en-us', cache_folder=in_the_way)
    np.testing.assert_array_equal(first.samples, second.samples)
    assert caplog.text.count('are not kept') == 1


def test_several_writers_do_no_harm(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        heard = list(
            pool.map(
                lambda _: speak('the siren starts', voice='en-us', cache_folder=tmp_path), range(8)
            )
        )
    assert all(np.array_equal(heard[0].samples, other.samples) for other in heard)
    assert len(list(tmp_path.rglob('*.*'))) == 1


def test_another_process_says_the_same(tmp_path):
    code = (
        'import hashlib, sys; from pathlib import Path;'
        'from roma_ros.training.tabletop.voices import speak;'
        "u = speak('the red ball', voice='en-us+f2', cache_folder=Path(sys.argv[1]));"
        'print(hashlib.sha256(u.samples.tobytes()).hexdigest(), u.words)'
    )
    outs = [
        subprocess.run(
            [sys.executable, '-c', code, str(tmp_path / str(i))],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for i in range(2)
    ]
    assert outs[0] == outs[1]
    assert 'ball' in outs[0]


def test_warming_leaves_nothing_to_say(tmp_path, monkeypatch):
    steps = []
    count = warm(
        ('glass breaks',),
        split='validation',
        cache_folder=tmp_path,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert count == len(VOICES['validation']) * len(SPEEDS) * len(PITCHES)
    assert steps == [(i + 1, count) for i in range(count)]
    assert len(list(tmp_path.rglob('*.npz'))) == count
    monkeypatch.setattr(voices, 'synthesize', None)
    assert warm(('glass breaks',), split='validation', cache_folder=tmp_path) == count
    for voice in VOICES['validation']:
        heard = speak('glass breaks', voice=voice, speed=SPEEDS[0], cache_folder=tmp_path)
        assert len(heard.words) == 2


def test_the_default_folder_is_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert default_cache_folder() == tmp_path / 'roma_ros' / 'voices'
    speak('glass breaks', voice='en-us')
    assert list((tmp_path / 'roma_ros' / 'voices').rglob('*.npz'))
    monkeypatch.delenv('XDG_CACHE_HOME')
    assert default_cache_folder().is_relative_to(Path.home())


@pytest.mark.parametrize(
    ('text', 'how', 'message'),
    [
        ('hello', {'voice': 'en-us+bogus'}, "no voice 'en-us\\+bogus'; there are en-us"),
        ('hello', {'voice': 'en-us', 'speed': 3.0}, 'both may be 0.5 to 2'),
        ('hello', {'voice': 'en-us', 'pitch': 0.1}, 'both may be 0.5 to 2'),
        ('', {'voice': 'en-us'}, 'allowed are ASCII words'),
        ('où', {'voice': 'en-us'}, 'allowed are ASCII words'),
    ],
)
def test_wrong_requests_are_refused(text, how, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        speak(text, cache_folder=tmp_path, **how)


def test_hibari_speaks_with_word_times(tmp_path):
    pytest.importorskip('hibari', reason='requirements/demo.txt is not installed')
    text = 'tell me when the bell rings'
    utterance = speak(text, voice=HIBARI, speed=1.15, pitch=0.9, cache_folder=tmp_path)
    assert [word for word, _, _ in utterance.words] == text.split()
    # "the | b": the voice closes its lips before the burst of "bell".
    starts = {word: start_s for word, start_s, _ in utterance.words}
    power = np.convolve(np.square(utterance.samples), np.ones(160) / 160, 'same')
    begin = round((starts['bell'] - 0.03) * RATE_HZ)
    quietest = begin + np.argmin(power[begin : begin + round(0.14 * RATE_HZ)])
    assert power[quietest] < 0.02 * power.mean()
    assert quietest / RATE_HZ == pytest.approx(starts['bell'] + 0.03, abs=0.04)
