"""
The parameters of all nodes, declared in one place.

``config/*.yaml`` say the same; after a change ``python -m roma_ros.nodes.parameter_tables config``
writes them again.
"""

from dataclasses import dataclass
from pathlib import Path
import sys
import textwrap
from typing import Any

from ..policy.instructions import InstructionKind, parse_instruction
from .parameters import Counts, declared_parameters, parameter, Parameters

#: Instructions that can stand at one time.
MAX_INSTRUCTIONS = 8
_IMAGE_TRANSPORTS = ('raw', 'compressed')


def _threshold(what: str) -> Any:
    return parameter(
        0.0,
        f'Speak probability from which the node {what}; 0: that of the model.',
        minimum=0.0,
        maximum=0.999,
        counts=Counts.NOW,
    )


def _window(what: str) -> Any:
    return parameter(
        0,
        f'Units in a row at the threshold or above it before the node {what}; 0: as the model.',
        minimum=0,
        maximum=60,
        counts=Counts.NOW,
    )


def _interval(what: str) -> Any:
    return parameter(
        0.0,
        f'Least time between the begins of two {what} [s]; what comes earlier is not published.',
        minimum=0.0,
        maximum=3600.0,
        counts=Counts.NOW,
    )


def _offset(what: str) -> Any:
    return parameter(
        0.0,
        f'Added to the stamps of the {what} [s], to undo a latency that the driver left in.',
        minimum=-10.0,
        maximum=10.0,
        counts=Counts.NOW,
    )


def _jpeg_quality(default: int) -> Any:
    return parameter(default, 'Quality of JPEG images.', minimum=1, maximum=100)


def _retry() -> Any:
    return parameter(
        10.0,
        'Longest wait [s] before a device that failed is tried again; it doubles from 0.5 s.',
        minimum=0.5,
        maximum=600.0,
    )


