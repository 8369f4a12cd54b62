"""
Processes that tell what conversions, units and DDS cost: a sensor, and some that listen.

``python -m roma_ros.nodes.cost ROLE SECONDS WIDTH HEIGHT`` prints one line of JSON at its end.
The roles: ``sensors`` publishes a camera at 30 fps and a microphone in chunks of 20 ms; ``raw``
takes both as bytes, of which no message is made; ``bare`` subscribes to both and does nothing;
``units`` makes units of them, as the node does; ``pairs`` is the usual pipeline, a chunk beside
each image by ``message_filters.ApproximateTimeSynchronizer``.
"""

from collections.abc import Callable
import json
import sys
import time
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from ..msg import AudioChunk
from ..units.synchronizer import SynchronizerConfig
from ..units.unit import MultimodalUnit, SAMPLE_RATE_HZ
from .conversions import fill_audio_chunk, ns_to_time, time_to_ns
from .filters import UnitFilter
from .image_publisher import ImagePublisher
from .inputs import ADVANCE_PERIOD_S, AUDIO_DEPTH, IMAGE_DEPTH
from .qos import AdaptiveSubscription

FRAME_RATE_HZ = 30
_CHUNK_S = 0.02
#: From the first message on, what is not counted: discovery and the first allocations [s].
_WARM_UP_S = 2.0


class _Meter:
    """CPU time and messages of this process, from some time after the first message on."""

    def __init__(self, seconds: float) -> None:
        self.finished = False
        self._seconds = seconds
        self._begin_s: float | None = None
        self._cpu_begin_s = 0.0
        self.counts = {'images': 0, 'chunks': 0, 'units': 0, 'units_whole': 0}
        self.delays_ms: dict[str, list[float]] = {'images': [], 'units': []}
        self.figures: dict[str, Any] = {}

    def add(self, what: str, delay_ms: float | None = None) -> None:
        now_s = time.monotonic()
        if self._begin_s is None:
            self._begin_s = now_s + _WARM_UP_S
        if now_s < self._begin_s or self.finished:
            return
        if not self._cpu_begin_s:
            self._begin_s, self._cpu_begin_s = now_s, time.process_time()
        self.counts[what] += 1
        if delay_ms is not None:
            self.delays_ms[what].append(delay_ms)
        elapsed_s = now_s - self._begin_s
        if elapsed_s >= self._seconds:
            self.finished = True
            self.figures = {
                'cpu_share': (time.process_time() - self._cpu_begin_s) / elapsed_s,
                'seconds': elapsed_s,
                **self.counts,
                **{
                    f'{name}_delay_ms_{q}': float(np.percentile(values, p))
                    for name, values in self.delays_ms.items()
                    if values
                    for q, p in (('p50', 50), ('p95', 95))
                },
            }


class _Listener(Node):
    """Subscribes to the camera and the microphone as the node does."""

    def __init__(self, name: str, meter: _Meter, *, raw: bool = False) -> None:
        super().__init__(name)
        self._meter = meter
        self._image = AdaptiveSubscription(
            self, Image, 'image', self._on_image, depth=IMAGE_DEPTH, raw=raw
        )
        self._audio = AdaptiveSubscription(
            self, AudioChunk, 'audio', self._on_audio, depth=AUDIO_DEPTH, raw=raw
        )

    def _delay_ms(self, stamp_ns: int) -> float:
        return (self.get_clock().now().nanoseconds - stamp_ns) / 1e6

    def _on_image(self, message: Image) -> None:
        self._meter.add('images', self._delay_ms(time_to_ns(message.header.stamp)))

    def _on_audio(self, message: AudioChunk) -> None:
        self._meter.add('chunks')


class _RawListener(_Listener):
    """Takes bytes; when they were captured nobody has read."""

    def __init__(self, name: str, meter: _Meter) -> None:
        super().__init__(name, meter, raw=True)

    def _on_image(self, message: Any) -> None:
        self._meter.add('images')


