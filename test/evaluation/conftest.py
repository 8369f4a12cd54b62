"""Records written without ROS: real MCAP, real CDR, and the definitions in ``msg/``."""

from pathlib import Path

import numpy as np
import pytest

MSG_FOLDER = Path(__file__).resolve().parents[2] / 'msg'
#: Capture time at which the test streams begin [ns].
EPOCH_NS = 1_763_800_000_000_000_000


class RecordWriter:
    """Write messages of the record's types; keywords are the messages' own fields."""

    def __init__(self, file):
        mcap_writer = pytest.importorskip('mcap.writer', reason='mcap is not installed')
        typesys = pytest.importorskip('rosbags.typesys', reason='rosbags is not installed')
        self.store = typesys.get_typestore(typesys.Stores.ROS2_KILTED)
        types = {}
        for path in sorted(MSG_FOLDER.glob('*.msg')):
            types.update(typesys.get_types_from_msg(path.read_text(), f'roma_ros/msg/{path.stem}'))
        self.store.register(types)
        self.file = file
        self.writer = mcap_writer.Writer(file, chunk_size=64 * 1024)
        self.writer.start(profile='ros2', library='test')
        self.channels = {}

    def write(self, topic, name, stamp_ns, /, frame_id='camera', **fields):
        """Write one message; what is not given is zero or empty."""
        types = self.store.types
        if topic not in self.channels:
            definition, _ = self.store.generate_msgdef(name, ros_version=2)
            schema = self.writer.register_schema(name, 'ros2msg', definition.encode())
            self.channels[topic] = self.writer.register_channel(topic, 'cdr', schema)
        header = types['std_msgs/msg/Header'](self.time(stamp_ns), frame_id)
        filled = self.make(name, header=header, **fields)
        data = bytes(self.store.serialize_cdr(filled, name))
        self.writer.add_message(
            self.channels[topic], log_time=stamp_ns, publish_time=stamp_ns, data=data
        )

    def make(self, name, **fields):
        zeros = {'string': '', 'bool': False, 'float32': 0.0, 'float64': 0.0}
        for key, (_, definition) in self.store.fielddefs[name][1]:
            if key in fields:
                continue
            if isinstance(definition, str):  # a message
                fields[key] = self.time(0) if definition.endswith('Time') else None
            elif isinstance(definition[0], str):  # a plain type
                fields[key] = zeros.get(definition[0], 0)
            else:  # a sequence
                plain = not isinstance(definition[0][0], str)
                fields[key] = np.zeros(0, np.uint8) if plain else []
        return self.store.types[name](**fields)

    def time(self, stamp_ns):
        return self.store.types['builtin_interfaces/msg/Time'](
            sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9
        )

    def finish(self):
        self.writer.finish()
        self.file.flush()


@pytest.fixture
def record_writer(tmp_path):
    """Return a writer and the path of its file; call ``finish`` before reading."""
    path = tmp_path / 'stream.mcap'
    with path.open('wb') as file:
        yield RecordWriter(file), path


@pytest.fixture(scope='session')
def stream_path(tmp_path_factory):
    """
    Return a record of 20 units with everything in it.

    A clap at 0.5 s; a gap of the sound from 12.0 to 12.3 s; two instructions; an utterance of
    two segments in units 4 and 5 whose text looks like HTML, one alert in unit 9; a highlight
    over units 8 and 9; unit 12 flagged.
    """
    path = tmp_path_factory.mktemp('stream') / 'stream.mcap'
    with path.open('wb') as file:
        writer = RecordWriter(file)
        write_stream(writer)
        writer.finish()
    return path


