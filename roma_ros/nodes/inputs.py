"""From topics to units: what the node watches and listens to."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Bool

from ..msg import AudioChunk
from ..units.synchronizer import SynchronizerConfig, SynchronizerCounters
from ..units.unit import MultimodalUnit, UNIT_NS
from .camera_view import CameraView
from .conversions import Chunk, read_audio, time_to_ns
from .filters import UnitFilter
from .input_monitor import InputMonitor
from .message_definitions import import_message
from .parameter_tables import RomaParameters
from .qos import AdaptiveSubscription
from .typed_subscription import TypedSubscription
from .voice_mask import VoiceMask
from .voice_subtraction import VoiceSubtraction

#: How often patience is checked [s].
ADVANCE_PERIOD_S = 0.1
#: Messages that may wait for the executor: 1/2 s of a 30 fps camera, 2 s of 20 ms chunks.
IMAGE_DEPTH, AUDIO_DEPTH = 15, 100
#: How much more of a recording, whose clock may run faster than real time.
_RECORDED_DEPTHS = 8
#: The types of each input; the first is the one that is expected before there is a publisher.
_IMAGE_TYPES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
#: Ours, ros-drivers' and mgonzs13's: the last two are of packages of the same name.
_DESCRIBED_AUDIO = 'audio_common_msgs/msg/AudioDataStamped'
_AUDIO_TYPES = (
    'roma_ros/msg/AudioChunk',
    _DESCRIBED_AUDIO,
    'audio_common_msgs/msg/AudioStamped',
)


class Inputs:
    """
    Subscribes to cameras and a microphone and hands on their units.

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
        self._images, self._sound = InputMonitor(), InputMonitor()
        self._rejection = ''
        self._info: Any = None  # the newest AudioInfo
        self._info_subscription: Any = None
        self._mask = VoiceMask(hold_off_ns=_nanoseconds(parameters.hold_off_s))
        self._subtraction = VoiceSubtraction() if parameters.subtract_voice else None
        channel = parameters.audio_channel
        self._units = UnitFilter(
            SynchronizerConfig(
                patience_ns=_nanoseconds(parameters.patience_s),
                frame_offset_ns=_nanoseconds(parameters.image_offset_s),
                audio_offset_ns=_nanoseconds(parameters.audio_offset_s),
                audio_channel=None if channel < 0 else channel,
            ),
            now_ns=self._now_ns,
        )
        self._on_unit = on_unit
        self._units.registerCallback(self._hand_on)
        others = list(filter(None, parameters.extra_image_topics))
        self._view = CameraView(rotation_deg=parameters.image_rotation_deg, num_others=len(others))
        depths = _RECORDED_DEPTHS if node.get_parameter('use_sim_time').value else 1
        compressed = parameters.image_transport == 'compressed'
        image_types = _IMAGE_TYPES[::-1] if compressed else _IMAGE_TYPES
        self._image = TypedSubscription(
            node,
            'image/compressed' if compressed else 'image',
            dict.fromkeys(image_types, self._on_image),
            depth=depths * IMAGE_DEPTH,
        )
        self._others = [
            TypedSubscription(
                node,
                topic,
                dict.fromkeys(image_types, partial(self._view.note_other, index)),
                depth=1,
            )
            for index, topic in enumerate(others)
        ]
        self._audio = TypedSubscription(
            node,
            'audio',
            {name: partial(self._on_audio, name) for name in _AUDIO_TYPES},
            depth=depths * AUDIO_DEPTH,
        )
        self._speaking = node.create_subscription(
            Bool, 'is_speaking', lambda m: self._mask.set_speaking(m.data, self._now_ns()), 10
        )
        self._played = None
        if self._subtraction is not None:
            self._played = AdaptiveSubscription(
                node, AudioChunk, 'audio_reference', self._on_played, depth=AUDIO_DEPTH
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
        return self._images.silence_s

    @property
    def audio_silence_s(self) -> float:
        """Return the time since the last audio chunk, or since the begin [s]."""
        return self._sound.silence_s

    def report(self) -> tuple[list[str], list[str]]:
        """Return what is wrong with the images and with the audio, in words, for diagnostics."""
        images = [*filter(None, [self._image.problem]), *self._images.report()]
        images += [other.problem for other in self._others if other.problem]
        return images, [*filter(None, [self._audio.problem]), *self._sound.report()]

    def configure(self, parameters: RomaParameters) -> None:
        """Take over what counts at once."""
        self._mask.hold_off_ns = _nanoseconds(parameters.hold_off_s)
        self._units.set_offsets(
            frame_offset_ns=_nanoseconds(parameters.image_offset_s),
            audio_offset_ns=_nanoseconds(parameters.audio_offset_s),
        )

    def close(self) -> None:
        """End all subscriptions."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._speaking)
        if self._info_subscription is not None:
            self._node.destroy_subscription(self._info_subscription)
        if self._played is not None:
            self._played.destroy()
        for subscription in (self._image, self._audio, *self._others):
            subscription.destroy()

    def log_rejections(self) -> None:
        """Log why the newest message was rejected, where that is news."""
        rejection = self._units.counters.last_rejection
        if rejection != self._rejection:
            self._rejection = rejection
            self._node.get_logger().warning(f'rejected a message: {rejection}')

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

    def _on_image(self, message: Any) -> None:
        stamp_ns, now_ns = time_to_ns(message.header.stamp), self._now_ns()
        self._images.note(stamp_ns, now_ns)
        self.frame_id = message.header.frame_id
        self._units.add_frame(stamp_ns or now_ns, self._view.frame(message))

    def _on_audio(self, type_name: str, message: Any) -> None:
        if type_name == _DESCRIBED_AUDIO and self._info_subscription is None:
            self._subscribe_to_info()
        now_ns = self._now_ns()
        try:
            chunk = read_audio(message, info=self._info)
        except ValueError as error:
            self._sound.note(time_to_ns(message.header.stamp), now_ns, amount=0)
            self._units.reject_audio(str(error))
            return
        num_samples, rate_hz = len(chunk.samples), chunk.rate_hz
        self._sound.note(chunk.stamp_ns, now_ns, amount=num_samples, rate_hz=rate_hz)
        chunk = _stamped(chunk, now_ns)
        is_known = self._subtraction is not None and self._subtraction.covers(chunk.stamp_ns)
        self._units.add_chunk(chunk if is_known else self._mask.apply(chunk))

    def _on_played(self, message: AudioChunk) -> None:
        assert self._subtraction is not None
        try:
            self._subtraction.add(_stamped(read_audio(message), self._now_ns()))
        except ValueError as error:
            self._node.get_logger().warning(f'rejected what is played: {error}')

    def _hand_on(self, unit: MultimodalUnit) -> None:
        self._on_unit(unit if self._subtraction is None else self._subtraction.apply(unit))

    def _subscribe_to_info(self) -> None:
        """Subscribe to what tells the audio's format; latched by audio_capture since 0.4."""
        topic = self._node.resolve_topic_name('audio_info')
        infos = self._node.get_publishers_info_by_topic(topic)
        latched = DurabilityPolicy.TRANSIENT_LOCAL
        if not infos:
            return  # the next chunk looks again
        is_latched = all(info.qos_profile.durability == latched for info in infos)
        self._info_subscription = self._node.create_subscription(
            import_message('audio_common_msgs/msg/AudioInfo'),
            'audio_info',
            self._on_info,
            QoSProfile(depth=1, durability=latched if is_latched else DurabilityPolicy.VOLATILE),
        )

    def _on_info(self, info: Any) -> None:
        self._info = info


def _stamped(chunk: Chunk, now_ns: int) -> Chunk:
    """Return a chunk with a stamp; one without arrived when its last sample was captured."""
    if chunk.stamp_ns or not chunk.rate_hz:
        return chunk
    return replace(chunk, stamp_ns=now_ns - len(chunk.samples) * UNIT_NS // chunk.rate_hz)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
