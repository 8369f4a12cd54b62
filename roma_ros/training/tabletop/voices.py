"""Spoken sentences with the times of their words, in several voices, kept on disk."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
import hashlib
from importlib.metadata import PackageNotFoundError, version
from itertools import product
import json
import logging
import os
from pathlib import Path
import tempfile
from typing import Any
import zipfile

import numpy as np
import numpy.typing as npt

from ...units.resampler import Resampler
from ...units.unit import SAMPLE_RATE_HZ
from .alignment import carry_words
from .espeak import synthesize
from .labels import Split

#: The voice of hibari-tts, a neural network unlike all other voices; heard in the test only.
HIBARI = 'hibari'
#: Voices by split: accents and variants of espeak-ng, and hibari.
VOICES: Mapping[Split, tuple[str, ...]] = {
    'train': (
        'en-us',
        'en-us+f2',
        'en-us+m3',
        'en-us+klatt4',
        'en-us+Andy',
        'en+f4',
        'en+m1',
        'en-gb-x-rp+f1',
        'en-gb-scotland+m7',
        'en-029+f3',
        'en-us-nyc+m2',
    ),
    'validation': ('en-gb-x-gbclan+m4', 'en-us+linda'),
    'test': ('en-gb-x-gbcwmd+f5', 'en-us+Michael', HIBARI),
}
#: Factors of speed and pitch to draw from: few, so that sentences are met again in the cache.
SPEEDS = (0.85, 1.0, 1.15)
PITCHES = (0.9, 1.0, 1.12)

#: Level of every utterance: root mean square of its samples.
SPEECH_RMS = 0.1

_Samples = npt.NDArray[np.float32]

_log = logging.getLogger(__name__)
#: Raised when the same arguments come to give other samples or times.
_VERSION = 3
_PACKAGES = {'espeak': 'espeakng-loader', HIBARI: 'hibari-tts'}
_PINNED = {'espeakng-loader': '0.2.4', 'hibari-tts': '0.2.1'}
#: Samples below this share of the loudest one are silence before and after an utterance.
_SILENCE = 0.02


@dataclass(frozen=True, eq=False)
class Utterance:
    """
    One spoken sentence without silence around it.

    :param samples: float32 ``[n]``, mono, 16 kHz, at ``SPEECH_RMS``, or less: no peak reaches 1.
    :param words: each word in lower case with its start and end [s] in ``samples``.
    """

    samples: _Samples
    words: tuple[tuple[str, float, float], ...]

    @property
    def duration_s(self) -> float:
        """Return the length in seconds."""
        return len(self.samples) / SAMPLE_RATE_HZ


def speak(
    text: str,
    *,
    voice: str,
    speed: float = 1.0,
    pitch: float = 1.0,
    cache_folder: Path | None = None,
) -> Utterance:
    """
    Say a sentence, or take it from the disk where it has been said before.

    Word times are espeak-ng's own, to the sample. Hibari tells none: its times are those of
    espeak-ng for the same sentence, carried over by ``carry_words``.

    :param text: plain ASCII words.
    :param voice: one of ``VOICES``.
    :param speed: factor on the speaking rate, 0.5..2.
    :param pitch: factor on the voice's pitch, 0.5..2.
    :param cache_folder: where utterances are kept; left out: ``default_cache_folder()``. Several
        processes may share it. Where it cannot be written, nothing is kept.
    :return: the utterance, the same whether it was kept or not.
    :raises ValueError: when text, voice, speed or pitch are not as described.
    :raises ModuleNotFoundError: when the voice's package is missing, with the command.
    """
    if not any(voice in names for names in VOICES.values()):
        known = ', '.join(name for names in VOICES.values() for name in names)
        raise ValueError(f'no voice {voice!r}; there are {known}')
    if not (0.5 <= speed <= 2 and 0.5 <= pitch <= 2):
        raise ValueError(f'got speed {speed} and pitch {pitch}; both may be 0.5 to 2')
    if not text.isascii() or not any(c.isalnum() for c in text):
        raise ValueError(f'cannot say {text!r}; allowed are ASCII words')
    path = _cache_path(cache_folder, text, voice, speed, pitch)
    kept = _load(path)
    if kept is not None:
        return kept
    if voice == HIBARI:
        samples, words = _say_with_hibari(text, speed, pitch)
    else:
        samples, words = _say_with_espeak(text, voice, speed, pitch)
    utterance = _finish(samples, words)
    _save(path, utterance)
    return _from_disk_form(*_disk_form(utterance))


def warm(
    texts: Sequence[str],
    *,
    split: Split,
    cache_folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """
    Say sentences in every voice of a split at every speed and pitch, so that they are on disk.

    Can be stopped and called again: what has been said is only looked up. Several processes may
    take parts of the texts.

    :param texts: the sentences.
    :param split: whose voices.
    :param cache_folder: as in ``speak``.
    :param progress: called after each utterance with how many are done, and of how many.
    :return: the number of utterances.
    """
    every = list(product(texts, VOICES[split], SPEEDS, PITCHES))
    for done, (text, voice, speed, pitch) in enumerate(every, 1):
        if not _cache_path(cache_folder, text, voice, speed, pitch).exists():
            speak(text, voice=voice, speed=speed, pitch=pitch, cache_folder=cache_folder)
        if progress:
            progress(done, len(every))
    return len(every)


def default_cache_folder() -> Path:
    """Return the folder of spoken sentences in the user's cache (``XDG_CACHE_HOME``)."""
    root = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(root) / 'roma_ros' / 'voices'