def write_stream(writer):
    cv2 = pytest.importorskip('cv2', reason='OpenCV is not installed')
    rate_hz, chunk = 16_000, 320
    sound = np.random.default_rng(0).normal(0, 0.01, 20 * rate_hz)
    sound[8_000:8_040] = 0.9
    sound[5 * rate_hz : 6 * rate_hz] += 0.3 * np.sin(np.arange(rate_hz) * 0.2)
    pcm = (np.clip(sound, -1, 1) * 32767).astype('<i2')
    for index in range(0, len(pcm), chunk):
        stamp_ns = EPOCH_NS + index * 10**9 // rate_hz
        if 12.0 <= index / rate_hz < 12.3:
            continue
        writer.write(
            '/audio',
            'roma_ros/msg/AudioChunk',
            stamp_ns,
            sample_rate=rate_hz,
            channels=1,
            sample_format=2,
            first_sample=index,
            data=np.frombuffer(pcm[index : index + chunk].tobytes(), np.uint8),
        )
    for index in range(200):
        level = 255 if index == 5 else 40 + index % 50
        picture = np.full((120, 160, 3), level, np.uint8)
        cv2.circle(picture, (index % 160, 60), 20, (0, 140, 255), -1)
        writer.write(
            '/image/compressed',
            'sensor_msgs/msg/CompressedImage',
            EPOCH_NS + index * 100_000_000,
            format='jpeg',
            data=cv2.imencode('.jpg', picture)[1].ravel(),
        )
    instructions = [('cyclist', 2, 'a cyclist'), ('default', 1, 'what <b>happens</b>')]
    for unit in range(20):
        start_ns, end_ns = EPOCH_NS + unit * 10**9, EPOCH_NS + (unit + 1) * 10**9
        span = {'unit_start': writer.time(start_ns), 'unit_end': writer.time(end_ns)}
        for identity, kind, _ in instructions:
            triggered = (identity, unit) in {('cyclist', 9), ('default', 4)}
            writer.write(
                '/roma/speak_score',
                'roma_ros/msg/SpeakScore',
                end_ns,
                **span,
                unit_index=unit,
                unit_flags=2 if unit == 12 else 0,
                instruction_id=identity,
                kind=kind,
                probability=0.9 if triggered else 0.3 + 0.2 * np.sin(unit * kind / 2),
                threshold=0.8 if kind == 2 else 0.6,
                triggered=triggered,
                compute_ms=100.0 + unit,
                latency_ms=300.0 + 10 * unit,
            )
        utterances = {
            4: (1, 0, False, 1, 'default', '<script>alert("x")</script> A taxi'),
            5: (1, 1, True, 1, 'default', ' passes & stops.'),
            9: (2, 0, True, 2, 'cyclist', 'A cyclist waits at the crossing.'),
        }
        if unit in utterances:
            identity, sequence, final, kind, instruction, text = utterances[unit]
            writer.write(
                '/roma/utterance',
                'roma_ros/msg/Utterance',
                end_ns,
                **span,
                unit_index=unit,
                id=identity,
                sequence=sequence,
                final=final,
                kind=kind,
                instruction_id=instruction,
                text=text,
                speak_probability=0.9,
                latency_ms=400.0 + unit,
            )
        if unit in (8, 9):
            writer.write(
                '/roma/highlight',
                'roma_ros/msg/Highlight',
                end_ns,
                id=1,
                state=1 if unit == 8 else 3,
                instruction_id='cyclist',
                instruction='a cyclist',
                start=writer.time(EPOCH_NS + 8 * 10**9),
                end=writer.time(end_ns),
                score=0.7 + 0.02 * unit,
            )
        writer.write(
            '/roma/status',
            'roma_ros/msg/Status',
            end_ns,
            state=4,
            model='models/roma-tiny',
            engine='torch',
            device='cpu',
            instructions=[
                writer.make('roma_ros/msg/Instruction', id=i, kind=k, text=t, threshold=0.5)
                for i, k, t in instructions
            ],
            units=unit + 1,
            frames_received=(unit + 1) * 10 - 1,
            audio_samples_received=(unit + 1) * 16_000,
            audio_gaps=1 if unit > 11 else 0,
            utterances=2,
            highlights=1,
            unit_compute_p50_ms=110.0,
            unit_compute_p95_ms=150.0,
            unit_latency_p50_ms=390.0,
            unit_latency_p95_ms=480.0,
        )
