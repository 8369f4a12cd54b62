"""Writing serialized messages into one MCAP file that Foxglove and rosbag2 open."""

from pathlib import Path
from typing import Any

from .message_definitions import message_definition

#: Size from which a chunk is written out [bytes]: so much is lost when the process is killed.
_CHUNK_BYTES = 256 * 1024


class McapLog:
    """
    One MCAP file; one thread writes it.

    It is readable at any time, up to the last chunk; :meth:`close` adds the index.

    :param path: of the file; folders are made.
    :raises FileExistsError: when there is one.
    :raises ImportError: when the ``mcap`` package is missing.
    """

    def __init__(self, path: Path) -> None:
        try:
            from mcap.writer import CompressionType, Writer
        except ImportError as error:
            raise ImportError('recording needs the mcap package: pip install mcap') from error
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = path.open('xb')
        except FileExistsError:
            raise FileExistsError(
                f'{path} exists; remove it or choose another path for the record'
            ) from None
        self._writer: Any = Writer(
            self._file, chunk_size=_CHUNK_BYTES, compression=CompressionType.LZ4
        )
        self._writer.start(profile='ros2', library='roma_ros')
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        self.counts: dict[str, int] = {}  #: messages written, by topic

    def add_topic(self, topic: str, type_name: str) -> None:
        """
        Announce a topic.

        :param topic: full name.
        :param type_name: as in ``sensor_msgs/msg/Image``.
        :raises FileNotFoundError: when its definition is not installed.
        """
        if type_name not in self._schemas:
            self._schemas[type_name] = self._writer.register_schema(
                name=type_name, encoding='ros2msg', data=message_definition(type_name).encode()
            )
        self._channels[topic] = self._writer.register_channel(
            topic=topic, message_encoding='cdr', schema_id=self._schemas[type_name]
        )
        self.counts[topic] = 0

    def write(self, topic: str, data: bytes, *, received_ns: int, stamp_ns: int) -> None:
        """
        Write a message.

        :param topic: announced before.
        :param data: the message as CDR.
        :param received_ns: when it arrived: MCAP's log time [ns].
        :param stamp_ns: its own stamp: MCAP's publish time [ns].
        """
        self._writer.add_message(
            channel_id=self._channels[topic],
            log_time=received_ns,
            publish_time=stamp_ns,
            sequence=self.counts[topic],
            data=data,
        )
        self.counts[topic] += 1

    def flush(self) -> None:
        """Hand finished chunks to the operating system, which keeps them if we are killed."""
        self._file.flush()

    def close(self) -> None:
        """Write the rest and the index."""
        self._writer.finish()
        self._file.close()
