"""Units from a ROS 2 bag or a lone MCAP file, without ROS."""

from collections.abc import Iterator
from contextlib import closing
from functools import partial
import logging
from pathlib import Path
from typing import Any

from .message_readers import read_audio, read_image, time_to_ns
from .recording import TimedChunk, TimedFrame, units_from_recording
from .unit import MultimodalUnit, UNIT_NS

logger = logging.getLogger(__name__)

_IMAGE_TYPES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
_AUDIO_TYPES = (
    'roma_ros/msg/AudioChunk',
    'audio_common_msgs/msg/AudioDataStamped',
    'audio_common_msgs/msg/AudioStamped',
)
_INFO_TYPE = 'audio_common_msgs/msg/AudioInfo'


class Bag:
    """
    Read one image topic and one audio topic of a bag in the order of arrival.

    Iterating opens the bag anew. Times are the messages' stamps, or those of arrival where a
    stamp is zero. Malformed audio is left out with a warning.

    :param path: folder of a bag (sqlite3 or MCAP storage), or a lone ``.mcap`` or ``.db3`` file.
    :param image_topic: its name; None = the only one with images, '' = none.
    :param audio_topic: its name; None = the only one with audio, '' = none.
    :raises FileNotFoundError: when there is no such bag.
    :raises ValueError: when it is no bag, or the topics are not there or not unique.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        image_topic: str | None = None,
        audio_topic: str | None = None,
    ) -> None:
        self.path = Path(path)
        with self._open() as reader:
            self.image_topic = self._find(reader, 'image', image_topic, _IMAGE_TYPES)
            self.audio_topic = self._find(reader, 'audio', audio_topic, _AUDIO_TYPES)
        if not (self.image_topic or self.audio_topic):
            raise ValueError(f'bag has no topic with images or audio: {self.path}')

    def __iter__(self) -> Iterator[TimedFrame | TimedChunk]:
        """Read from the begin."""
        with self._open() as reader:
            connections = [
                connection
                for connection in reader.connections
                if connection.topic in (self.image_topic, self.audio_topic)
                or connection.msgtype == _INFO_TYPE
            ]
            # The latched message may have been recorded after the first audio.
            info = self._first_info(reader)
            for connection, arrival_ns, data in reader.messages(connections):
                message = reader.deserialize(data, connection.msgtype)
                if connection.msgtype == _INFO_TYPE:
                    info = message
                elif connection.topic == self.image_topic:
                    stamp_ns = time_to_ns(message.header.stamp) or arrival_ns
                    yield TimedFrame(stamp_ns, partial(read_image, message))
                else:
                    yield from self._read_chunk(message, info, arrival_ns)

    def _open(self) -> Any:
        try:
            from rosbags.highlevel import AnyReader, AnyReaderError
            from rosbags.typesys import get_typestore, Stores
        except ImportError as error:
            raise ImportError('bags need the rosbags package: pip install rosbags') from error
        if not self.path.exists():
            raise FileNotFoundError(f'no bag: {self.path}')
        try:
            reader = AnyReader([self.path], default_typestore=get_typestore(Stores.LATEST))
            reader.open()
        except (AnyReaderError, OSError) as error:
            hint = '; "mcap recover" mends a file that was not closed' * ('magic' in str(error))
            raise ValueError(f'not a bag ({error}{hint}): {self.path}') from error
        return closing(reader)

    def _find(self, reader: Any, kind: str, name: str | None, types: tuple[str, ...]) -> str:
        """Return the name of the topic, or '' where there is none and none was asked for."""
        found = {c.topic for c in reader.connections if c.msgtype in types}
        if name is None and len(found) <= 1:
            return next(iter(found), '')
        if name is not None and (name in found or name == ''):
            return name
        raise ValueError(
            f'{kind} topic is {name!r}, expected one of {sorted(found)}, in bag {self.path}'
        )

    def _first_info(self, reader: Any) -> Any:
        connections = [c for c in reader.connections if c.msgtype == _INFO_TYPE]
        if not connections:
            return None
        connection, _, data = next(reader.messages(connections))
        return reader.deserialize(data, connection.msgtype)

    def _read_chunk(self, message: Any, info: Any, arrival_ns: int) -> Iterator[TimedChunk]:
        try:
            chunk = read_audio(message, info=info)
            if chunk.rate_hz <= 0:
                raise ValueError(f'sample rate is {chunk.rate_hz} Hz')
        except ValueError as error:
            logger.warning('Audio message left out (%s): %s', error, self.path)
            return
        duration_ns = len(chunk.samples) * UNIT_NS // chunk.rate_hz
        yield TimedChunk(
            chunk.stamp_ns or arrival_ns - duration_ns,
            chunk.samples,
            chunk.rate_hz,
            chunk.first_sample,
        )


def units_from_bag(
    path: Path | str, *, image_topic: str | None = None, audio_topic: str | None = None
) -> Iterator[MultimodalUnit]:
    """
    Cut a bag into units, lazily, as the live stream would have been cut.

    :param path: folder of a bag (sqlite3 or MCAP storage), or a lone ``.mcap`` or ``.db3`` file.
    :param image_topic: its name; None = the only one with images, '' = none.
    :param audio_topic: its name; None = the only one with audio, '' = none.
    :raises FileNotFoundError: when there is no such bag.
    :raises ValueError: when it is no bag, or the topics are not there or not unique.
    """
    bag = Bag(path, image_topic=image_topic, audio_topic=audio_topic)
    return units_from_recording(
        bag, has_video=bool(bag.image_topic), has_audio=bool(bag.audio_topic)
    )
