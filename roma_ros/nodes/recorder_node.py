"""The node ``recorder``: the stream and what came of it, into one MCAP file."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
import struct
import threading
import time
from typing import Any

from rclpy.node import Node
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image

from .conversions import read_image
from .executable import run_node
from .image_publisher import import_cv2
from .mcap_log import McapLog
from .message_definitions import import_message
from .parameter_tables import RecorderParameters
from .parameters import declare_parameters, read_parameters
from .qos import AdaptiveSubscription

#: Messages that DDS keeps until they are taken.
_DEPTH = 100
_FLUSH_PERIOD_S = 1.0
_HEADER = {True: struct.Struct('<iI'), False: struct.Struct('>iI')}


@dataclass(frozen=True)
class _Entry:
    """A message that waits to be written."""

    topic: str
    data: bytes
    received_ns: int
    stamp_ns: int
    is_raw_image: bool


class RecorderNode(Node):
    """
    Writes topics as they come; raw images as JPEG, on a thread of its own.

    When compressing falls behind, new images are dropped and counted; other messages are not.

    :raises ValueError: when a parameter is wrong.
    :raises OSError: when the file exists or cannot be written.
    """

    def __init__(self) -> None:
        super().__init__('recorder')
        self._thread: threading.Thread | None = None
        self.finished = False  #: the file cannot be written any more
        self.exit_code = 0
        declare_parameters(self, RecorderParameters)
        self._settings = read_parameters(self, RecorderParameters)
        self._cv2: Any = None
        self._path = Path(self._settings.path).expanduser()
        topics = [_parse_topic(entry) for entry in filter(None, self._settings.topics)]
        self._log = McapLog(self._path)
        self._inputs: list[AdaptiveSubscription] = []
        self._entries: deque[_Entry] = deque()
        self._images_waiting = 0
        self._images_dropped = 0
        self._images_unreadable = 0
        self._stopping = False
        self._wake = threading.Condition()
        for name, type_name, message_type in topics:
            self._subscribe(name, type_name, message_type)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.get_logger().info(f'recording to {self._path}')

    def destroy_node(self) -> None:
        """Write what has arrived, close the file, then end the node."""
        thread, self._thread = self._thread, None
        if thread is not None:
            for subscription in self._inputs:
                subscription.take_rest()
            with self._wake:
                self._stopping = True
                self._wake.notify()
            thread.join()
        super().destroy_node()

    def _subscribe(self, name: str, type_name: str, message_type: Any) -> None:
        is_raw_image = message_type is Image
        topic = self.resolve_topic_name(name)
        if is_raw_image:
            self._cv2 = import_cv2('recordings of raw images')
            self._log.add_topic(f'{topic}/compressed', 'sensor_msgs/msg/CompressedImage')
        else:
            self._log.add_topic(topic, type_name)
        fields = list(message_type.get_fields_and_field_types().items())
        take: Callable[[bytes], None] = partial(
            self._take,
            topic=topic,
            has_header=fields[:1] == [('header', 'std_msgs/Header')],
            is_raw_image=is_raw_image,
        )
        self._inputs.append(
            AdaptiveSubscription(self, message_type, name, take, depth=_DEPTH, raw=True)
        )

    def _take(self, data: bytes, *, topic: str, has_header: bool, is_raw_image: bool) -> None:
        received_ns = self.get_clock().now().nanoseconds
        stamp_ns = _read_stamp_ns(data) if has_header else 0
        entry = _Entry(topic, data, received_ns, stamp_ns or received_ns, is_raw_image)
        with self._wake:
            if is_raw_image:
                if self._images_waiting >= self._settings.queue_capacity:
                    self._images_dropped += 1
                    self.get_logger().warning(
                        f'dropped {self._images_dropped} images so far: compressing them is '
                        'slower than they come',
                        throttle_duration_sec=5.0,
                    )
                    return
                self._images_waiting += 1
            self._entries.append(entry)
            self._wake.notify()

    def _run(self) -> None:
        try:
            self._write_until_stopped()
            self._log.close()
        except OSError as error:
            self.get_logger().error(f'cannot write {self._path}: {error}')
            self.exit_code = 1
            self.finished = True
            return
        counts = ', '.join(f'{n} of {topic}' for topic, n in self._log.counts.items())
        self.get_logger().info(
            f'recorded {self._path}: {counts}; dropped {self._images_dropped} images, '
            f'{self._images_unreadable} unreadable'
        )

    def _write_until_stopped(self) -> None:
        flushed_s = time.monotonic()
        while True:
            with self._wake:
                self._wake.wait_for(
                    lambda: self._entries or self._stopping, timeout=_FLUSH_PERIOD_S
                )
                if not self._entries and self._stopping:
                    return
                entry = self._entries.popleft() if self._entries else None
            if entry is not None:
                self._write(entry)
            if time.monotonic() - flushed_s > _FLUSH_PERIOD_S:
                self._log.flush()
                flushed_s = time.monotonic()

    def _write(self, entry: _Entry) -> None:
        topic, data = entry.topic, entry.data
        if entry.is_raw_image:
            with self._wake:
                self._images_waiting -= 1
            topic = f'{topic}/compressed'
            try:
                data = self._compress(data)
            except ValueError as error:
                self._images_unreadable += 1
                self.get_logger().warning(f'image left out: {error}', throttle_duration_sec=5.0)
                return
        self._log.write(topic, data, received_ns=entry.received_ns, stamp_ns=entry.stamp_ns)

    def _compress(self, data: bytes) -> bytes:
        message = deserialize_message(data, Image)
        pixels = self._cv2.cvtColor(read_image(message), self._cv2.COLOR_RGB2BGR)
        quality = [self._cv2.IMWRITE_JPEG_QUALITY, self._settings.jpeg_quality]
        jpeg = self._cv2.imencode('.jpg', pixels, quality)[1].tobytes()
        compressed = CompressedImage(
            header=message.header, format=f'{message.encoding}; jpeg compressed bgr8', data=jpeg
        )
        return serialize_message(compressed)


def _parse_topic(entry: str) -> tuple[str, str, Any]:
    words = entry.split()
    if len(words) != 2:
        raise ValueError(
            f"cannot read the topic {entry!r}; write name and type, 'image sensor_msgs/msg/Image'"
        )
    return words[0], words[1], import_message(words[1])


def _read_stamp_ns(data: bytes) -> int:
    """Return the stamp of a serialized message that begins with a header."""
    is_little_endian = data[1] % 2 == 1  # of the CDR's own header of four bytes
    seconds, nanoseconds = _HEADER[is_little_endian].unpack_from(data, 4)
    return seconds * 1_000_000_000 + nanoseconds


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return run_node(RecorderNode, args)
