"""A copy of a bag with what a model made of it: the node's messages, at the original stamps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, ExitStack
import heapq
from pathlib import Path
from typing import Any

from ..share import share_folder
from .runner import Line

#: Topics of the annotation, below the node's name, by their types.
TOPICS = {
    'SpeakScore': 'speak_score',
    'Utterance': 'utterance',
    'Highlight': 'highlight',
    'Status': 'status',
}
_ACTIVE = 4  # Status.STATE_ACTIVE

#: A message that waits to be written: log time [ns], and what writes it.
_Pending = tuple[int, Callable[[], None]]


def write_annotated_bag(source: Path, target: Path, line: Line, *, node: str = '/roma') -> None:
    """
    Copy a bag into one MCAP file and add scores, utterances, highlights and a status.

    Messages of the source keep bytes, type, log time and publish time; those that are added have
    the stamps and fields that the live node would have given them, and are logged at the end of
    the unit that they follow from. ``latency_ms`` is what the unit took to compute.

    :param source: folder of a bag (sqlite3 or MCAP storage), or a lone ``.mcap`` or ``.db3`` file.
    :param target: of the copy, ``.mcap``.
    :param line: of :class:`.annotate.Annotator` on this bag.
    :param node: name of the node whose topics are written.
    :raises ValueError: when the source has one of these topics already, or is no bag.
    :raises FileExistsError: when there is a target already.
    :raises ImportError: when a package is missing.
    """
    if target.exists():
        raise FileExistsError(f'{target} exists; remove it or choose another folder')
    target.parent.mkdir(parents=True, exist_ok=True)
    with _open_writer(target) as copy, ExitStack() as stack:
        files = _mcap_files(source)
        pending = (
            heapq.merge(*(_copy_mcap(path, copy, stack) for path in files), key=lambda p: p[0])
            if files
            else _copy_bag(source, copy, stack)
        )
        annotation = _Annotation(copy, line, node)
        for _, write in heapq.merge(pending, annotation.messages(), key=lambda item: item[0]):
            write()
        taken = copy.taken & annotation.topics
        if taken:
            raise ValueError(
                f'the bag has {", ".join(sorted(taken))} already; give another node name: {source}'
            )


class _Copy:
    """The MCAP file that is written, and the topics that the source had."""

    def __init__(self, writer: Any) -> None:
        self.writer = writer
        self.taken: set[str] = set()

    def message(
        self, channel_id: int, data: bytes, log_time: int, publish_time: int, sequence: int = 0
    ) -> Callable[[], None]:
        """Return what writes a message."""
        return lambda: self.writer.add_message(
            channel_id=channel_id,
            log_time=log_time,
            publish_time=publish_time,
            sequence=sequence,
            data=data,
        )


@contextmanager
def _open_writer(target: Path) -> Iterator[_Copy]:
    """Write into a file beside the target; a copy that failed leaves nothing behind."""
    try:
        from mcap.writer import CompressionType, Writer
    except ImportError as error:
        raise ImportError('annotated bags need the mcap package: pip install mcap') from error
    part = target.with_suffix('.part')
    try:
        with part.open('wb') as file:
            writer = Writer(file, compression=CompressionType.LZ4)
            writer.start(profile='ros2', library='roma_ros')
            yield _Copy(writer)
            writer.finish()
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _mcap_files(source: Path) -> list[Path]:
    if source.is_dir():
        return sorted(source.glob('*.mcap'))
    return [source] if source.suffix == '.mcap' else []


def _copy_mcap(path: Path, copy: _Copy, stack: ExitStack) -> Iterator[_Pending]:
    from mcap.reader import make_reader

    file = stack.enter_context(path.open('rb'))
    schemas: dict[int, int] = {0: 0}
    channels: dict[int, int] = {}
    for schema, channel, message in make_reader(file).iter_messages(log_time_order=True):
        if schema is not None and schema.id not in schemas:
            schemas[schema.id] = copy.writer.register_schema(
                name=schema.name, encoding=schema.encoding, data=schema.data
            )
        if channel.id not in channels:
            copy.taken.add(channel.topic)
            channels[channel.id] = copy.writer.register_channel(
                topic=channel.topic,
                message_encoding=channel.message_encoding,
                schema_id=schemas[channel.schema_id],
                metadata=channel.metadata,
            )
        yield (
            message.log_time,
            copy.message(
                channels[channel.id],
                message.data,
                message.log_time,
                message.publish_time,
                message.sequence,
            ),
        )


def _copy_bag(source: Path, copy: _Copy, stack: ExitStack) -> Iterator[_Pending]:
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import get_typestore, Stores

    reader = stack.enter_context(
        AnyReader([source], default_typestore=get_typestore(Stores.LATEST))
    )
    channels = {}
    for connection in reader.connections:
        definition, _ = reader.typestore.generate_msgdef(connection.msgtype, ros_version=2)
        schema_id = copy.writer.register_schema(
            name=connection.msgtype, encoding='ros2msg', data=definition.encode()
        )
        copy.taken.add(connection.topic)
        channels[connection.id] = copy.writer.register_channel(
            topic=connection.topic, message_encoding='cdr', schema_id=schema_id
        )
    for connection, time_ns, data in reader.messages():
        yield time_ns, copy.message(channels[connection.id], bytes(data), time_ns, time_ns)


class _Annotation:
    """Makes the messages of a line; fields as in ``nodes.messages``."""

    def __init__(self, copy: _Copy, line: Line, node: str) -> None:
        from rosbags.typesys import get_types_from_msg, get_typestore, Stores

        self._copy, self._line = copy, line
        self._store = get_typestore(Stores.LATEST)
        types: dict[str, Any] = {}
        for path in sorted((share_folder() / 'msg').glob('*.msg')):
            text = path.read_text(encoding='utf-8')
            types.update(get_types_from_msg(text, f'roma_ros/msg/{path.stem}'))
        self._store.register(types)
        self._channels = {}
        for name, topic in TOPICS.items():
            definition, _ = self._store.generate_msgdef(f'roma_ros/msg/{name}', ros_version=2)
            schema_id = copy.writer.register_schema(
                name=f'roma_ros/msg/{name}', encoding='ros2msg', data=definition.encode()
            )
            self._channels[name] = copy.writer.register_channel(
                topic=f'{node}/{topic}', message_encoding='cdr', schema_id=schema_id
            )
        self.topics = {f'{node}/{topic}' for topic in TOPICS.values()}

    def messages(self) -> Iterator[_Pending]:
        """Yield all messages in the order of their stamps."""
        for unit in self._line['units']:
            end_ns = unit['end_ns']
            shared = {
                'header': self._header(end_ns),
                'unit_start': self._time(unit['start_ns']),
                'unit_end': self._time(end_ns),
                'unit_index': unit['index'],
            }
            for score in unit['scores']:
                fields = score | {
                    'unit_flags': unit['flags'],
                    'compute_ms': unit['compute_ms'],
                    'latency_ms': unit['compute_ms'],
                }
                yield self._message('SpeakScore', end_ns, **shared, **fields)
            for segment in unit['segments']:
                fields = dict(segment)
                fields['id'] = fields.pop('utterance_id')
                fields['speak_probability'] = fields.pop('probability')
                yield self._message(
                    'Utterance',
                    end_ns,
                    image_headers=[self._header(stamp) for stamp in unit['frame_stamps_ns']],
                    latency_ms=unit['compute_ms'],
                    **shared,
                    **fields,
                )
            for highlight in unit['highlights']:
                yield self._message(
                    'Highlight',
                    end_ns,
                    header=shared['header'],
                    id=highlight['number'],
                    state=highlight['state'],
                    instruction_id=highlight['instruction_id'],
                    instruction=highlight['instruction'],
                    start=self._time(highlight['start_ns']),
                    end=self._time(highlight['end_ns']),
                    score=highlight['score'],
                )
        if self._line['units']:
            yield self._status(self._line['units'][-1]['end_ns'])

    def _status(self, end_ns: int) -> _Pending:
        line = self._line
        instruction = self._store.types['roma_ros/msg/Instruction']
        highlights = [h['number'] for unit in line['units'] for h in unit['highlights']]
        utterances = [s['utterance_id'] for unit in line['units'] for s in unit['segments']]
        return self._message(
            'Status',
            end_ns,
            header=self._header(end_ns),
            state=_ACTIVE,
            detail='annotated offline',
            model=line['model'],
            engine=line['engine'],
            device=line['device'],
            instructions=[instruction(**fields) for fields in line['instructions']],
            units=len(line['units']),
            utterances=len(set(utterances)),
            highlights=len(set(highlights)),
        )

    def _message(self, name: str, stamp_ns: int, **fields: Any) -> _Pending:
        kind = f'roma_ros/msg/{name}'
        # What an offline run does not count (frames, queue) stays zero.
        for field, (_, definition) in self._store.fielddefs[kind][1]:
            if field not in fields:
                fields[field] = '' if definition[0] == 'string' else 0
        data = self._store.serialize_cdr(self._store.types[kind](**fields), kind)
        return stamp_ns, self._copy.message(self._channels[name], bytes(data), stamp_ns, stamp_ns)

    def _header(self, stamp_ns: int) -> Any:
        return self._store.types['std_msgs/msg/Header'](stamp=self._time(stamp_ns), frame_id='')

    def _time(self, stamp_ns: int) -> Any:
        sec, nanosec = divmod(stamp_ns, 1_000_000_000)
        return self._store.types['builtin_interfaces/msg/Time'](sec=sec, nanosec=nanosec)
