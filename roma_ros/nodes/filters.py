"""The synchronizer as a ``message_filters`` filter."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
import threading
from typing import Any

from ..units.synchronizer import SynchronizerConfig, SynchronizerCounters, UnitSynchronizer
from ..units.unit import MultimodalUnit, UNIT_NS
from ..units.video import FrameSource
from .conversions import Chunk, read_audio, read_image, time_to_ns

try:
    from message_filters import SimpleFilter, Subscriber
except ImportError:
    from .simple_filter import SimpleFilter, Subscriber

__all__ = ['SimpleFilter', 'Subscriber', 'UnitFilter']


class UnitFilter(SimpleFilter):
    """
    Take images and audio messages, signal units.

    Connect any two filters that pass messages on (``message_filters.Subscriber``, a cache, a
    ``SimpleFilter`` that is signalled by hand), and call ``advance`` from a timer, some ten
    times a second, so that units come even if sensors do not. All methods may be called from any
    thread. A message costs its conversion at most: images are decoded only when they are chosen.
    Units are signalled in order, one at a time, and with no lock held, so a callback may call
    this filter; one that raises passes its error to whoever brought the message, and the
    following units are signalled with the next message.

    :param config: how units are cut.
    :param now_ns: the clock of the stamps, as ``node.get_clock().now().nanoseconds``. A message
        without a stamp (zero) is stamped with its arrival.
    """

    def __init__(
        self, config: SynchronizerConfig | None = None, *, now_ns: Callable[[], int]
    ) -> None:
        super().__init__()
        self._now_ns = now_ns
        self._lock = threading.Lock()  # of all below
        self._units: deque[MultimodalUnit] = deque()
        self._is_signalling = False
        self._synchronizer = UnitSynchronizer(config, on_unit=self._units.append)
        self._stall_ns = self._synchronizer.config.patience_ns // 2
        self._last_advance_ns: int | None = None
        self._connections: list[tuple[Any, int]] = []

    @property
    def counters(self) -> SynchronizerCounters:
        """The synchronizer's counters as they are now."""
        with self._lock:
            return self._synchronizer.counters

    def connectInput(self, image_filter: Any, audio_filter: Any) -> None:  # noqa: N802
        """
        Take messages from two filters.

        :param image_filter: passes ``sensor_msgs/Image`` or ``CompressedImage``, or None.
        :param audio_filter: passes audio as ``read_audio`` reads it, or None.
        :raises RuntimeError: when inputs are connected already.
        """
        if self._connections:
            raise RuntimeError('inputs are connected already; call disconnectAll first')
        for source, add in ((image_filter, self.add_image), (audio_filter, self.add_audio)):
            if source is not None:
                self._connections.append((source, source.registerCallback(add)))

    def disconnectAll(self) -> None:  # noqa: N802
        """Take no more messages from the connected filters."""
        while self._connections:
            source, number = self._connections.pop()
            if hasattr(source, 'unregisterCallback'):
                source.unregisterCallback(number)
            else:  # message_filters up to 6.0.6
                del source.callbacks[number]

    def set_offsets(self, *, frame_offset_ns: int, audio_offset_ns: int) -> None:
        """Add other offsets to the stamps of what comes from now on [ns]."""
        with self._lock:
            self._synchronizer.config = replace(
                self._synchronizer.config,
                frame_offset_ns=frame_offset_ns,
                audio_offset_ns=audio_offset_ns,
            )

    def add_image(self, message: Any) -> None:
        """Take a ``sensor_msgs/Image`` or ``CompressedImage``; it is kept until it is chosen."""
        stamp_ns = time_to_ns(message.header.stamp) or self._now_ns()
        self.add_frame(stamp_ns, partial(read_image, message))

    def add_frame(self, stamp_ns: int, frame: FrameSource) -> None:
        """
        Take a frame.

        :param stamp_ns: capture time [ns].
        :param frame: uint8 ``[H, W, 3]`` RGB, or what returns it when it is chosen.
        """
        with self._lock:
            self._synchronizer.add_frame(stamp_ns, frame)
        self._signal_units()

    def add_audio(self, message: Any, *, info: Any = None) -> None:
        """
        Take an audio message; a malformed one is rejected and counted.

        :param info: the ``AudioInfo`` that ``audio_common_msgs/AudioDataStamped`` needs.
        """
        try:
            chunk = read_audio(message, info=info)
        except ValueError as error:
            self.reject_audio(str(error))
            return
        if not chunk.stamp_ns and chunk.rate_hz:  # it arrived when its last sample was captured
            duration_ns = len(chunk.samples) * UNIT_NS // chunk.rate_hz
            chunk = replace(chunk, stamp_ns=self._now_ns() - duration_ns)
        self.add_chunk(chunk)

    def add_chunk(self, chunk: Chunk) -> None:
        """Take audio that is decoded and has a stamp."""
        with self._lock:
            self._synchronizer.add_audio(
                chunk.stamp_ns,
                chunk.samples,
                rate_hz=chunk.rate_hz,
                first_sample=chunk.first_sample,
            )
        self._signal_units()

    def reject_audio(self, reason: str) -> None:
        """Count an audio message that cannot be read."""
        with self._lock:
            self._synchronizer.reject_audio(reason)

    def advance(self) -> None:
        """
        Let patience run out where it must.

        A call that comes late is left out, once: this process has slept then, and the messages
        that it slept through come first.
        """
        now_ns = self._now_ns()
        with self._lock:
            last_ns, self._last_advance_ns = self._last_advance_ns, now_ns
            if last_ns is not None and now_ns - last_ns > self._stall_ns:
                self._last_advance_ns = None
                return
            self._synchronizer.advance(now_ns)
        self._signal_units()

    def flush(self) -> None:
        """Signal what is left at the end of a stream."""
        with self._lock:
            self._synchronizer.flush()
        self._signal_units()

    def reset(self) -> None:
        """Forget everything, units that wait to be signalled included."""
        with self._lock:
            self._units.clear()
            self._synchronizer.reset()

    def _signal_units(self) -> None:
        """Signal waiting units, unless another thread (or a caller of this one) does."""
        with self._lock:
            if self._is_signalling:
                return
            self._is_signalling = True
        try:
            while (unit := self._next_unit()) is not None:
                self.signalMessage(unit)
        except BaseException:
            with self._lock:
                self._is_signalling = False
            raise

    def _next_unit(self) -> MultimodalUnit | None:
        """Return the next waiting unit; with the last one the signalling ends."""
        with self._lock:
            if self._units:
                return self._units.popleft()
            self._is_signalling = False
            return None
