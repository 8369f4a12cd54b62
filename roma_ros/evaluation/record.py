"""What a stream's record holds: read from the recorder's ``stream.mcap``, without ROS."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .clap import Clap, find_clap
from .inputs import ImageInput, SoundInput, stamp_to_ns, Thumbnail, Waveform


@dataclass(frozen=True)
class Score:
    """One speak probability: a unit and an instruction, as in ``SpeakScore.msg``."""

    unit_index: int
    start_ns: int
    end_ns: int
    flags: int
    instruction_id: str
    kind: int
    probability: float
    threshold: float
    triggered: bool
    compute_ms: float
    latency_ms: float


@dataclass
class RecordedUtterance:
    """
    An utterance, its segments joined.

    :param start_ns: begin of the unit that triggered it [ns].
    :param end_ns: end of the unit that its newest segment follows from [ns].
    :param final: the last segment arrived.
    :param latency_ms: of the first segment.
    """

    id: int
    kind: int
    instruction_id: str
    start_ns: int
    end_ns: int
    probability: float
    latency_ms: float
    text: str = ''
    num_segments: int = 0
    final: bool = False


@dataclass
class RecordedHighlight:
    """A highlight as it stood at last; ``closed`` when its end arrived."""

    id: int
    instruction_id: str
    instruction: str
    start_ns: int
    end_ns: int
    score: float
    closed: bool


@dataclass
class StreamRecord:
    """
    Everything that one record tells, stamps in capture time [ns].

    :param start_ns: begin of the first input, or of the first unit without one.
    :param end_ns: end of the last input or unit.
    :param status: fields of the newest status of the active node, or of the first status at all.
    :param instructions: kind and text of each instruction ever listed in a status, by id.
    :param num_frames: images of the first camera.
    :param audio_gaps_ns: spans that no sample covers, between the first and the last chunk.
    :param clap: the clap in the first five seconds, when there is one.
    :param complete: the file was closed; otherwise it ends where the recorder was cut off.
    """

    start_ns: int = 0
    end_ns: int = 0
    scores: list[Score] = field(default_factory=list)
    utterances: list[RecordedUtterance] = field(default_factory=list)
    highlights: list[RecordedHighlight] = field(default_factory=list)
    status: dict[str, Any] | None = None
    instructions: dict[str, tuple[int, str]] = field(default_factory=dict)
    thumbnails: list[Thumbnail] = field(default_factory=list)
    waveform: Waveform | None = None
    num_frames: int = 0
    audio_gaps_ns: list[tuple[int, int]] = field(default_factory=list)
    clap: Clap | None = None
    complete: bool = True


def read_record(path: Path) -> StreamRecord:
    """
    Read a record.

    Messages are known by their type, so that remapped topics read as well; of several cameras
    the first one in the file counts. Memory grows with the scores and thumbnails, not with the
    file.

    :param path: an MCAP file with ROS 2 messages and their definitions.
    :raises ValueError: when the file is no MCAP file.
    :raises ModuleNotFoundError: when a package is missing, with the command that installs it.
    """
    record = StreamRecord()
    images, sound = ImageInput(), SoundInput()
    utterances: dict[int, RecordedUtterance] = {}
    highlights: dict[int, RecordedHighlight] = {}
    for topic, kind, message in _messages(path, record):
        match kind:
            case 'sensor_msgs/msg/CompressedImage':
                images.add(topic, message)
            case 'roma_ros/msg/AudioChunk':
                sound.add(topic, message)
            case 'roma_ros/msg/SpeakScore':
                record.scores.append(_score(message))
            case 'roma_ros/msg/Utterance':
                _add_segment(utterances, message)
            case 'roma_ros/msg/Highlight':
                highlights[message.id] = _highlight(message)
            case 'roma_ros/msg/Status':
                _add_status(record, message)
    record.scores.sort(key=lambda score: (score.unit_index, score.instruction_id))
    record.utterances = [utterances[key] for key in sorted(utterances)]
    record.highlights = [highlights[key] for key in sorted(highlights)]
    record.thumbnails, record.num_frames = images.thumbnails, images.num_frames
    record.waveform, record.audio_gaps_ns = sound.waveform(), sound.gaps_ns
    record.clap = find_clap(images.luminance, *sound.begin())
    spans = [span for span in (images.span_ns, sound.span_ns) if span is not None]
    spans += [(score.start_ns, score.end_ns) for score in (record.scores[:1] + record.scores[-1:])]
    if spans:
        record.start_ns = min(start for start, _ in spans)
        record.end_ns = max(end for _, end in spans)
    return record


def _messages(path: Path, record: StreamRecord) -> Iterator[tuple[str, str, Any]]:
    """Yield topic, type and message in the order of the file."""
    try:
        from mcap.exceptions import InvalidMagic, McapError
        from mcap.reader import NonSeekingReader
        from rosbags.typesys import get_types_from_msg, get_typestore, Stores
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'reading a record needs {error.name}: pip install mcap rosbags'
        ) from error
    store = get_typestore(Stores.EMPTY)
    known: set[int] = set()
    with path.open('rb') as file:
        try:
            # This reader goes from front to back, so that a file that was never closed reads too.
            messages = NonSeekingReader(file).iter_messages(log_time_order=False)
            for schema, channel, message in messages:
                if schema is None or schema.encoding != 'ros2msg':
                    continue
                if schema.id not in known:
                    known.add(schema.id)
                    types = get_types_from_msg(schema.data.decode(), _long_name(schema.name))
                    store.register({k: v for k, v in types.items() if k not in store.fielddefs})
                kind = _long_name(schema.name)
                yield channel.topic, kind, store.deserialize_cdr(message.data, kind)
        except InvalidMagic as error:
            raise ValueError(f'not an MCAP file ({error}): {path}') from error
        except McapError:
            record.complete = False


def _long_name(name: str) -> str:
    """Spell a type as ``package/msg/Name``; some writers leave ``msg`` out."""
    package, _, rest = name.partition('/')
    return name if rest.startswith('msg/') else f'{package}/msg/{rest}'


def _score(message: Any) -> Score:
    return Score(
        unit_index=int(message.unit_index),
        start_ns=stamp_to_ns(message.unit_start),
        end_ns=stamp_to_ns(message.unit_end),
        flags=int(message.unit_flags),
        instruction_id=message.instruction_id,
        kind=int(message.kind),
        probability=float(message.probability),
        threshold=float(message.threshold),
        triggered=bool(message.triggered),
        compute_ms=float(message.compute_ms),
        latency_ms=float(message.latency_ms),
    )


def _add_segment(utterances: dict[int, RecordedUtterance], message: Any) -> None:
    utterance = utterances.get(message.id)
    if utterance is None:
        utterance = utterances[message.id] = RecordedUtterance(
            id=int(message.id),
            kind=int(message.kind),
            instruction_id=message.instruction_id,
            start_ns=stamp_to_ns(message.unit_start),
            end_ns=stamp_to_ns(message.unit_end),
            probability=float(message.speak_probability),
            latency_ms=float(message.latency_ms),
        )
    utterance.text += message.text
    utterance.num_segments += 1
    utterance.end_ns = max(utterance.end_ns, stamp_to_ns(message.unit_end))
    utterance.final |= bool(message.final)


def _highlight(message: Any) -> RecordedHighlight:
    return RecordedHighlight(
        id=int(message.id),
        instruction_id=message.instruction_id,
        instruction=message.instruction,
        start_ns=stamp_to_ns(message.start),
        end_ns=stamp_to_ns(message.end),
        score=float(message.score),
        closed=int(message.state) == int(message.STATE_END),
    )


def _add_status(record: StreamRecord, message: Any) -> None:
    for item in message.instructions:
        record.instructions[item.id] = (int(item.kind), item.text)
    if record.status and int(message.state) != int(message.STATE_ACTIVE):
        return
    names = set(message.__dataclass_fields__) - {'header', 'instructions', '__msgtype__'}
    record.status = {name: getattr(message, name) for name in names if name.islower()}
