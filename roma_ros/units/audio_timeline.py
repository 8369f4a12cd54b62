"""The sound of the stream, second by second, whatever the microphone does."""

import numpy as np
import numpy.typing as npt

from .audio_track import AudioTrack, ChunkCounts
from .unit import SAMPLE_RATE_HZ, UNIT_NS

_PERIOD_NS = UNIT_NS // SAMPLE_RATE_HZ


class AudioTimeline:
    """
    Audio tracks in a row: a microphone that comes back at another rate begins a new one.

    :param counts: counted up.
    """

    def __init__(self, counts: ChunkCounts) -> None:
        self._counts = counts
        self._tracks: list[AudioTrack] = []

    @property
    def has_begun(self) -> bool:
        """Whether any chunk has come."""
        return bool(self._tracks)

    def add(
        self,
        stamp_ns: int,
        samples: npt.NDArray[np.float32],
        *,
        rate_hz: int,
        first_sample: int | None = None,
    ) -> None:
        """
        Take a chunk.

        :param stamp_ns: capture time of its first sample [ns].
        :param samples: float32 ``[n]``, n > 0; kept, not copied.
        :param rate_hz: nominal sample rate [Hz].
        :param first_sample: the source's own number of the first sample, where it has one.
        """
        if not self._tracks or self._tracks[-1].rate_hz != rate_hz:
            self._tracks.append(AudioTrack(rate_hz, self._counts))
        self._tracks[-1].add(stamp_ns, samples, first_sample=first_sample)

    def has_passed(self, end_ns: int, *, given_up_ns: int) -> bool:
        """
        Say whether all that is needed to read up to ``end_ns`` is here.

        :param given_up_ns: chunks that are missing before this time are lost, later ones may have
            been overtaken [ns].
        """
        return bool(self._tracks) and self._tracks[-1].has_passed(end_ns, given_up_ns=given_up_ns)

    def read(
        self, start_ns: int, end_ns: int
    ) -> tuple[npt.NDArray[np.float32], tuple[tuple[int, int], ...]]:
        """
        Read one second; seconds are read in order, and older samples are forgotten.

        :return: audio float32 ``[16000]``, and the spans [ns] that no sample covers.
        """
        audio = np.zeros(SAMPLE_RATE_HZ, np.float32)
        covered = np.zeros(SAMPLE_RATE_HZ, np.bool_)
        for track in self._tracks:
            track_audio, track_covered = track.read(start_ns, end_ns)
            is_new = track_covered & ~covered
            audio[is_new] = track_audio[is_new]
            covered |= is_new
        while len(self._tracks) > 1 and self._tracks[0].ends_before(end_ns):
            del self._tracks[0]
        np.clip(audio, -1, 1, out=audio)  # interpolation may overshoot full scale
        return audio, _spans(~covered, start_ns)


def _spans(missing: npt.NDArray[np.bool_], start_ns: int) -> tuple[tuple[int, int], ...]:
    """Return the runs of true as capture time spans [ns]."""
    edges = np.flatnonzero(np.diff(missing, prepend=False, append=False))
    return tuple(
        (start_ns + int(begin) * _PERIOD_NS, start_ns + int(end) * _PERIOD_NS)
        for begin, end in edges.reshape(-1, 2)
    )
