"""The newest picture of a camera, small, as JPEG, for who looks at it now and then."""

import threading
import time
from typing import Any

from rclpy.node import Node
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image

from .conversions import read_image
from .image_publisher import import_cv2
from .qos import AdaptiveSubscription

_TYPES = {
    'sensor_msgs/msg/Image': Image,
    'sensor_msgs/msg/CompressedImage': CompressedImage,
}
#: Sides of what is shown [px], and its JPEG quality.
_MAX_SIDE_PX, _JPEG_QUALITY = 640, 75
#: Pixels from which an image is not decoded: 8K and a little more.
_MAX_PIXELS = 40_000_000
#: A picture this old is not the camera's present one [s].
_OLD_S = 5.0


class NewestImage:
    """
    Keeps a camera's newest message as it came; decodes only what is asked for.

    :param node: whose executor serves the subscription.
    :raises ValueError: when OpenCV is missing.
    """

    def __init__(self, node: Node) -> None:
        self._cv2 = import_cv2('pictures in the browser')
        self._node = node
        self._subscription: AdaptiveSubscription | None = None
        self._type: Any = None
        self._lock = threading.Lock()
        self._number, self._data, self._received_s = 0, b'', 0.0
        self._jpeg: tuple[int, bytes] = 0, b''
        self.topic = ''  #: full name of what is looked at

    def follow(self, topic: str) -> None:
        """
        Look at a topic, if it has images, instead of any other.

        :param topic: full name; of a topic that nobody publishes, nothing is looked at.
        """
        if topic == self.topic:
            return
        types = dict(self._node.get_topic_names_and_types()).get(topic, [])
        name = next((name for name in types if name in _TYPES), None)
        if name is None:
            return
        if self._subscription is not None:
            self._subscription.destroy()
        with self._lock:
            self._type, self._data, self._number = _TYPES[name], b'', 0
        self._subscription = AdaptiveSubscription(
            self._node, self._type, topic, self._take, depth=1, raw=True
        )
        self.topic = topic

    def jpeg(self) -> bytes | None:
        """
        Return the newest picture; None where there is no new one. Any thread may ask.

        :raises ValueError: when it cannot be decoded.
        """
        with self._lock:
            number, data, received_s = self._number, self._data, self._received_s
            kind, (encoded_number, encoded) = self._type, self._jpeg
        if not data or time.monotonic() - received_s > _OLD_S:
            return None
        if number != encoded_number:
            encoded = self._encode(deserialize_message(data, kind))
            with self._lock:
                self._jpeg = number, encoded
        return encoded

    def _take(self, data: bytes) -> None:
        with self._lock:
            self._number += 1
            self._data, self._received_s = data, time.monotonic()

    def _encode(self, message: Any) -> bytes:
        if isinstance(message, Image) and message.width * message.height > _MAX_PIXELS:
            raise ValueError(
                f'image is {message.width}x{message.height}, which is more than is shown'
            )
        pixels = read_image(message)
        height, width = pixels.shape[:2]
        scale = min(1.0, _MAX_SIDE_PX / max(height, width))
        if scale < 1.0:
            size = max(1, round(width * scale)), max(1, round(height * scale))
            pixels = self._cv2.resize(pixels, size, interpolation=self._cv2.INTER_AREA)
        quality = [self._cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        encoded = self._cv2.imencode('.jpg', pixels[..., ::-1], quality)[1]
        return bytes(encoded.tobytes())