class _PairListener(Node):
    """Takes an image and the chunk nearest to it; all other chunks are thrown away."""

    def __init__(self, name: str, meter: _Meter) -> None:
        from message_filters import ApproximateTimeSynchronizer, Subscriber

        super().__init__(name)
        self._meter = meter
        self._inputs = [
            Subscriber(self, Image, 'image', qos_profile=QoSProfile(depth=IMAGE_DEPTH)),
            Subscriber(self, AudioChunk, 'audio', qos_profile=QoSProfile(depth=AUDIO_DEPTH)),
        ]
        self._pairs = ApproximateTimeSynchronizer(self._inputs, AUDIO_DEPTH, _CHUNK_S)
        self._pairs.registerCallback(self._on_pair)

    def _on_pair(self, image: Image, chunk: AudioChunk) -> None:
        delay_ns = self.get_clock().now().nanoseconds - time_to_ns(image.header.stamp)
        self._meter.add('images', delay_ns / 1e6)
        self._meter.add('chunks')


class _UnitListener(_Listener):
    """Makes units of what it hears and sees."""

    def __init__(self, name: str, meter: _Meter) -> None:
        super().__init__(name, meter)
        self._units = UnitFilter(
            SynchronizerConfig(), now_ns=lambda: self.get_clock().now().nanoseconds
        )
        self._units.registerCallback(self._on_unit)
        self.create_timer(ADVANCE_PERIOD_S, self._units.advance)

    def _on_image(self, message: Image) -> None:
        self._units.add_image(message)
        super()._on_image(message)

    def _on_audio(self, message: AudioChunk) -> None:
        self._units.add_audio(message)
        super()._on_audio(message)

    def _on_unit(self, unit: MultimodalUnit) -> None:
        self._meter.add('units', self._delay_ms(unit.end_ns))
        if len(unit.frames) == 2 and not unit.audio_gaps_ns:
            self._meter.add('units_whole')


class _Sensors(Node):
    """Publishes pictures of noise and a tone, at absolute times."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__('sensors')
        self._images = ImagePublisher(
            self, transport='raw', encoding='rgb8', frame_id='camera', jpeg_quality=90
        )
        self._chunks = self.create_publisher(AudioChunk, 'audio', 100)
        rng = np.random.default_rng(0)
        self._pictures = rng.integers(0, 256, (4, height, width, 3), dtype=np.uint8)
        num_samples = round(_CHUNK_S * SAMPLE_RATE_HZ)
        tone = np.sin(np.arange(num_samples) * 0.3) * 0.3
        self._samples = tone.astype(np.float32)[:, None]

    def run(self, is_finished: Callable[[], bool]) -> None:
        """Publish until it is finished."""
        chunk = AudioChunk()
        begin_ns = self.get_clock().now().nanoseconds
        due = {'image': 0, 'chunk': 0}
        periods = {'image': 1 / FRAME_RATE_HZ, 'chunk': _CHUNK_S}
        while not is_finished():
            name = min(due, key=lambda n: due[n] * periods[n])
            stamp_ns = begin_ns + round(due[name] * periods[name] * 1e9)
            # A chunk leaves when its last sample was captured.
            leaves_ns = stamp_ns + (round(_CHUNK_S * 1e9) if name == 'chunk' else 0)
            time.sleep(max(0, leaves_ns - self.get_clock().now().nanoseconds) / 1e9)
            if name == 'image':
                self._images.publish(self._pictures[due[name] % 4], stamp_ns)
            else:
                first = due[name] * len(self._samples)
                fill_audio_chunk(chunk, self._samples, rate_hz=SAMPLE_RATE_HZ, first_sample=first)
                chunk.header.stamp = ns_to_time(stamp_ns)
                self._chunks.publish(chunk)
            due[name] += 1


_LISTENERS: dict[str, Callable[[str, _Meter], Node]] = {
    'raw': _RawListener,
    'bare': _Listener,
    'units': _UnitListener,
    'pairs': _PairListener,
}


def main(role: str, seconds: float, width: int, height: int) -> None:
    """Run one role for so long, and print what it cost."""
    rclpy.init()
    if role == 'sensors':
        end_s = time.monotonic() + seconds
        _Sensors(width, height).run(lambda: time.monotonic() > end_s)
        return
    meter = _Meter(seconds)
    node = _LISTENERS[role](role, meter)
    end_s = time.monotonic() + 4 * seconds + 30
    while not meter.finished and time.monotonic() < end_s:
        rclpy.spin_once(node, timeout_sec=0.5)
    print(json.dumps(meter.figures), flush=True)


if __name__ == '__main__':
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
