"""The node ``playback``: a media file or a bag to the topics ``image`` and ``audio``."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
import queue
import threading
import time
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock as ClockMessage

from ..msg import AudioChunk
from ..units.bag import Bag
from ..units.media_file import MediaFile
from ..units.recording import TimedChunk, TimedFrame
from ..units.unit import UNIT_NS
from ..units.video import Image
from .conversions import fill_audio_chunk, ns_to_time
from .executable import run_node
from .image_publisher import ImagePublisher, import_cv2
from .parameter_tables import PlaybackParameters
from .parameters import declare_parameters, read_parameters
from .playlist import in_order, Item, limit_fps, repeat, split_chunks

#: Items that are decoded ahead; about 0.4 s.
_QUEUE_ITEMS = 32
#: Lateness from which a message counts as late [s].
_LATE_S = 0.05
_CLOCK_PERIOD_S = 0.01
#: Wait after subscribers were matched, so that they know of it too [s].
_SETTLE_S = 0.5
#: How long the last messages may take to arrive [s].
_ARRIVE_S = 5.0
#: And those of one that is told to end, whose subscribers may hang.
_STOPPED_ARRIVE_S = 0.5
#: Messages that are kept until they have arrived: about 1/2 s and 2 s of real time. Faster than
#: that, what waits would push out older ones that nobody has yet, so more are kept.
_IMAGE_DEPTH, _AUDIO_DEPTH, _FAST_DEPTHS = 15, 100, 8
_BAG_SUFFIXES = ('.mcap', '.db3')


class PlaybackNode(Node):
    """
    Publishes a recording as a live camera and microphone would.

    Images and chunks leave at absolute times, so that nothing drifts: an image at its capture
    time, a chunk when its last sample was captured. Stamps are capture times: the ROS time of
    the begin plus the time in the recording. What is published late is counted and told, and
    nothing is left out.

    :raises ValueError: when the source cannot be played or a parameter is wrong.
    :raises FileNotFoundError: when there is no such source.
    """

    def __init__(self) -> None:
        super().__init__('playback')
        # First: a node that cannot start is destroyed, too.
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        declare_parameters(self, PlaybackParameters)
        self._settings = parameters = read_parameters(self, PlaybackParameters)
        self.finished = False  #: everything was published, and ``exit_at_end`` is set
        self.exit_code = 0  #: 1 after a source that broke
        self._items = _open_source(parameters)
        self._cv2 = import_cv2('resized images') if parameters.width or parameters.height else None
        has_images, has_audio = _contents(self._items)
        self._pictures = self._sound = None
        depths = _FAST_DEPTHS if parameters.rate > 1 else 1
        if has_images:
            self._pictures = ImagePublisher(
                self,
                transport=parameters.image_transport,
                encoding='rgb8',
                frame_id=parameters.image_frame_id,
                jpeg_quality=parameters.jpeg_quality,
                depth=depths * _IMAGE_DEPTH,
            )
        if has_audio:
            self._sound = self.create_publisher(
                AudioChunk, 'audio', QoSProfile(depth=depths * _AUDIO_DEPTH)
            )
        self._chunk = AudioChunk()
        self._chunk.header.frame_id = parameters.audio_frame_id
        self._stamp_clock = self.get_clock()
        self._clock_publisher = None
        if parameters.publish_clock:
            self._stamp_clock = Clock(clock_type=ClockType.SYSTEM_TIME)  # not our own /clock
            self._clock_publisher = self.create_publisher(ClockMessage, '/clock', 1)
        elif parameters.rate != 1.0:
            self.get_logger().warning(
                f'rate is {parameters.rate} without publish_clock: stamps will run away from the '
                'clock of the nodes that listen'
            )
        self._counts: Counter[str] = Counter()
        self._worst_late_s = 0.0
        self._first_chunk_ns: int | None = None
        self._decoded: queue.Queue[tuple[Item, Image | None] | None] = queue.Queue(_QUEUE_ITEMS)
        self._threads = [
            threading.Thread(target=self._run, args=(work,), daemon=True)
            for work in (self._decode, self._play)
        ]
        for thread in self._threads:
            thread.start()

    def destroy_node(self) -> None:
        """End playing, then the node."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        super().destroy_node()

    def _run(self, work: Any) -> None:
        try:
            work()
        except Exception as error:
            self.get_logger().error(f'cannot go on playing {self._settings.source}: {error!r}')
            self.exit_code = 1
            self.finished = True
            self._stopping.set()

    def _decode(self) -> None:
        for item in _arrange(self._items, self._settings):
            image = None
            if isinstance(item, TimedFrame):
                try:
                    image = self._resize(item.decode())
                except ValueError as error:
                    self._counts['corrupt images'] += 1
                    self.get_logger().warning(f'image left out: {error}')
                    continue
            self._put((item, image))
            if self._stopping.is_set():
                return
        self._put(None)

    def _put(self, entry: tuple[Item, Image | None] | None) -> None:
        while not self._stopping.is_set():
            try:
                return self._decoded.put(entry, timeout=0.1)
            except queue.Full:
                continue

    def _get(self) -> tuple[Item, Image | None] | None:
        while not self._stopping.is_set():
            try:
                return self._decoded.get(timeout=0.1)
            except queue.Empty:
                continue
        return None

    def _resize(self, image: Image) -> Image:
        if self._cv2 is None:
            return image
        height, width = image.shape[:2]
        wanted_w, wanted_h = self._settings.width, self._settings.height
        size = (
            wanted_w or max(1, round(width * wanted_h / height)),
            wanted_h or max(1, round(height * wanted_w / width)),
        )
        return self._cv2.resize(image, size, interpolation=self._cv2.INTER_AREA)

    def _play(self) -> None:
        entry = self._get()
        if entry is None:
            self._finish(0.0)
            return
        self._wait_for_subscribers()
        origin_ns = entry[0].stamp_ns
        keeps_stamps = self._settings.publish_clock and isinstance(self._items, Bag)
        base_ns = origin_ns if keeps_stamps else self._stamp_clock.now().nanoseconds
        begin_s = time.monotonic()
        while entry is not None:
            item, image = entry
            due_s = begin_s + (item.end_ns - origin_ns) / UNIT_NS / self._settings.rate
            self._wait_until(due_s, begin_s=begin_s, base_ns=base_ns)
            if self._stopping.is_set():
                break
            self._count_lateness(time.monotonic() - due_s)
            self._publish(item, image, base_ns + item.stamp_ns - origin_ns)
            entry = self._get()
        self._finish(time.monotonic() - begin_s)

    @property
    def _outputs(self) -> list[Publisher]:
        images = [] if self._pictures is None else [self._pictures.publisher]
        return images if self._sound is None else [*images, self._sound]

    def _wait_for_subscribers(self) -> None:
        wanted = self._settings.wait_for_subscribers
        if not wanted:
            return
        self.get_logger().info(f'waiting for {wanted} subscribers of each topic')
        deadline_s = time.monotonic() + self._settings.subscribers_timeout_s
        while not self._stopping.wait(0.02):
            counts = {p.topic_name: p.get_subscription_count() for p in self._outputs}
            if min(counts.values()) >= wanted:
                self._stopping.wait(_SETTLE_S)
                return
            if time.monotonic() > deadline_s:
                found = ', '.join(f'{n} of {topic}' for topic, n in counts.items())
                self.get_logger().warning(
                    f'waited {self._settings.subscribers_timeout_s} s for {wanted} subscribers, '
                    f'begin with {found}'
                )
                return

    def _wait_until(self, due_s: float, *, begin_s: float, base_ns: int) -> None:
        while True:
            now_s = time.monotonic()
            if self._clock_publisher is not None:
                elapsed_ns = int((min(now_s, due_s) - begin_s) * self._settings.rate * UNIT_NS)
                self._clock_publisher.publish(ClockMessage(clock=ns_to_time(base_ns + elapsed_ns)))
                wait_s = min(due_s - now_s, _CLOCK_PERIOD_S)
            else:
                wait_s = due_s - now_s
            if wait_s <= 0 or self._stopping.wait(wait_s):
                return

    def _count_lateness(self, late_s: float) -> None:
        self._worst_late_s = max(self._worst_late_s, late_s)
        if late_s > _LATE_S:
            self._counts['late'] += 1
            self.get_logger().warning(
                f'falls behind: {self._counts["late"]} messages late, by {late_s * 1e3:.0f} ms '
                'now; choose smaller images, fewer frames or a lower rate',
                throttle_duration_sec=5.0,
            )

    def _publish(self, item: Item, image: Image | None, stamp_ns: int) -> None:
        if image is not None and self._pictures is not None:
            self._pictures.publish(image, stamp_ns)
            self._counts['images'] += 1
        elif isinstance(item, TimedChunk) and self._sound is not None:
            first_sample = item.first_sample
            if first_sample is None:  # counted by time, so that a gap shows
                if self._first_chunk_ns is None:
                    self._first_chunk_ns = stamp_ns
                elapsed_ns = stamp_ns - self._first_chunk_ns
                first_sample = round(elapsed_ns * item.rate_hz / UNIT_NS)
            fill_audio_chunk(
                self._chunk, item.samples, rate_hz=item.rate_hz, first_sample=first_sample
            )
            self._chunk.header.stamp = ns_to_time(stamp_ns)
            self._sound.publish(self._chunk)
            self._counts['chunks'] += 1
            self._counts['samples'] += len(item.samples)

    def _finish(self, played_s: float) -> None:
        arrive_s = _STOPPED_ARRIVE_S if self._stopping.is_set() else _ARRIVE_S
        for publisher in self._outputs:
            publisher.wait_for_all_acked(Duration(seconds=arrive_s))
        counts = self._counts
        self.get_logger().info(
            f'played {played_s:.1f} s of {self._settings.source}: {counts["images"]} images, '
            f'{counts["chunks"]} audio chunks ({counts["samples"]} samples), '
            f'{counts["corrupt images"]} corrupt images left out, {counts["late"]} messages late, '
            f'worst {self._worst_late_s * 1e3:.0f} ms'
        )
        self.finished = self._settings.exit_at_end


def _open_source(parameters: PlaybackParameters) -> MediaFile | Bag:
    if not parameters.source:
        raise ValueError("parameter source is empty: give a media file or a bag, source:='...'")
    path = Path(parameters.source).expanduser()
    if path.is_dir() or path.suffix in _BAG_SUFFIXES:
        return Bag(
            path,
            image_topic=parameters.bag_image_topic or None,
            audio_topic=parameters.bag_audio_topic or None,
        )
    return MediaFile(path)


def _contents(items: MediaFile | Bag) -> tuple[bool, bool]:
    """Return whether there are images, and audio."""
    if isinstance(items, Bag):
        return bool(items.image_topic), bool(items.audio_topic)
    return items.has_video, items.has_audio


def _arrange(items: Iterable[Item], parameters: PlaybackParameters) -> Iterator[Item]:
    is_bag = isinstance(items, Bag)
    if parameters.loop:
        items = repeat(items)
    if not is_bag:  # whose chunks and gaps are a microphone's own
        items = split_chunks(items, round(parameters.chunk_s * UNIT_NS))
    items = in_order(items)
    return limit_fps(items, parameters.max_fps) if parameters.max_fps else iter(items)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return run_node(PlaybackNode, args)
