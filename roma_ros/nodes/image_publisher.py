"""Publishing camera images, raw or as JPEG."""

from typing import Any

import numpy as np
import numpy.typing as npt
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image

from .conversions import fill_image, ns_to_time


class ImagePublisher:
    """
    Publishes on ``image``, or as JPEG on ``image/compressed``.

    :param node: whose topic it is.
    :param transport: ``raw`` or ``compressed``.
    :param encoding: ``rgb8`` or ``bgr8``, of the arrays that will be given.
    :param frame_id: optical frame of the camera.
    :param jpeg_quality: 1..100.
    :param depth: images that are kept until they have arrived.
    :raises ValueError: when JPEG is wanted and OpenCV is missing.
    """

    def __init__(
        self,
        node: Node,
        *,
        transport: str,
        encoding: str,
        frame_id: str,
        jpeg_quality: int,
        depth: int = 15,
    ) -> None:
        self._cv2 = import_cv2('compressed images') if transport == 'compressed' else None
        self._encoding = encoding
        self._jpeg_quality = jpeg_quality
        self._message: Any
        if self._cv2 is None:
            self.publisher = node.create_publisher(Image, 'image', QoSProfile(depth=depth))
            self._message = Image()
        else:
            self.publisher = node.create_publisher(
                CompressedImage, 'image/compressed', QoSProfile(depth=depth)
            )
            self._message = CompressedImage(format=f'{encoding}; jpeg compressed bgr8')
        self._message.header.frame_id = frame_id

    def publish(self, image: npt.NDArray[np.uint8], stamp_ns: int) -> None:
        """
        Publish an image.

        :param image: uint8 ``[H, W, 3]`` in the encoding.
        :param stamp_ns: capture time [ns].
        """
        message = self._message
        message.header.stamp = ns_to_time(stamp_ns)
        if self._cv2 is None:
            fill_image(message, image)
            message.encoding = self._encoding
        else:
            if self._encoding == 'rgb8':
                image = image[..., ::-1]
            quality = [self._cv2.IMWRITE_JPEG_QUALITY, self._jpeg_quality]
            message.data = self._cv2.imencode('.jpg', image, quality)[1].tobytes()
        self.publisher.publish(message)


def import_cv2(why: str) -> Any:
    """
    Import OpenCV.

    :param why: what needs it, for the error.
    :raises ValueError: when it is missing, with what to install.
    """
    try:
        import cv2
    except ImportError as error:
        raise ValueError(
            f'OpenCV, which {why} need, cannot be imported ({error}); install it: '
            "'pip install opencv-python-headless' or 'apt install python3-opencv'"
        ) from None
    return cv2
