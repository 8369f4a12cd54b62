"""The two inputs of a record: images to thumbnails, sound to an envelope, with their gaps."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..units.audio import decode_pcm

#: Width of a bin of the waveform [ns].
WAVEFORM_BIN_NS = 50_000_000
#: Shortest time between two thumbnails [ns], and their width [px].
THUMBNAIL_PERIOD_NS, THUMBNAIL_WIDTH_PX = 2_000_000_000, 192

# How much of the stream's begin is kept to find the clap [ns].
_BEGIN_NS = 5_000_000_000
# Stamps of chunks that follow each other may differ from the sample count by this much [ns].
_STAMP_JITTER_NS = 20_000_000

# Values of ``sample_format`` in ``AudioChunk.msg``.
_SAMPLE_FORMATS = {1: 'U8', 2: 'S16LE', 3: 'S32LE', 4: 'F32LE'}


@dataclass(frozen=True)
class Thumbnail:
    """A small picture, JPEG."""

    stamp_ns: int
    jpeg: bytes


@dataclass(frozen=True)
class Waveform:
    """
    The sound's envelope.

    :param start_ns: begin of the first bin [ns]; bins are ``WAVEFORM_BIN_NS`` wide.
    :param low: float32 ``[n]``, least sample of each bin, -1..1; NaN where no sample is.
    :param high: float32 ``[n]``, greatest sample of each bin.
    """

    start_ns: int
    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]


def stamp_to_ns(stamp: Any) -> int:
    """Convert a ``builtin_interfaces/Time`` to nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


class ImageInput:
    """
    One camera's images: counted, thinned out to thumbnails, the begin watched for a flash.

    Of several topics the first one counts.
    """

    def __init__(self) -> None:
        self.thumbnails: list[Thumbnail] = []
        self.num_frames = 0
        self.luminance: list[tuple[int, float]] = []
        self.span_ns: tuple[int, int] | None = None
        self._topic = ''
        self._next_thumbnail_ns = 0

    def add(self, topic: str, message: Any) -> None:
        """Take the next message."""
        self._topic = self._topic or topic
        if topic != self._topic:
            return
        stamp_ns = stamp_to_ns(message.header.stamp)
        first_ns = self.span_ns[0] if self.span_ns else stamp_ns
        self.span_ns = (first_ns, stamp_ns)
        self.num_frames += 1
        in_begin = stamp_ns - first_ns <= _BEGIN_NS
        wanted = stamp_ns >= self._next_thumbnail_ns
        if not message.data.size or not (in_begin or wanted):
            return
        try:
            import cv2
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                'reading images needs OpenCV: pip install opencv-python-headless'
            ) from error
        if in_begin:
            grey = cv2.imdecode(message.data, cv2.IMREAD_REDUCED_GRAYSCALE_8)
            if grey is not None:
                self.luminance.append((stamp_ns, float(grey.mean())))
        if wanted:
            picture = cv2.imdecode(message.data, cv2.IMREAD_COLOR)
            if picture is None:
                return
            height = round(THUMBNAIL_WIDTH_PX * picture.shape[0] / picture.shape[1])
            small = cv2.resize(picture, (THUMBNAIL_WIDTH_PX, height), interpolation=cv2.INTER_AREA)
            jpeg = cv2.imencode('.jpg', small, (cv2.IMWRITE_JPEG_QUALITY, 80))[1].tobytes()
            self.thumbnails.append(Thumbnail(stamp_ns, jpeg))
            self._next_thumbnail_ns = stamp_ns + THUMBNAIL_PERIOD_NS


class SoundInput:
    """
    One microphone's chunks: folded into an envelope, the begin kept, the gaps found.

    Of several topics the first one counts.
    """

    def __init__(self) -> None:
        self.gaps_ns: list[tuple[int, int]] = []
        self.span_ns: tuple[int, int] | None = None
        self._topic = ''
        self._next_sample = 0
        self._bins: dict[int, tuple[float, float]] = {}
        self._stamps: list[npt.NDArray[np.int64]] = []
        self._samples: list[npt.NDArray[np.float32]] = []

    def add(self, topic: str, message: Any) -> None:
        """Take the next message."""
        self._topic = self._topic or topic
        if topic != self._topic:
            return
        samples = _decode_samples(message)
        if samples is None:
            return
        stamp_ns = stamp_to_ns(message.header.stamp)
        offsets_ns = np.arange(len(samples)) * 1_000_000_000 // int(message.sample_rate)
        end_ns = stamp_ns + len(samples) * 1_000_000_000 // int(message.sample_rate)
        first_sample = int(message.first_sample)
        if self.span_ns is None:
            self.span_ns = (stamp_ns, end_ns)
        else:
            start_ns, last_ns = self.span_ns
            lost = first_sample > self._next_sample
            if stamp_ns > last_ns and (lost or stamp_ns - last_ns > _STAMP_JITTER_NS):
                self.gaps_ns.append((last_ns, stamp_ns))
            self.span_ns = (min(start_ns, stamp_ns), max(last_ns, end_ns))
        self._next_sample = first_sample + len(samples)
        if stamp_ns - self.span_ns[0] < _BEGIN_NS:
            self._stamps.append(stamp_ns + offsets_ns)
            self._samples.append(samples)
        bins = (stamp_ns + offsets_ns) // WAVEFORM_BIN_NS
        starts = np.flatnonzero(np.diff(bins, prepend=bins[0] - 1))
        for index, low, high in zip(
            bins[starts].tolist(),
            np.minimum.reduceat(samples, starts).tolist(),
            np.maximum.reduceat(samples, starts).tolist(),
            strict=True,
        ):
            old_low, old_high = self._bins.get(index, (low, high))
            self._bins[index] = (min(low, old_low), max(high, old_high))

    def begin(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Return capture times [ns] and samples of the first seconds."""
        if not self._samples:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        return np.concatenate(self._stamps), np.concatenate(self._samples)

    def waveform(self) -> Waveform | None:
        """Return the envelope, NaN in the gaps."""
        if not self._bins:
            return None
        first, last = min(self._bins), max(self._bins)
        envelope = np.full((last - first + 1, 2), np.nan, np.float32)
        envelope[np.array(list(self._bins)) - first] = list(self._bins.values())
        return Waveform(first * WAVEFORM_BIN_NS, envelope[:, 0], envelope[:, 1])


def _decode_samples(message: Any) -> npt.NDArray[np.float32] | None:
    """Decode a chunk to mono, -1..1; none when it cannot be understood."""
    if not message.sample_rate:
        return None
    try:
        samples = decode_pcm(
            message.data,
            sample_format=_SAMPLE_FORMATS.get(int(message.sample_format), 'unknown'),
            channels=int(message.channels),
        )
    except ValueError:
        # The node counts these; here they are missing sound, which shows as a gap.
        return None
    return samples.mean(1, dtype=np.float32)
