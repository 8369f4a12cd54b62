"""A tabletop stream as a file that a person can watch, with its labels beneath the picture."""

from collections.abc import Iterator
from dataclasses import asdict
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...units.unit import FRAMES_PER_UNIT, SAMPLE_RATE_HZ
from .labels import TabletopStream

Image = npt.NDArray[np.uint8]

#: Frames of a clip in a second.
FRAME_RATE_HZ = 20

_EVENT_SHOWN_S = 1.0
_ANSWER_SHOWN_S = 3.0
_LINES = 11
_GREY, _WHITE, _GREEN, _YELLOW = (140, 140, 140), (235, 235, 235), (90, 230, 110), (250, 220, 90)

Line = tuple[str, tuple[int, int, int]]


def write_clip(stream: TabletopStream, path: Path) -> Path:
    """
    Write a stream with picture, sound and labels.

    Below the picture stands what is true at the time: what happens, sounds, is said and asked,
    and each alert, lit while it holds.

    :param stream: to write.
    :param path: of the clip, ``.mp4``.
    :return: path of the labels: the same name with ``.json``.
    :raises ValueError: when the name does not end in ``.mp4``.
    """
    if path.suffix != '.mp4':
        raise ValueError(f'got the name {path.name}: a clip is a .mp4 file')
    _write(path, _pictures(stream), stream)
    labels = path.with_suffix('.json')
    labels.write_text(json.dumps(labels_of(stream), indent=1) + '\n', encoding='utf-8')
    return labels


def write_media(stream: TabletopStream, path: Path) -> None:
    """
    Write a stream with picture and sound alone, as a camera would have recorded it.

    :param stream: to write.
    :param path: of the file, ``.mp4``.
    """
    times_s = (index / FRAME_RATE_HZ for index in range(stream.duration_s * FRAME_RATE_HZ))
    _write(path, map(stream.frame_at, times_s), stream)


def _write(path: Path, pictures: Iterator[Image], stream: TabletopStream) -> None:
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), 'w') as container:
        video = container.add_stream('libx264', rate=FRAME_RATE_HZ)
        video.pix_fmt = 'yuv420p'
        audio = container.add_stream('aac', rate=SAMPLE_RATE_HZ, layout='mono')
        for index, image in enumerate(pictures):
            if index == 0:
                video.height, video.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            container.mux(video.encode(frame))
        container.mux(video.encode())
        samples = np.round(stream.audio * 32767).astype(np.int16)[None]
        sound = av.AudioFrame.from_ndarray(samples, format='s16', layout='mono')
        sound.sample_rate, sound.pts = SAMPLE_RATE_HZ, 0
        container.mux(audio.encode(sound))
        container.mux(audio.encode())


def labels_of(stream: TabletopStream) -> dict[str, Any]:
    """Return a stream's labels as JSON holds them, with the objects of each frame of its units."""
    times_s = [i / FRAMES_PER_UNIT for i in range(stream.duration_s * FRAMES_PER_UNIT)]
    return {
        'seed': stream.seed,
        'split': stream.split,
        'duration_s': stream.duration_s,
        'narrate': stream.narrate,
        **{
            name: [asdict(label) for label in getattr(stream, name)]
            for name in ('events', 'sounds', 'speech', 'alerts', 'questions')
        },
        'objects': [
            {'time_s': time_s, 'objects': [asdict(thing) for thing in stream.objects_at(time_s)]}
            for time_s in times_s
        ],
    }


def caption(stream: TabletopStream, time_s: float) -> list[Line]:
    """Return what is true at a time: lines of text, each with its colour."""
    told = [e.text for e in stream.events if 0 <= time_s - e.time_s < _EVENT_SHOWN_S]
    heard = [s.name for s in stream.sounds if s.start_s <= time_s < s.end_s]
    said = [s.text for s in stream.speech if s.start_s <= time_s < s.end_s]
    asked = [
        f'{"spoken" if q.speech else "typed"}: {q.text}? - {q.answer}'
        for q in stream.questions
        if 0 <= time_s - q.time_s < _ANSWER_SHOWN_S
    ]
    lines: list[Line] = [
        (f'{time_s:5.2f} s{"   narrated" if stream.narrate else ""}', _GREY),
        (f'happens  {", ".join(told)}', _YELLOW if told else _GREY),
        (f'sounds   {", ".join(heard)}', _YELLOW if heard else _GREY),
        (f'said     {", ".join(said)}', _WHITE if said else _GREY),
        (f'asked    {", ".join(asked)}', _WHITE if asked else _GREY),
    ]
    for alert in stream.alerts:
        holds = any(start <= time_s <= end for start, end in alert.windows)
        how = 'spoken ' if alert.speech else ''
        lines.append((f'alert    {how}{alert.text}', _GREEN if holds else _GREY))
    return lines


def _pictures(stream: TabletopStream) -> Iterator[Image]:
    """Yield every frame with its caption beneath: both sides even, as the codec asks."""
    for index in range(stream.duration_s * FRAME_RATE_HZ):
        time_s = index / FRAME_RATE_HZ
        frame = stream.frame_at(time_s)
        height, width = frame.shape[:2]
        scale = width / 640
        step = 20 * scale
        strip = np.full((2 * round(step * (_LINES + 0.6) / 2), width, 3), 24, np.uint8)
        for row, (text, color) in enumerate(caption(stream, time_s)):
            origin = (round(8 * scale), round(step * (row + 1)))
            cv2.putText(
                strip, text, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.5 * scale, color, 1, cv2.LINE_AA
            )
        picture = np.vstack([frame, strip])
        yield picture[: height + len(strip) - height % 2, : width - width % 2]
