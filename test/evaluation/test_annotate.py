"""Recordings annotated offline: media files, and bags of every storage written without ROS."""

import json
from pathlib import Path

import numpy as np
import pytest

from roma_ros.cli.annotate import main
from roma_ros.evaluation.annotate import AnnotationJob, Recording, write_annotations
from roma_ros.evaluation.annotated_bag import write_annotated_bag
from roma_ros.evaluation.record import read_record
from roma_ros.policy.instructions import Instruction, InstructionKind
from roma_ros.policy.triggers import TriggerConfig
from roma_ros.runtime.factory import default_model
from roma_ros.runtime.session import SessionConfig, StreamSession
from roma_ros.units.bag import units_from_bag

rosbag2 = pytest.importorskip('rosbags.rosbag2', reason='rosbags is not installed')
typesys = pytest.importorskip('rosbags.typesys', reason='rosbags is not installed')
mcap_reader = pytest.importorskip('mcap.reader', reason='mcap is not installed')

T0_NS = 1_700_000_000_000_000_000
MESSAGES = Path(__file__).parents[2] / 'msg'
NARRATE = Instruction(id='instruction-1', kind=InstructionKind.NARRATION)
ALERT = Instruction(id='instruction-2', kind=InstructionKind.ALERT, text='a red light')


def write_bag(path, storage, *, topic='/note'):
    """Write five seconds of pictures and sound, and one more topic."""
    store = typesys.get_typestore(typesys.Stores.ROS2_KILTED)
    text = (MESSAGES / 'AudioChunk.msg').read_text()
    store.register(typesys.get_types_from_msg(text, 'roma_ros/msg/AudioChunk'))
    types = store.types
    rng = np.random.default_rng(0)

    def header(stamp_ns):
        time = types['builtin_interfaces/msg/Time'](*divmod(stamp_ns, 10**9))
        return types['std_msgs/msg/Header'](time, 'camera')

    with rosbag2.Writer(path, version=9, storage_plugin=storage) as writer:
        names = {
            '/image': 'sensor_msgs/msg/Image',
            '/audio': 'roma_ros/msg/AudioChunk',
            topic: 'std_msgs/msg/String',
        }
        connections = {t: writer.add_connection(t, n, typestore=store) for t, n in names.items()}

        def write(name, stamp_ns, message):
            data = store.serialize_cdr(message, names[name])
            writer.write(connections[name], stamp_ns + 30_000_000, data)

        for tenth in range(50):
            stamp_ns = T0_NS + tenth * 100_000_000
            pixels = rng.integers(0, 255, (56, 84, 3), dtype=np.uint8)
            image = types['sensor_msgs/msg/Image'](
                header(stamp_ns), 56, 84, 'rgb8', 0, 252, pixels.ravel()
            )
            samples = rng.integers(-999, 999, 1600).astype('<i2').view(np.uint8)
            fields = dict(first_sample=tenth * 1600, data=samples)
            chunk = types['roma_ros/msg/AudioChunk'](
                header=header(stamp_ns), sample_rate=16_000, channels=1, sample_format=2, **fields
            )
            write('/audio', stamp_ns, chunk)
            write('/image', stamp_ns, image)
        write(topic, stamp_ns, types['std_msgs/msg/String']('the end'))
    return path


STORAGES = {'mcap': rosbag2.StoragePlugin.MCAP, 'sqlite3': rosbag2.StoragePlugin.SQLITE3}


@pytest.fixture(scope='module', params=STORAGES)
def bag(request, tmp_path_factory):
    return write_bag(tmp_path_factory.mktemp('bags') / 'drive', STORAGES[request.param])


@pytest.fixture(scope='module')
def annotator():
    """The package's model, which speaks up often whatever its weights are."""
    often = TriggerConfig(threshold=1e-12, hysteresis=None)
    job = AnnotationJob(
        model=str(default_model()),
        instructions=(NARRATE, ALERT),
        device='cpu',
        threads=1,
        config=SessionConfig(triggers=dict.fromkeys(InstructionKind, often)),
    )
    return job()


@pytest.fixture(scope='module')
def line(bag, annotator):
    return annotator(Recording(path=bag))


@pytest.fixture(scope='module')
def live(bag, annotator):
    """What a session gives for the same units."""
    runtime = annotator.runtime
    session = StreamSession(
        runtime.engine,
        runtime.processor,
        runtime.protocol,
        instructions=(NARRATE, ALERT),
        config=annotator.config,
    )
    return [session.step(unit) for unit in units_from_bag(bag)]


def test_agrees_with_a_live_session_unit_by_unit(line, live):
    assert len(line['units']) == len(live) == 5
    assert line['lost'] == []
    for unit, result in zip(line['units'], live, strict=True):
        assert (unit['start_ns'], unit['flags']) == (result.unit.start_ns, result.unit.flags)
        assert [s['probability'] for s in unit['scores']] == [s.probability for s in result.scores]
        assert [(s['utterance_id'], s['text'], s['final']) for s in unit['segments']] == [
            (s.utterance_id, s.text, s.final) for s in result.segments
        ]
    assert line['units'][0]['start_ns'] == T0_NS
    assert any(unit['segments'] for unit in line['units'])


