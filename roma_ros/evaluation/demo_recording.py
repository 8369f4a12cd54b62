"""The demo's recording: a tabletop over real footage, with speech and sounds, behind a clap."""

from collections.abc import Iterator
from dataclasses import asdict
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..training.tabletop.labels import TabletopStream
from ..units.unit import SAMPLE_RATE_HZ as STREAM_RATE_HZ
from .truth import Condition, Event, Sound, Speech, Truth, TypedQuestion

#: Size [px] and rate [Hz] of the picture, rate [Hz] of the sound.
WIDTH_PX, HEIGHT_PX, FRAME_RATE_HZ, SAMPLE_RATE_HZ = 640, 480, 30, 48_000
#: The clap: a white picture and a click that begin at one instant [s].
CLAP_S, FLASH_S, CLICK_S = 0.5, 0.1, 0.004
#: What follows the last whole second: with it a live stream's last unit is complete at once.
TAIL_FRAMES = 2
#: Time before the stream [s], with a dark picture, so that the flash stands out.
LEAD_IN_S = 1
#: Raised when the recording would come out otherwise: an older file is built again.
VERSION = 3
#: Of the test split, which no training sees: the first that is narrated and has alerts to see,
#: to hear and to do both.
SEED = 2
#: Shortest recording [s]: a stream of 8 s.
MIN_SECONDS = 9

_SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FRAME_RATE_HZ
_CLICK_PEAK = 0.9

_Samples = npt.NDArray[np.float32]


def build_recording(path: Path, *, seconds: int = 45) -> Truth:
    """
    Write the demo's recording and, beside it, its ground truth.

    Nothing is downloaded, and the result is the same at every call. The sound is lossless and
    both tracks count in their own rate, so that every time in the ground truth is exact: to the
    frame in the picture, to the sample in the sound.

    :param path: the media file, ``.mp4``; the ground truth is written to the same name with
        ``.json``, last: where it exists, the media file is complete.
    :param seconds: length of the recording without its tail of two frames, at least 9.
    :return: the ground truth.
    :raises ValueError: when the length is too short or the name does not end in ``.mp4``.
    :raises ModuleNotFoundError: when a package is missing, with the command that installs it.
    """
    if seconds < MIN_SECONDS or path.suffix != '.mp4':
        raise ValueError(
            f'got {seconds} s in {path.name}; allowed are {MIN_SECONDS} s or more in a .mp4 file'
        )
    from ..training.tabletop.generator import make_stream

    stream = make_stream(
        SEED, split='test', duration_s=seconds - LEAD_IN_S, size=(WIDTH_PX, HEIGHT_PX)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    truth_path = path.with_suffix('.json')
    truth_path.unlink(missing_ok=True)
    _write_media(path, _picture(stream), _soundtrack(stream))
    truth = _truth(stream, path.name)
    truth_path.write_text(json.dumps(asdict(truth), indent=1) + '\n', encoding='utf-8')
    return truth


def _truth(stream: TabletopStream, name: str) -> Truth:
    """Return what is true, with the lead-in before it."""
    answers = {q.speech: q.answer for q in stream.questions if q.speech is not None}
    return Truth(
        version=VERSION,
        media=name,
        duration_s=LEAD_IN_S + stream.duration_s + TAIL_FRAMES / FRAME_RATE_HZ,
        clap_s=CLAP_S,
        narrate=stream.narrate,
        events=tuple(Event(LEAD_IN_S + e.time_s, e.text) for e in stream.events),
        speech=tuple(
            Speech(
                LEAD_IN_S + s.start_s,
                LEAD_IN_S + s.end_s,
                'answer' if s in answers else 'alert',
                s.text,
                answers.get(s, ''),
            )
            for s in stream.speech
        ),
        sounds=(
            Sound(CLAP_S, CLAP_S + CLICK_S, 'click'),
            *(Sound(LEAD_IN_S + s.start_s, LEAD_IN_S + s.end_s, s.name) for s in stream.sounds),
        ),
        alerts=tuple(
            Condition(a.text, tuple((LEAD_IN_S + b, LEAD_IN_S + e) for b, e in a.windows))
            for a in stream.alerts
            if a.speech is None
        ),
        questions=tuple(
            TypedQuestion(LEAD_IN_S + q.time_s, q.text, q.answer)
            for q in stream.questions
            if q.speech is None
        ),
    )


def _picture(stream: TabletopStream) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield every frame, uint8 ``[480, 640, 3]`` RGB."""
    dark = np.full((HEIGHT_PX, WIDTH_PX, 3), 16, np.uint8)
    flash = range(round(CLAP_S * FRAME_RATE_HZ), round((CLAP_S + FLASH_S) * FRAME_RATE_HZ))
    for index in range(LEAD_IN_S * FRAME_RATE_HZ):
        yield np.full_like(dark, 235) if index in flash else dark
    num_frames = stream.duration_s * FRAME_RATE_HZ
    for index in range(num_frames):
        yield stream.frame_at(index / FRAME_RATE_HZ)
    for _ in range(TAIL_FRAMES):
        yield stream.frame_at((num_frames - 1) / FRAME_RATE_HZ)


def _soundtrack(stream: TabletopStream) -> _Samples:
    """Return the whole track, mono at 48 kHz: silence with a click, then the stream."""
    factor = SAMPLE_RATE_HZ // STREAM_RATE_HZ
    # Three times the rate, by a spectrum of three times the width: no filter, no delay.
    wide = np.fft.irfft(np.fft.rfft(stream.audio), factor * len(stream.audio)) * factor
    lead_in = np.zeros(LEAD_IN_S * SAMPLE_RATE_HZ)
    click = _click()
    start = round(CLAP_S * SAMPLE_RATE_HZ)
    lead_in[start : start + len(click)] = click
    track = np.concatenate([lead_in, wide, np.zeros(TAIL_FRAMES * _SAMPLES_PER_FRAME)])
    return np.clip(track, -1, 1).astype(np.float32)


def _click() -> npt.NDArray[np.float64]:
    seconds = np.arange(round(CLICK_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return _CLICK_PEAK * np.cos(2 * np.pi * 2000 * seconds) * np.exp(-seconds / 0.001)


def _write_media(path: Path, frames: Iterator[npt.NDArray[np.uint8]], samples: _Samples) -> None:
    """Encode both tracks: H.264 without reordering, and lossless FLAC."""
    import av

    sound = np.round(samples * 32767).astype(np.int16)
    # The flag keeps version strings out, so that equal input gives equal bytes.
    with av.open(str(path), 'w', format='mp4', options={'fflags': '+bitexact'}) as container:
        video = container.add_stream('libx264', rate=FRAME_RATE_HZ)
        video.width, video.height, video.pix_fmt = WIDTH_PX, HEIGHT_PX, 'yuv420p'
        video.options = {'preset': 'veryfast', 'crf': '20', 'bf': '0', 'g': str(FRAME_RATE_HZ)}
        audio = container.add_stream('flac', rate=SAMPLE_RATE_HZ, layout='mono', format='s16')
        for index, picture in enumerate(frames):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
            start = index * _SAMPLES_PER_FRAME
            piece = av.AudioFrame.from_ndarray(
                sound[None, start : start + _SAMPLES_PER_FRAME], format='s16', layout='mono'
            )
            piece.sample_rate, piece.pts = SAMPLE_RATE_HZ, start
            container.mux(audio.encode(piece))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
