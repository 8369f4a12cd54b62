"""Units from a media file: any container and codec that FFmpeg reads."""

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
import heapq
import logging
from math import floor
from pathlib import Path
from typing import Any

import numpy as np

from .audio import to_float
from .recording import TimedChunk, TimedFrame, units_from_recording
from .unit import MultimodalUnit, UNIT_NS
from .video import Image

logger = logging.getLogger(__name__)

#: So much before a time is read as well, so that decoders have run in by then [s].
_RUN_IN_S = 3


class MediaFile:
    """
    Read a file's first video and first audio stream in the order of presentation.

    Iterating opens the file anew. Times count from the file's begin. The streams are decoded
    side by side, each only as far as asked for, whatever way the container interleaves them.
    Frames are converted to RGB when they are asked for, upright as the file says. Corrupt
    packets are left out with a warning.

    :param path: of the file.
    :raises FileNotFoundError: when there is none.
    :raises ValueError: when it is not a media file, or has neither video nor audio.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        with self._open() as container:
            self.has_video = bool(container.streams.video)
            self.has_audio = bool(container.streams.audio)
            self._begin = Fraction(container.start_time or 0, 1_000_000)
        if not (self.has_video or self.has_audio):
            raise ValueError(f'media file has neither video nor audio: {self.path}')

    def __iter__(self) -> Iterator[TimedFrame | TimedChunk]:
        """Read from the begin, in the order in which live sensors would have delivered it."""
        return self.read()

    def read(self, *, start_s: float = 0.0) -> Iterator[TimedFrame | TimedChunk]:
        """
        Read in the order in which live sensors would have delivered it.

        :param start_s: what lies before may be left out, as far as the container can be entered
            there; times count from the file's begin in any case.
        """
        streams: list[Iterator[TimedFrame | TimedChunk]] = []
        if self.has_video:
            streams.append(self._read_frames(start_s))
        if self.has_audio:
            streams.append(self._read_chunks(start_s))
        return heapq.merge(*streams, key=lambda item: item.end_ns)

    def _open(self) -> Any:
        try:
            import av
        except ImportError as error:
            raise ImportError('media files need PyAV: pip install av') from error
        if not self.path.is_file():
            raise FileNotFoundError(f'no media file: {self.path}')
        try:
            return av.open(str(self.path))
        except av.error.FFmpegError as error:
            raise ValueError(f'not a media file ({error.strerror}): {self.path}') from error

    def _read_frames(self, start_s: float) -> Iterator[TimedFrame]:
        for time, frame in self._decode('video', start_s):
            if time >= 0:
                yield TimedFrame(round(time * UNIT_NS), partial(_to_rgb, frame))

    def _read_chunks(self, start_s: float) -> Iterator[TimedChunk]:
        end = Fraction(-1)
        for time, frame in self._decode('audio', start_s):
            # Matroska rounds times to milliseconds: the count of samples is better.
            begin = end if abs(time - end) <= frame.time_base else time
            end = begin + Fraction(frame.samples, frame.sample_rate)
            samples = frame.to_ndarray()  # [channels, n], or [1, n * channels]
            if frame.format.is_planar:
                samples = samples.T
            samples = to_float(samples.reshape(-1, frame.layout.nb_channels))
            # What lies before the begin is the codec's run-in.
            num_early = max(0, -floor(begin * frame.sample_rate))
            if num_early < len(samples):
                begin += Fraction(num_early, frame.sample_rate)
                yield TimedChunk(round(begin * UNIT_NS), samples[num_early:], frame.sample_rate)

    def _decode(self, kind: str, start_s: float) -> Iterator[tuple[Fraction, Any]]:
        """Yield the frames of a stream that have a time, with it [s]."""
        import av

        with self._open() as container:
            stream = getattr(container.streams, kind)[0]
            if start_s > _RUN_IN_S:
                time = Fraction(start_s - _RUN_IN_S) + self._begin
                try:
                    container.seek(int(time / stream.time_base), stream=stream)
                except av.error.FFmpegError:
                    logger.debug('Read from the begin, as it has no index: %s', self.path)
            packets = container.demux(stream)
            while True:
                try:
                    packet = next(packets, None)
                    if packet is None:
                        return
                    frames = packet.decode()
                except av.error.FFmpegError as error:
                    logger.warning('Corrupt %s packet left out (%s): %s', kind, error, self.path)
                    continue
                for frame in frames:
                    if frame.pts is not None:
                        yield frame.pts * frame.time_base - self._begin, frame


def units_from_media(path: Path | str) -> Iterator[MultimodalUnit]:
    """
    Cut a media file into units, lazily, as the same sensors live would give them.

    The first unit begins with the file. The last, partial second is filled up with silence; a
    rest of up to 0.1 s is dropped.

    :param path: of the file.
    :raises FileNotFoundError: when there is none.
    :raises ValueError: when it is not a media file, or has neither video nor audio.
    """
    file = MediaFile(path)
    return units_from_recording(
        file, has_video=file.has_video, has_audio=file.has_audio, origin_ns=0
    )


def _to_rgb(frame: Any) -> Image:
    if frame.is_corrupt:
        raise ValueError(f'video frame at pts {frame.pts} is corrupt')
    # The rotation is counter-clockwise, as numpy's.
    return np.rot90(frame.to_ndarray(format='rgb24'), round(frame.rotation / 90))
