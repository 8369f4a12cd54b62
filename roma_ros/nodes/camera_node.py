"""The node ``camera``: a video device to the topic ``image``, for machines without a driver."""

from collections.abc import Sequence
import os
import time
from typing import Any

from .device import DeviceError, DeviceNode
from .executable import run_node
from .image_publisher import ImagePublisher, import_cv2
from .parameter_tables import CameraParameters
from .parameters import declare_parameters, read_parameters

#: Age up to which a device's own stamp is believed [ns].
_MAX_AGE_NS = 1_000_000_000


class CameraNode(DeviceNode):
    """
    Publishes what OpenCV captures.

    The stamp is the driver's own where there is one: V4L2 stamps a buffer when its first byte
    arrives, right after the exposure. Otherwise it is the time at which the image was there,
    which is some 30 to 100 ms late; ``image_offset_s`` of the node ``roma`` undoes that.

    :raises ValueError: when OpenCV is missing or a parameter is wrong.
    """

    def __init__(self) -> None:
        super().__init__('camera')
        declare_parameters(self, CameraParameters)
        self._settings = read_parameters(self, CameraParameters)
        self._cv2 = import_cv2('cameras')
        self._images = ImagePublisher(
            self,
            transport=self._settings.image_transport,
            encoding='bgr8',
            frame_id=self._settings.frame_id,
            jpeg_quality=self._settings.jpeg_quality,
        )
        self.start(retry_max_s=self._settings.retry_max_s)

    def capture(self) -> None:
        """Read the camera until the node stops."""
        wanted = self._settings.device
        capture = self._cv2.VideoCapture(int(wanted) if wanted.isdecimal() else wanted)
        try:
            if not capture.isOpened():
                raise DeviceError(
                    f'cannot open the camera {wanted!r}; is it plugged in, free, and may this '
                    "user read it (group 'video')?"
                )
            self._publish_from(capture)
        finally:
            capture.release()

    def _publish_from(self, capture: Any) -> None:
        cv2, parameters = self._cv2, self._settings
        is_file = os.path.isfile(parameters.device)
        if not is_file:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, parameters.width)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, parameters.height)
            capture.set(cv2.CAP_PROP_FPS, parameters.fps)
        width, height = (
            int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        backend = capture.getBackendName()
        self.opened(f'{parameters.device} ({width}x{height}, {backend})')
        deadline_s = time.monotonic()
        while not self.stopping.is_set():
            if is_file:  # a device sets the pace itself
                deadline_s += 1 / parameters.fps
                self.stopping.wait(max(0.0, deadline_s - time.monotonic()))
            if not capture.grab():
                raise DeviceError(f'lost the camera {parameters.device!r}: no more images')
            now_ns, monotonic_ns = self.get_clock().now().nanoseconds, time.monotonic_ns()
            device_ms = capture.get(cv2.CAP_PROP_POS_MSEC) if backend == 'V4L2' else 0.0
            ok, image = capture.retrieve()
            if not ok:
                self.counters['undecodable images'] += 1
                continue
            self._images.publish(image, capture_stamp_ns(now_ns, monotonic_ns, device_ms))
            self.count_message()


def capture_stamp_ns(now_ns: int, monotonic_ns: int, device_ms: float) -> int:
    """
    Return the capture time of an image in ROS time [ns].

    :param now_ns: ROS time at which it was there.
    :param monotonic_ns: the system's monotonic time at the same moment.
    :param device_ms: the driver's stamp on the monotonic clock [ms]; believed when it is of the
        last second, since some drivers leave it at 0 or count from another begin.
    """
    age_ns = monotonic_ns - round(device_ms * 1e6)
    return now_ns - age_ns if 0 <= age_ns <= _MAX_AGE_NS else now_ns


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return run_node(CameraNode, args)
