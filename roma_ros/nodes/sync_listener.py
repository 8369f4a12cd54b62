"""A camera and a microphone, listened to for claps."""

import threading
from typing import Any

from rclpy.node import Node

from ..evaluation.clap_offset import ClapFinder, ClapOffset
from .conversions import read_audio, read_image, time_to_ns
from .message_definitions import import_message
from .qos import AdaptiveSubscription

_IMAGE_TYPES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
# Those that tell their format themselves.
_AUDIO_TYPES = ('roma_ros/msg/AudioChunk', 'audio_common_msgs/msg/AudioStamped')
_IMAGE_DEPTH, _AUDIO_DEPTH = 30, 200


class SyncListener:
    """
    Hands the images and the sound of two topics to a ``ClapFinder``, with their stamps as sent.

    :param node: whose executor serves the subscriptions, on a thread of its own.
    :param image_topic: full name.
    :param audio_topic: full name.
    """

    def __init__(self, node: Node, image_topic: str, audio_topic: str) -> None:
        self.image_topic, self.audio_topic = image_topic, audio_topic
        self.num_images = self.num_chunks = 0
        self.unread = ''  #: why the newest message that could not be read could not be
        self._node = node
        self._finder = ClapFinder()
        self._lock = threading.Lock()
        self._subscriptions: list[AdaptiveSubscription] = []

    def missing(self) -> list[str]:
        """Return the topics that nobody publishes in a type that can be read."""
        found = dict(self._node.get_topic_names_and_types())
        wanted = {self.image_topic: _IMAGE_TYPES, self.audio_topic: _AUDIO_TYPES}
        return [
            topic
            for topic, types in wanted.items()
            if not set(types) & set(found.get(topic, ())) or not self._node.count_publishers(topic)
        ]

    def start(self) -> None:
        """Subscribe to both topics, none of which may be missing."""
        found = dict(self._node.get_topic_names_and_types())
        for topic, types, take, depth in (
            (self.image_topic, _IMAGE_TYPES, self._take_image, _IMAGE_DEPTH),
            (self.audio_topic, _AUDIO_TYPES, self._take_audio, _AUDIO_DEPTH),
        ):
            name = next(name for name in types if name in found[topic])
            self._subscriptions.append(
                AdaptiveSubscription(self._node, import_message(name), topic, take, depth=depth)
            )

    def num_heard(self) -> int:
        """Return how many claps were heard so far."""
        with self._lock:
            return len(self._finder.heard_ns())

    def estimate(self) -> ClapOffset:
        """
        Estimate the offset from what came so far.

        :raises ValueError: when there are too few claps, or they do not agree.
        """
        with self._lock:
            return self._finder.estimate()

    def _take_image(self, message: Any) -> None:
        try:
            image = read_image(message)
        except ValueError as error:
            self.unread = str(error)
            return
        with self._lock:
            self.num_images += 1
            self._finder.add_image(time_to_ns(message.header.stamp), image)

    def _take_audio(self, message: Any) -> None:
        try:
            chunk = read_audio(message)
        except ValueError as error:
            self.unread = str(error)
            return
        with self._lock:
            self.num_chunks += 1
            self._finder.add_audio(chunk.stamp_ns, chunk.samples, rate_hz=chunk.rate_hz)
