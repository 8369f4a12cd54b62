"""The robot's own voice, subtracted from what it hears, where what it plays is known."""

from dataclasses import replace

from ..units.audio_timeline import AudioTimeline
from ..units.audio_track import ChunkCounts
from ..units.echo import EchoCanceller
from ..units.unit import MultimodalUnit, UNIT_NS, UnitFlag
from .conversions import Chunk

#: How far from a chunk of what was played one that is heard may be, to be of the same speech [ns].
_NEAR_NS = 1_000_000_000


class VoiceSubtraction:
    """Subtracts what the loudspeaker plays from the sound of units; one thread calls it."""

    def __init__(self) -> None:
        self._canceller = EchoCanceller()
        self._timeline = AudioTimeline(ChunkCounts())
        self._newest_ns: int | None = None  # end of what is known to be played

    def add(self, chunk: Chunk) -> None:
        """
        Take a chunk of what is played, stamped with the time at which it was given to the device.

        :raises ValueError: when it has no rate or no sample.
        """
        if not chunk.rate_hz or not len(chunk.samples):
            raise ValueError('a chunk of what is played has no rate or no samples')
        self._timeline.add(
            chunk.stamp_ns,
            chunk.samples.mean(axis=1),
            rate_hz=chunk.rate_hz,
            first_sample=chunk.first_sample,
        )
        self._newest_ns = chunk.stamp_ns + len(chunk.samples) * UNIT_NS // chunk.rate_hz

    def covers(self, stamp_ns: int) -> bool:
        """Tell whether what is played around a time is known, so that nothing has to be masked."""
        return self._newest_ns is not None and abs(stamp_ns - self._newest_ns) < _NEAR_NS

    def apply(self, unit: MultimodalUnit) -> MultimodalUnit:
        """Return a unit without the robot's voice; units come in order."""
        if UnitFlag.CLOCK_JUMP in unit.flags:
            self._timeline, self._newest_ns = AudioTimeline(ChunkCounts()), None
        if not self._timeline.has_begun:
            return unit
        played, _ = self._timeline.read(unit.start_ns, unit.end_ns)
        return replace(unit, audio=self._canceller.subtract(unit.audio, played))