def test_the_copy_holds_the_source_unchanged(bag, line, tmp_path):
    target = tmp_path / 'copy.mcap'
    write_annotated_bag(bag, target, line)
    from rosbags.highlevel import AnyReader

    with AnyReader(
        [bag], default_typestore=typesys.get_typestore(typesys.Stores.LATEST)
    ) as reader:
        source = [(c.topic, time_ns, bytes(data)) for c, time_ns, data in reader.messages()]
    with target.open('rb') as file:
        messages = list(mcap_reader.make_reader(file).iter_messages(log_time_order=False))
    copied = [(c.topic, m.log_time, m.data) for _, c, m in messages]
    assert [m for m in copied if not m[0].startswith('/roma/')] == source
    times_ns = [time_ns for _, time_ns, _ in copied]
    assert times_ns == sorted(times_ns)
    assert {topic for topic, _, _ in copied} == {
        '/image',
        '/audio',
        '/note',
        '/roma/speak_score',
        '/roma/utterance',
        '/roma/status',
    } | {'/roma/highlight' for unit in line['units'] if unit['highlights']}


def test_the_copy_says_what_the_node_would_have_said(bag, line, live, tmp_path):
    target = tmp_path / 'copy.mcap'
    write_annotated_bag(bag, target, line)
    record = read_record(target)
    assert record.complete
    expected = {
        (result.unit.index, score.instruction.id): (
            np.float32(score.probability),
            np.float32(score.threshold),
            score.triggered,
            result.unit.end_ns,
        )
        for result in live
        for score in result.scores
    }
    assert {
        (s.unit_index, s.instruction_id): (s.probability, s.threshold, s.triggered, s.end_ns)
        for s in record.scores
    } == expected
    said = {}
    for result in live:
        for segment in result.segments:
            said[segment.utterance_id] = said.get(segment.utterance_id, '') + segment.text
    assert {u.id: u.text for u in record.utterances} == said
    assert record.instructions == {'instruction-1': (1, ''), 'instruction-2': (2, 'a red light')}
    assert record.status['units'] == 5
    highlights = {h.number for result in live for _, h in result.highlights}
    assert {h.id for h in record.highlights} == highlights


def test_a_bag_that_has_the_topics_is_refused(line, tmp_path):
    bag = write_bag(tmp_path / 'bag', STORAGES['mcap'], topic='/roma/utterance')
    target = tmp_path / 'copy.mcap'
    with pytest.raises(ValueError, match=r'has /roma/utterance already; give another node name'):
        write_annotated_bag(bag, target, line)
    assert list(tmp_path.iterdir()) == [bag]
    write_annotated_bag(bag, target, line, node='/offline')
    assert target.is_file()
    with pytest.raises(FileExistsError, match='remove it'):
        write_annotated_bag(bag, target, line)


def test_lines_tell_utterances_highlights_and_scores(line, tmp_path):
    path = tmp_path / 'drive.jsonl'
    write_annotations(line, path)
    entries = [json.loads(text) for text in path.read_text().splitlines()]
    scores = [e for e in entries if e['type'] == 'score']
    assert len(scores) == 10
    utterances = [e for e in entries if e['type'] == 'utterance']
    assert len({e['id'] for e in utterances}) == len(utterances) > 0
    assert all(T0_NS <= e['start_ns'] < e['end_ns'] for e in entries)
    by_alert = [e for e in utterances if e['instruction_id'] == 'instruction-2']
    assert all(e['text'] == 'a red light' for e in by_alert)


def test_the_command_annotates_and_goes_on(bag, tmp_path, capsys):
    clip = tmp_path / 'clip.mp4'
    write_clip(clip)
    arguments = [
        *(str(bag), str(clip), '--output', str(tmp_path / 'out'), '--threads', '1'),
        *('--instruct', 'narrate[0.4]', '--instruct', 'alert[0.4]: a red light'),
    ]
    assert main(arguments) == 0
    written = {path.name for path in (tmp_path / 'out').iterdir()}
    assert written == {'annotate.jsonl', 'clip.jsonl', 'drive.html', 'drive.jsonl', 'drive.mcap'}
    assert 'clip: 3 s' in capsys.readouterr().out
    report = (tmp_path / 'out' / 'drive.html').read_text()
    assert 'a red light' in report
    assert main(arguments) == 0  # nothing is left to run
    assert main([*arguments, '--instruct', 'alert: rain']) == 1
    assert 'another run: instructions differ' in capsys.readouterr().err


def test_the_command_refuses_what_it_cannot_do(tmp_path, capsys):
    assert main([str(tmp_path / 'none.mp4'), '--output', str(tmp_path)]) == 1
    assert 'no media file' in capsys.readouterr().err
    assert main(['a/x.mp4', 'b/x.mp4', '--output', str(tmp_path)]) == 1
    assert 'several recordings are named x' in capsys.readouterr().err
    assert main(['x.mp4', '--instruct', 'dance']) == 1
    assert 'cannot read the instruction' in capsys.readouterr().err


def write_clip(path):
    av = pytest.importorskip('av', reason='PyAV is not installed')
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, 'yuv420p'
        for _ in range(30):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8), format='rgb24')
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
