"""Units from what was recorded: the same as live, without a clock."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from .audio import Samples
from .synchronizer import SynchronizerConfig, UnitSynchronizer
from .unit import MultimodalUnit, UNIT_NS
from .video import Image

#: How far apart the streams of a recording may lie in it [ns].
_PATIENCE_NS = 3_000_000_000


@dataclass(frozen=True, eq=False)
class TimedFrame:
    """
    A frame of a recording.

    :param stamp_ns: capture time [ns].
    :param decode: returns it, uint8 ``[H, W, 3]`` RGB, or raises ValueError if it is corrupt.
    """

    stamp_ns: int
    decode: Callable[[], Image]

    @property
    def end_ns(self) -> int:
        """When a sensor would have delivered it [ns]."""
        return self.stamp_ns


@dataclass(frozen=True, eq=False)
class TimedChunk:
    """
    An audio chunk of a recording.

    :param stamp_ns: capture time of its first sample [ns].
    :param samples: float32 ``[n, channels]``, -1..1.
    :param rate_hz: sample rate [Hz].
    :param first_sample: the source's own number of the first sample, where it counts them.
    """

    stamp_ns: int
    samples: Samples
    rate_hz: int
    first_sample: int | None = None

    @property
    def end_ns(self) -> int:
        """When a sensor would have delivered it [ns]."""
        return self.stamp_ns + len(self.samples) * UNIT_NS // self.rate_hz


def units_from_recording(
    items: Iterable[TimedFrame | TimedChunk],
    *,
    has_video: bool,
    has_audio: bool,
    origin_ns: int | None = None,
) -> Iterator[MultimodalUnit]:
    """
    Cut a recording into units, lazily.

    :param items: in the order in which the sensors delivered them.
    :param has_video: whether there are frames among them.
    :param has_audio: whether there are chunks among them.
    :param origin_ns: begin of any unit [ns]; None = the first unit begins with the first item.
    """
    units: deque[MultimodalUnit] = deque()
    config = SynchronizerConfig(
        patience_ns=_PATIENCE_NS,
        origin_ns=origin_ns,
        is_ordered=True,
        expect_video=has_video,
        expect_audio=has_audio,
    )
    synchronizer = UnitSynchronizer(config, on_unit=units.append)
    for item in items:
        if isinstance(item, TimedFrame):
            synchronizer.add_frame(item.stamp_ns, item.decode)
        else:
            synchronizer.add_audio(
                item.stamp_ns, item.samples, rate_hz=item.rate_hz, first_sample=item.first_sample
            )
        while units:
            yield units.popleft()
    synchronizer.flush()
    yield from units
