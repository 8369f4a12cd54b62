"""A camera and a microphone that fail when they are told to, for drills."""

import threading
import time

import numpy as np
from rclpy.node import Node

from ..msg import AudioChunk
from ..units.unit import SAMPLE_RATE_HZ, UNIT_NS
from .conversions import fill_audio_chunk, ns_to_time
from .image_publisher import ImagePublisher

_FRAME_PERIOD_CHUNKS = 2  # 25 frames a second
_CHUNK_S = 0.02
_HEIGHT, _WIDTH = 240, 320


class DrillSensors:
    """
    Publishes noise to see and to hear, stamped with its capture time, within ``with``.

    :param node: whose topics ``image`` and ``audio`` are.
    """

    def __init__(self, node: Node) -> None:
        self.camera = self.microphone = True  #: whether each works
        self.offset_s = 0.0  #: what is added to all stamps
        self._node = node
        self._images = ImagePublisher(
            node, transport='raw', encoding='rgb8', frame_id='camera', jpeg_quality=90
        )
        self._chunks = node.create_publisher(AudioChunk, 'audio', 100)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> 'DrillSensors':
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        rng = np.random.default_rng(0)
        pictures = rng.integers(0, 256, (4, _HEIGHT, _WIDTH, 3), dtype=np.uint8)
        num_samples = round(_CHUNK_S * SAMPLE_RATE_HZ)
        sound = rng.standard_normal((num_samples, 1)).astype(np.float32) * 0.1
        chunk = AudioChunk()
        begin_ns, begin_s = self._node.get_clock().now().nanoseconds, time.monotonic()
        number = 0
        while not self._stopping.is_set():
            due_s = begin_s + (number + 1) * _CHUNK_S  # when its last sample was captured
            time.sleep(max(0.0, due_s - time.monotonic()))
            stamp_ns = begin_ns + round((number * _CHUNK_S + self.offset_s) * UNIT_NS)
            if self.microphone:
                first = number * num_samples
                fill_audio_chunk(chunk, sound, rate_hz=SAMPLE_RATE_HZ, first_sample=first)
                chunk.header.stamp = ns_to_time(stamp_ns)
                self._chunks.publish(chunk)
            if self.camera and number % _FRAME_PERIOD_CHUNKS == 0:
                self._images.publish(pictures[number % 4], stamp_ns)
            number += 1
