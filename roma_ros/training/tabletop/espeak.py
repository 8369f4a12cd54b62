"""Speech from espeak-ng with the time of every word, through its library."""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
import ctypes
from dataclasses import dataclass
from importlib import import_module
import re
import threading

import numpy as np
import numpy.typing as npt

#: Speaking rate of espeak-ng's voices as they are [words a minute].
WORDS_PER_MINUTE = 165
#: A pitch parameter of 50 leaves a voice as it is; each 50 up or down is an octave.
_MIDDLE_PITCH = 50

# From espeak-ng's speak_lib.h.
_SYNCHRONOUS, _CHARS_UTF8 = 2, 1
_PHONEME_EVENTS, _DONT_EXIT = 1, 0x8000
_RATE, _VOLUME, _PITCH = 1, 2, 3
_EVENT_WORD, _EVENT_PHONEME = 1, 7

#: Pairs of letters that are one phoneme.
_PAIRS = re.compile('th|sh|ch|ck|wh|ll|ee|oo')

#: The library keeps its state in static memory: one sentence at a time in one process.
_LOCK = threading.Lock()


class _Event(ctypes.Structure):
    _fields_ = (
        ('type', ctypes.c_int),
        ('unique_identifier', ctypes.c_uint),
        ('text_position', ctypes.c_int),
        ('length', ctypes.c_int),
        ('audio_position', ctypes.c_int),
        ('sample', ctypes.c_int),
        ('user_data', ctypes.c_void_p),
        ('id', ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True, eq=False)
class EspeakSpeech:
    """
    One sentence as espeak-ng says it.

    :param samples: int16 ``[n]``, mono.
    :param rate_hz: its sample rate.
    :param words: each word with its first sample and the one after its last.
    """

    samples: npt.NDArray[np.int16]
    rate_hz: int
    words: tuple[tuple[str, int, int], ...]


def synthesize(text: str, *, voice: str, speed: float = 1.0, pitch: float = 1.0) -> EspeakSpeech:
    """
    Say a sentence; the same arguments give the same samples at every call.

    Thread-safe; blocks while another thread synthesizes.

    :param text: plain ASCII words.
    :param voice: a language of espeak-ng and perhaps a variant: ``en-us``, ``en-gb-scotland+f3``.
    :param speed: factor on the speaking rate.
    :param pitch: factor on the voice's pitch.
    :raises ValueError: when espeak-ng has no such voice, or its words are not those of the text.
    :raises ModuleNotFoundError: when the package espeakng-loader is missing.
    """
    # Bytes below are characters, as positions in espeak-ng's events are.
    encoded = text.encode('ascii')
    pieces: list[npt.NDArray[np.int16]] = []
    events: list[tuple[int, int, int, bytes]] = []

    @_Callback
    def collect(wave: ctypes._Pointer, num_samples: int, event: ctypes._Pointer) -> int:
        if num_samples > 0:
            pieces.append(np.ctypeslib.as_array(wave, (num_samples,)).copy())
        index = 0
        while event[index].type:
            one = event[index]
            events.append((one.type, one.text_position - 1, one.sample, one.id))
            index += 1
        return 0

    with _LOCK, _fresh_library() as (library, rate_hz):
        library.espeak_SetSynthCallback(collect)
        if library.espeak_SetVoiceByName(voice.encode('ascii')):
            raise ValueError(f'espeak-ng has no voice {voice!r}')
        library.espeak_SetParameter(_RATE, round(WORDS_PER_MINUTE * speed), 0)
        library.espeak_SetParameter(_PITCH, round(_MIDDLE_PITCH * (1 + np.log2(pitch))), 0)
        # Some variants would overflow at the full volume of 100.
        library.espeak_SetParameter(_VOLUME, 60, 0)
        library.espeak_Synth(
            encoded,
            ctypes.c_size_t(len(encoded) + 1),
            ctypes.c_uint(0),
            1,
            ctypes.c_uint(0),
            ctypes.c_uint(_CHARS_UTF8),
            None,
            None,
        )
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    return EspeakSpeech(samples, rate_hz, _word_spans(text, events, len(samples)))


@contextmanager
def _fresh_library() -> Iterator[tuple[ctypes.CDLL, int]]:
    """
    Load the library anew, and unload it after.

    Its random numbers and phases run on from sentence to sentence: only unloading resets them,
    which takes 1.5 ms. What is said then depends on nothing that was said before.
    """
    try:
        loader = import_module('espeakng_loader')
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'speech needs espeak-ng: pip install espeakng-loader==0.2.4'
        ) from error
    library = ctypes.CDLL(loader.get_library_path())
    rate_hz = library.espeak_Initialize(
        _SYNCHRONOUS, 0, loader.get_data_path().encode(), _PHONEME_EVENTS | _DONT_EXIT
    )
    try:
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # it begins with the time of day
        yield library, rate_hz
    finally:
        library.espeak_Terminate()
        import_module('_ctypes').dlclose(library._handle)


def _word_spans(
    text: str, events: list[tuple[int, int, int, bytes]], num_samples: int
) -> tuple[tuple[str, int, int], ...]:
    """Find where each word begins and ends, from espeak-ng's word and phoneme events."""
    words = list(re.finditer(r"[A-Za-z0-9']+", text))
    ends = [match.end() for match in words]
    starts: dict[int, int] = {}
    for type_, position, sample, _ in events:
        # Of a word or of the quote or dash before it; some words have two events.
        index = bisect_right(ends, position)
        if type_ == _EVENT_WORD and index < len(words):
            starts.setdefault(index, sample)
    phonemes = [(sample, name) for type_, _, sample, name in events if type_ == _EVENT_PHONEME]
    if 0 not in starts:
        raise ValueError(f'espeak-ng gave no times for the words of {text!r}')
    # Two words that espeak-ng says as one ("of the") have one event: their phonemes are shared
    # out by letters.
    bounds: list[int] = []
    for index in range(len(words)):
        if index in starts:
            bounds.append(starts[index])
            continue
        first = max(i for i in starts if i < index)
        last = min((i for i in starts if i > index), default=len(words))
        begin, end = starts[first], starts.get(last, num_samples)
        inside = [s for s, name in phonemes if begin <= s < end and not name.startswith(b'_')]
        letters = [len(_PAIRS.sub('x', m.group().lower())) for m in words[first:last]]
        share = sum(letters[: index - first]) / sum(letters)
        bounds.append(inside[min(max(round(share * len(inside)), 1), len(inside) - 1)])
    spans = []
    for match, begin, end in zip(words, bounds, [*bounds[1:], num_samples], strict=True):
        pauses = [s for s, name in phonemes if begin < s < end and name.startswith(b'_')]
        spans.append((match.group().lower(), begin, min(pauses, default=end)))
    return tuple(spans)