@dataclass(frozen=True, kw_only=True)
class RomaParameters(Parameters):
    """Parameters of the node ``roma``."""

    model: str = parameter(
        '',
        'Folder of the model; empty: roma-tiny, which comes with the package.',
        counts=Counts.CONFIGURE,
    )
    engine: str = parameter(
        'auto',
        "What runs the network; 'auto': onnxruntime on a CPU where it is installed, else torch.",
        choices=('torch', 'torch-compiled', 'onnxruntime', 'tensorrt', 'auto'),
        counts=Counts.CONFIGURE,
    )
    device: str = parameter(
        'auto',
        "Where the network runs: 'cpu', 'cuda:0'; 'auto': a GPU if there is one.",
        counts=Counts.CONFIGURE,
    )
    dtype: str = parameter(
        'auto',
        "Number format of the network; 'auto': float32 on a CPU, unless quantized; else bfloat16.",
        choices=('auto', 'float32', 'bfloat16', 'float16'),
        counts=Counts.CONFIGURE,
    )
    quantize: str = parameter(
        'none',
        'Weights in fewer bits, by torchao, for the engines torch and torch-compiled alone.',
        choices=('none', 'int8', 'int4'),
        counts=Counts.CONFIGURE,
    )
    threads: int = parameter(
        0,
        'CPU threads of the network; 0: all cores but one.',
        minimum=0,
        maximum=256,
        counts=Counts.CONFIGURE,
    )
    instructions: tuple[str, ...] = parameter(
        ('narrate',),
        "What the node is asked for from the start: 'narrate', 'narrate: <focus>', "
        "'alert: <condition>', with a threshold as in 'alert[0.7]: <condition>'. "
        'Empty entries count as none.',
        counts=Counts.NOW,
    )
    narration_threshold: float = _threshold('narrates')
    alert_threshold: float = _threshold('alerts')
    answer_threshold: float = _threshold('answers a spoken question')
    narration_window_units: int = _window('narrates')
    alert_window_units: int = _window('alerts')
    answer_window_units: int = _window('answers a spoken question')
    narration_interval_s: float = _interval('narrations')
    alert_interval_s: float = _interval('alerts of one instruction')
    max_segments: int = parameter(
        4,
        'Segments, of at most 25 tokens and one a second, after which an utterance is ended.',
        minimum=1,
        maximum=100,
        counts=Counts.NOW,
    )
    window_s: int = parameter(
        60,
        'How much video and audio the network remembers [s].',
        minimum=1,
        maximum=3600,
        counts=Counts.NOW,
    )
    share_stream: bool = parameter(
        True,
        'Alerts watch one shared stream, at one token a unit each; false: each has a stream of '
        'its own, as published, at the cost of a cache and a step.',
        counts=Counts.ACTIVATE,
    )
    image_transport: str = parameter(
        'raw',
        "'raw' subscribes to image, 'compressed' to image/compressed.",
        choices=_IMAGE_TRANSPORTS,
        counts=Counts.ACTIVATE,
    )
    image_rotation_deg: int = parameter(
        0,
        'By how much images are turned clockwise, to be upright where the camera is mounted '
        'otherwise: 0, 90, 180 or 270.',
        minimum=0,
        maximum=270,
        counts=Counts.ACTIVATE,
    )
    extra_image_topics: tuple[str, ...] = parameter(
        ('',),
        'Topics of more cameras, of the same transport: their newest images stand in a column '
        'beside the main one. Empty entries count as none.',
        counts=Counts.ACTIVATE,
    )
    audio_channel: int = parameter(
        -1,
        'Channel of the audio to use, from 0; -1: the mean of all.',
        minimum=-1,
        maximum=31,
        counts=Counts.ACTIVATE,
    )
    image_offset_s: float = _offset('images')
    audio_offset_s: float = _offset('audio')
    patience_s: float = parameter(
        0.5,
        "How long after a unit's end to wait for an input that is late or silent [s].",
        minimum=0.0,
        maximum=10.0,
        counts=Counts.ACTIVATE,
    )
    queue_capacity: int = parameter(
        4,
        'Units that may wait for the network; when it falls behind, the oldest are dropped.',
        minimum=1,
        maximum=600,
        counts=Counts.ACTIVATE,
    )
    hold_off_s: float = parameter(
        0.5,
        'How long audio is masked after the robot has stopped speaking [s].',
        minimum=0.0,
        maximum=10.0,
        counts=Counts.NOW,
    )
    subtract_voice: bool = parameter(
        False,
        'Subtract what the speaker says on audio_reference, in place of masking audio while '
        'it speaks: who speaks meanwhile is heard. Until the echo is learnt it is silenced.',
        counts=Counts.ACTIVATE,
    )
    autostart: bool = parameter(
        True, 'Configure and activate at the start; false: leave it to a lifecycle manager.'
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.image_rotation_deg % 90:
            raise ValueError(
                f'parameter image_rotation_deg is {self.image_rotation_deg}, expected 0, 90, 180 '
                'or 270'
            )
        lines = list(filter(None, self.instructions))
        kinds = [parse_instruction(line, id='parameter').kind for line in lines]
        if len(lines) > MAX_INSTRUCTIONS or kinds.count(InstructionKind.NARRATION) > 1:
            raise ValueError(
                f'parameter instructions has {len(lines)} entries, of which '
                f'{kinds.count(InstructionKind.NARRATION)} narrate; at most {MAX_INSTRUCTIONS} '
                'can stand, and one narration among them'
            )


@dataclass(frozen=True, kw_only=True)
class PlaybackParameters(Parameters):
    """Parameters of the node ``playback``."""

    source: str = parameter(
        '', 'What is played: a media file, or a bag (a folder, .mcap or .db3).'
    )
    rate: float = parameter(1.0, 'Speed; 1.0 is real time.', minimum=0.05, maximum=20.0)
    loop: bool = parameter(False, 'Begin again at the end; stamps go on.')
    exit_at_end: bool = parameter(
        True, 'Exit, with code 0, when everything is published; else stay.'
    )
    publish_clock: bool = parameter(
        False,
        'Publish /clock at 100 Hz, for nodes with use_sim_time; then a bag keeps its stamps.',
    )
    wait_for_subscribers: int = parameter(
        0, 'Begin when each topic has so many subscribers; 0: at once.', minimum=0, maximum=64
    )
    subscribers_timeout_s: float = parameter(
        30.0,
        'How long to wait for subscribers before it begins without [s].',
        minimum=0.0,
        maximum=3600.0,
    )
    image_transport: str = parameter(
        'raw',
        "'raw' publishes on image, 'compressed' on image/compressed (JPEG).",
        choices=_IMAGE_TRANSPORTS,
    )
    jpeg_quality: int = _jpeg_quality(90)
    width: int = parameter(
        0,
        'Width of the images [px]; 0: as recorded, or to fit the height.',
        minimum=0,
        maximum=8192,
    )
    height: int = parameter(
        0,
        'Height of the images [px]; 0: as recorded, or to fit the width.',
        minimum=0,
        maximum=8192,
    )
    max_fps: float = parameter(
        0.0, 'Images a second at most, the rest is left out; 0: all.', minimum=0.0, maximum=240.0
    )
    chunk_s: float = parameter(
        0.02,
        'Length of an audio chunk [s]; chunks of a bag stay as recorded.',
        minimum=0.001,
        maximum=2.0,
    )
    image_frame_id: str = parameter('camera_optical_frame', 'Frame of the images.')
    audio_frame_id: str = parameter('microphone_frame', 'Frame of the audio.')
    bag_image_topic: str = parameter('', 'Topic of the images in a bag; empty: the only one.')
    bag_audio_topic: str = parameter('', 'Topic of the audio in a bag; empty: the only one.')


@dataclass(frozen=True, kw_only=True)
class MicrophoneParameters(Parameters):
    """Parameters of the node ``microphone``."""

    device: str = parameter(
        '', 'Input device: its number, or a part of its name; empty: the default device.'
    )
    sample_rate: int = parameter(
        0, "Samples a second [Hz]; 0: the device's own rate.", minimum=0, maximum=384_000
    )
    channels: int = parameter(1, 'Channels to record.', minimum=1, maximum=32)
    chunk_s: float = parameter(0.02, 'Length of an audio chunk [s].', minimum=0.005, maximum=0.5)
    frame_id: str = parameter('microphone_frame', 'Frame of the microphone.')
    retry_max_s: float = _retry()


@dataclass(frozen=True, kw_only=True)
class CameraParameters(Parameters):
    """Parameters of the node ``camera``."""

    device: str = parameter(
        '0',
        'Camera: its number, a path as /dev/video0, a URL, or a media file (played in a loop).',
    )
    width: int = parameter(640, 'Width to ask the device for [px].', minimum=16, maximum=8192)
    height: int = parameter(480, 'Height to ask the device for [px].', minimum=16, maximum=8192)
    fps: float = parameter(30.0, 'Images a second to ask for.', minimum=0.1, maximum=240.0)
    image_transport: str = parameter(
        'raw',
        "'raw' publishes on image, 'compressed' on image/compressed (JPEG).",
        choices=_IMAGE_TRANSPORTS,
    )
    jpeg_quality: int = _jpeg_quality(90)
    frame_id: str = parameter('camera_optical_frame', 'Optical frame of the camera.')
    retry_max_s: float = _retry()


@dataclass(frozen=True, kw_only=True)
class SpeakerParameters(Parameters):
    """Parameters of the node ``speaker``."""

    device: str = parameter(
        '', 'Output device: its number, or a part of its name; empty: the default device.'
    )
    voice_command: tuple[str, ...] = parameter(
        ('',),
        'Program, and its arguments, that reads text and writes a WAV file of 16 bits to its '
        "output, as in 'espeak-ng', '--stdin', '--stdout'; empty: the voice of hibari-tts.",
    )
    narration_age_s: float = parameter(
        3.0,
        'How long a narration may wait for its turn [s]; then it is not spoken.',
        minimum=0.1,
        maximum=60.0,
    )
    retry_max_s: float = _retry()


@dataclass(frozen=True, kw_only=True)
class RecorderParameters(Parameters):
    """Parameters of the node ``recorder``."""

    path: str = parameter('stream.mcap', 'File to write; it must not exist.')
    topics: tuple[str, ...] = parameter(
        (
            'image sensor_msgs/msg/Image',
            'audio roma_ros/msg/AudioChunk',
            'roma/speak_score roma_ros/msg/SpeakScore',
            'roma/utterance roma_ros/msg/Utterance',
            'roma/highlight roma_ros/msg/Highlight',
            'roma/status roma_ros/msg/Status',
            '/diagnostics diagnostic_msgs/msg/DiagnosticArray',
        ),
        'What is recorded: topic and type of each. Raw images are recorded as JPEG, on the topic '
        'with /compressed behind it.',
    )
    jpeg_quality: int = _jpeg_quality(80)
    queue_capacity: int = parameter(
        60,
        'Raw images that may wait to be compressed; when it falls behind, new ones are dropped.',
        minimum=1,
        maximum=1000,
    )


#: The table of each node.
TABLES: dict[str, type[Parameters]] = {
    'roma': RomaParameters,
    'playback': PlaybackParameters,
    'microphone': MicrophoneParameters,
    'camera': CameraParameters,
    'speaker': SpeakerParameters,
    'recorder': RecorderParameters,
}


def format_yaml(node: str) -> str:
    """
    Return the parameter file of a node: its defaults, and all that is known about each.

    :param node: a name in ``TABLES``.
    """
    lines = [
        f'# Parameters of the node {node}, with their defaults.',
        '/**:',
        '  ros__parameters:',
    ]
    for declared in declared_parameters(TABLES[node]):
        counts = declared.counts.value
        words = ' '.join(filter(None, (declared.description, declared.constraints, counts)))
        lines += [f'    # {line}' for line in textwrap.wrap(words, 92)]
        if isinstance(declared.default, tuple):
            lines.append(f'    {declared.name}:')
            lines += [f'      - {_format_value(value)}' for value in declared.default]
        else:
            lines.append(f'    {declared.name}: {_format_value(declared.default)}')
    return '\n'.join(lines) + '\n'


def _format_value(value: object) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).lower() if isinstance(value, bool) else str(value)


def main() -> None:
    """Write the parameter files into the folder that is given."""
    for node in TABLES:
        (Path(sys.argv[1]) / f'{node}.yaml').write_text(format_yaml(node), encoding='utf-8')


if __name__ == '__main__':
    main()
