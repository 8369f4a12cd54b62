"""From topics to units: what the node listens to."""

from collections.abc import Callable
import time
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Bool

from ..msg import AudioChunk
from ..units.synchronizer import SynchronizerConfig, SynchronizerCounters
from ..units.unit import MultimodalUnit
from .filters import SimpleFilter, UnitFilter
from .parameter_tables import RomaParameters
from .qos import AdaptiveSubscription
from .voice_mask import VoiceMask

#: How often patience is checked [s].
ADVANCE_PERIOD_S = 0.1
#: Messages that may wait for the executor: 1/2 s of a 30 fps camera, 2 s of 20 ms chunks.
IMAGE_DEPTH, AUDIO_DEPTH = 15, 100


class Inputs:
    """
    Subscribes to a camera and a microphone and hands on their units.

    :param node: whose executor serves the subscriptions.
    :param parameters: of the node.
    :param on_unit: takes each unit, on the executor's thread; has to return at once.
    """

    def __init__(
        self,
        node: Node,
        parameters: RomaParameters,
        *,
        on_unit: Callable[[MultimodalUnit], None],
    ) -> None:
        self.frame_id = ''  # of the newest image
        self._node = node
        self._image_s = self._audio_s = time.monotonic()  # of the newest message
        self._rejection = ''
        now_ns: Callable[[], int] = lambda: node.get_clock().now().nanoseconds  # noqa: E731
        images, audio = SimpleFilter(), SimpleFilter()
        images.registerCallback(self._note_image)
        audio.registerCallback(self._note_audio)
        self._mask = VoiceMask(hold_off_ns=_nanoseconds(parameters.hold_off_s))
        self._mask.connectInput(audio)
        self._units = UnitFilter(
            SynchronizerConfig(
                patience_ns=_nanoseconds(parameters.patience_s),
                frame_offset_ns=_nanoseconds(parameters.image_offset_s),
                audio_offset_ns=_nanoseconds(parameters.audio_offset_s),
            ),
            now_ns=now_ns,
        )
        self._units.connectInput(images, self._mask)
        self._units.registerCallback(on_unit)
        compressed = parameters.image_transport == 'compressed'
        self._image = AdaptiveSubscription(
            node,
            CompressedImage if compressed else Image,
            'image/compressed' if compressed else 'image',
            images.signalMessage,
            depth=IMAGE_DEPTH,
        )
        self._audio = AdaptiveSubscription(
            node, AudioChunk, 'audio', audio.signalMessage, depth=AUDIO_DEPTH
        )
        self._speaking = node.create_subscription(
            Bool, 'is_speaking', lambda m: self._mask.set_speaking(m.data, now_ns()), 10
        )
        # Steady: under use_sim_time the node's own clock may stand still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(ADVANCE_PERIOD_S, self._units.advance, clock=steady)

    @property
    def counters(self) -> SynchronizerCounters:
        """Return the synchronizer's counters as they are now."""
        return self._units.counters

    @property
    def image_topic(self) -> str:
        """Return the full name of the image topic."""
        return self._image.topic_name

    @property
    def audio_topic(self) -> str:
        """Return the full name of the audio topic."""
        return self._audio.topic_name

    @property
    def image_silence_s(self) -> float:
        """Return the time since the last image, or since the begin [s]."""
        return time.monotonic() - self._image_s

    @property
    def audio_silence_s(self) -> float:
        """Return the time since the last audio chunk, or since the begin [s]."""
        return time.monotonic() - self._audio_s

    def close(self) -> None:
        """End all subscriptions."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._speaking)
        self._image.destroy()
        self._audio.destroy()

    def log_rejections(self) -> None:
        """Log why the newest message was rejected, where that is news."""
        rejection = self._units.counters.last_rejection
        if rejection != self._rejection:
            self._rejection = rejection
            self._node.get_logger().warning(f'rejected a message: {rejection}')

    def _note_image(self, message: Any) -> None:
        self._image_s = time.monotonic()
        self.frame_id = message.header.frame_id

    def _note_audio(self, message: AudioChunk) -> None:
        self._audio_s = time.monotonic()


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
