"""The units of a sample: parts of a recording laid end to end, with words spoken over them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from math import ceil, isfinite
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...units.media_file import MediaFile
from ...units.recording import TimedChunk, TimedFrame, units_from_recording
from ...units.unit import MultimodalUnit, SAMPLE_RATE_HZ, UNIT_NS, UnitFlag
from .benchmark import Part, StreamSample

#: Words to float32 samples at 16 kHz.
Voice = Callable[[str], npt.NDArray[np.float32]]


def sample_units(sample: StreamSample, voice: Voice) -> Iterator[MultimodalUnit]:
    """
    Cut a sample's stream into units, lazily.

    The recording is read as far as it was live when the unit ended, plus the one frame and the
    one audio packet by which the end is known; nothing beyond is decoded.

    :param sample: what to play.
    :param voice: says what is spoken in it.
    """
    file = MediaFile(sample.media)
    items = _lay_parts(file, sample.parts) if sample.parts else iter(file)
    units: Iterator[MultimodalUnit] = units_from_recording(
        items, has_video=file.has_video, has_audio=file.has_audio, origin_ns=0
    )
    if sample.parts:
        units = _up_to(units, ceil(sum(end - start for start, end in sample.parts) - 1e-6))
    speech = [(said.time_s, voice(said.text)) for said in sample.spoken]
    until_s = max((s + len(v) / SAMPLE_RATE_HZ for s, v in speech), default=0.0)
    units = _with_tail(units, until_s=until_s, tail_s=sample.tail_s)
    return _with_speech(units, speech)


def duration_s(media: Path) -> float:
    """
    Return the length of a media file [s], as its container gives it.

    :raises ValueError: when it gives none.
    """
    import av

    MediaFile(media)  # whose errors say what is wrong with it
    with av.open(str(media)) as container:
        length = (container.duration or 0) / av.time_base
    if not length > 0 or not isfinite(length):
        raise ValueError(f'the file does not say how long it is; remux it: {media}')
    return length


def _lay_parts(file: MediaFile, parts: tuple[Part, ...]) -> Iterator[TimedFrame | TimedChunk]:
    """Yield what lies in the parts, with the times that it has in the stream."""
    offset_ns = 0
    for start_s, end_s in parts:
        start_ns, end_ns = round(start_s * UNIT_NS), round(end_s * UNIT_NS)
        for item in file.read(start_s=start_s):
            # Items come by their ends: a chunk that begins behind the part is behind all of it,
            # a frame may come before the sound that it goes with.
            is_last = isinstance(item, TimedChunk) or not file.has_audio
            if item.stamp_ns >= end_ns + (0 if is_last else UNIT_NS):
                break
            moved = _cut(item, start_ns, end_ns)
            if moved is not None:
                yield replace(moved, stamp_ns=moved.stamp_ns - start_ns + offset_ns)
        offset_ns += end_ns - start_ns


def _cut(
    item: TimedFrame | TimedChunk, start_ns: int, end_ns: int
) -> TimedFrame | TimedChunk | None:
    """Return what of a frame or chunk lies in a part."""
    if isinstance(item, TimedFrame):
        return item if start_ns <= item.stamp_ns < end_ns else None
    rate = item.rate_hz
    first = max(0, -((item.stamp_ns - start_ns) * rate // UNIT_NS))
    last = min(len(item.samples), (end_ns - item.stamp_ns) * rate // UNIT_NS)
    if first >= last:
        return None
    return TimedChunk(
        item.stamp_ns + first * UNIT_NS // rate, item.samples[first:last], item.rate_hz
    )


def _up_to(units: Iterable[MultimodalUnit], count: int) -> Iterator[MultimodalUnit]:
    for unit in units:
        if unit.index >= count:
            return
        yield unit


def _with_tail(
    units: Iterable[MultimodalUnit], *, until_s: float, tail_s: float
) -> Iterator[MultimodalUnit]:
    """Go on with the last frame, in silence, until a time and then for a tail."""
    last: MultimodalUnit | None = None
    for unit in units:
        yield unit
        last = unit
    if last is None:
        return
    end = max(last.index + 1, ceil(until_s)) + ceil(tail_s)
    picture = last.frames[-1:]
    for index in range(last.index + 1, end):
        start_ns = last.start_ns + (index - last.index) * UNIT_NS
        stamps = [start_ns + i * UNIT_NS // 2 for i in range(2 * len(picture))]
        yield MultimodalUnit(
            index=index,
            start_ns=start_ns,
            end_ns=start_ns + UNIT_NS,
            frames=np.concatenate([picture, picture]),
            frame_stamps_ns=tuple(stamps),
            audio=np.zeros(SAMPLE_RATE_HZ, np.float32),
        )


def _with_speech(
    units: Iterable[MultimodalUnit], speech: list[tuple[float, npt.NDArray[np.float32]]]
) -> Iterator[MultimodalUnit]:
    """Add spoken words to the sound, clipped to its range."""
    for unit in units:
        audio = unit.audio
        begin = unit.index * SAMPLE_RATE_HZ
        for start_s, samples in speech:
            start = round(start_s * SAMPLE_RATE_HZ) - begin
            low, high = max(0, start), min(SAMPLE_RATE_HZ, start + len(samples))
            if low < high:
                audio = audio.copy()
                audio[low:high] += samples[low - start : high - start]
        if audio is unit.audio:
            yield unit
            continue
        yield replace(
            unit,
            audio=np.clip(audio, -1, 1),
            audio_gaps_ns=(),
            flags=unit.flags & ~UnitFlag.NO_AUDIO,
        )