def _say_with_espeak(
    text: str, voice: str, speed: float, pitch: float
) -> tuple[_Samples, list[tuple[str, float, float]]]:
    speech = synthesize(text, voice=voice, speed=speed, pitch=pitch)
    samples = _resample(speech.samples.astype(np.float32), speech.rate_hz)
    rate = speech.rate_hz
    return samples, [(word, begin / rate, end / rate) for word, begin, end in speech.words]


def _say_with_hibari(
    text: str, speed: float, pitch: float
) -> tuple[_Samples, list[tuple[str, float, float]]]:
    """Speak slower or faster first, so that reading faster or slower gives pitch and speed."""
    voice = _hibari()
    raw = np.asarray(voice(text, speed=speed / pitch, seed=0), np.float32)
    samples = _trim(_resample(raw, round(voice.sample_rate * pitch)))[0]
    model = _finish(*_say_with_espeak(text, 'en-us+f2', speed, 1.0))
    return samples, list(carry_words(model.words, model.samples, samples))


@lru_cache(maxsize=1)
def _hibari() -> Any:
    try:
        from hibari import Hibari  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise _missing('hibari-tts') from error
    return Hibari()


@lru_cache(maxsize=16)
def _resampler(rate_hz: int) -> Resampler:
    return Resampler(rate_hz, SAMPLE_RATE_HZ)


def _resample(samples: _Samples, rate_hz: int) -> _Samples:
    step = rate_hz / SAMPLE_RATE_HZ
    return _resampler(rate_hz).interpolate(
        samples, first=0.0, step=step, count=int(len(samples) / step)
    )


def _trim(samples: _Samples) -> tuple[_Samples, int]:
    """Cut silence before and after; return also how many samples were cut before."""
    loud = np.flatnonzero(np.abs(samples) > _SILENCE * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1], int(loud[0])


def _finish(samples: _Samples, words: list[tuple[str, float, float]]) -> Utterance:
    """Cut the silence around the speech and set its level."""
    speech, first = _trim(samples)
    speech = speech * min(
        SPEECH_RMS / float(np.sqrt(np.mean(np.square(speech)))),
        0.99 / float(np.abs(speech).max()),
    )
    offset_s, end_s = first / SAMPLE_RATE_HZ, len(speech) / SAMPLE_RATE_HZ
    times = [
        (word, min(max(begin - offset_s, 0.0), end_s), min(max(end - offset_s, 0.0), end_s))
        for word, begin, end in words
    ]
    times[-1] = (times[-1][0], times[-1][1], end_s)
    return Utterance(speech, tuple(times))


def _cache_path(folder: Path | None, text: str, voice: str, speed: float, pitch: float) -> Path:
    package = _PACKAGES.get(voice, _PACKAGES['espeak'])
    key = json.dumps(
        [_VERSION, package, _package_version(package), text, voice, speed, pitch]
    ).encode()
    name = hashlib.sha256(key).hexdigest()
    return (folder or default_cache_folder()) / name[:2] / f'{name[2:34]}.npz'


@lru_cache(maxsize=2)
def _package_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError as error:
        raise _missing(package) from error


def _missing(package: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(
        f'this voice needs {package}: pip install {package}=={_PINNED[package]}'
    )


def _disk_form(utterance: Utterance) -> tuple[npt.NDArray[Any], ...]:
    words, starts, ends = zip(*utterance.words, strict=True)
    return (
        np.round(utterance.samples * 32767).astype(np.int16),
        np.array(words, np.str_),
        np.array(starts),
        np.array(ends),
    )


def _from_disk_form(
    samples: npt.NDArray[Any],
    words: npt.NDArray[Any],
    starts: npt.NDArray[Any],
    ends: npt.NDArray[Any],
) -> Utterance:
    spans = zip(words.tolist(), starts.tolist(), ends.tolist(), strict=True)
    return Utterance((samples / np.float32(32767)).astype(np.float32), tuple(spans))


def _load(path: Path) -> Utterance | None:
    try:
        with np.load(path, allow_pickle=False) as kept:
            return _from_disk_form(*(kept[f'arr_{i}'] for i in range(4)))
    except FileNotFoundError:
        return None
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        _log.warning('cannot read %s (%s); the sentence is spoken again', path, error)
        return None


def _save(path: Path, utterance: Utterance) -> None:
    """Write beside and rename, so that no process ever reads half a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix='.tmp', delete=False) as file:
            try:
                np.savez(file, *_disk_form(utterance))
                file.close()
                os.replace(file.name, path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        _warn_once(str(path.parent.parent), str(error))


@lru_cache(maxsize=16)
def _warn_once(folder: str, error: str) -> None:
    _log.warning(
        'spoken sentences are not kept in %s (%s): each is made anew; give another folder',
        folder,
        error,
    )
