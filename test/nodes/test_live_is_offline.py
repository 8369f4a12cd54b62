"""The node on a bag that is played, against ``roma annotate`` on the same bag, unit by unit."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')
rosbag2 = pytest.importorskip('rosbags.rosbag2', reason='rosbags is not installed')

from rclpy.serialization import serialize_message
from roma_ros.msg import AudioChunk, Highlight
from rosbags.typesys import get_types_from_msg, get_typestore, Stores
from sensor_msgs.msg import Image

from roma_ros.cli.annotate import main as annotate
from roma_ros.nodes.conversions import fill_audio_chunk, fill_image, ns_to_time, time_to_ns

pytestmark = [pytest.mark.ros, pytest.mark.system]

DEFINITION = Path(__file__).parents[2] / 'msg' / 'AudioChunk.msg'
BEGIN_NS = 1_700_000_000_123_456_789
SECONDS, FPS, RATE_HZ, CHUNK = 6, 10, 44_100, 882
UNITS = SECONDS - 1
#: What is narrated would depend on the machine's speed.
CONDITIONS = ('a red light', 'a loud noise')


@pytest.fixture
def bag(tmp_path):
    """Write a bag in which every second looks and sounds otherwise."""
    rng = np.random.default_rng(0)
    messages = []
    for number in range(SECONDS * FPS):
        image = Image()
        image.header.frame_id = 'camera'
        image.header.stamp = ns_to_time(BEGIN_NS + number * 10**9 // FPS)
        level = 40 * (number // FPS)
        fill_image(image, rng.integers(level, level + 50, (96, 128, 3)).astype(np.uint8))
        messages.append(('/camera/image', 'sensor_msgs/msg/Image', image))
    for number in range(SECONDS * RATE_HZ // CHUNK):
        chunk = AudioChunk()
        samples = rng.standard_normal((CHUNK, 2)) * 0.05 * (number * CHUNK // RATE_HZ)
        samples = samples.astype(np.float32)
        fill_audio_chunk(chunk, samples, rate_hz=RATE_HZ, first_sample=CHUNK * number)
        chunk.header.stamp = ns_to_time(BEGIN_NS + number * CHUNK * 10**9 // RATE_HZ)
        messages.append(('/microphone/audio', 'roma_ros/msg/AudioChunk', chunk))
    messages.sort(key=lambda entry: time_to_ns(entry[2].header.stamp))
    store = get_typestore(Stores.LATEST)
    store.register(get_types_from_msg(DEFINITION.read_text(), 'roma_ros/msg/AudioChunk'))
    path = tmp_path / 'bag'
    with rosbag2.Writer(path, version=9, storage_plugin=rosbag2.StoragePlugin.MCAP) as writer:
        connections = {}
        for topic, name, message in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, name, typestore=store)
            stamp_ns = time_to_ns(message.header.stamp)
            writer.write(connections[topic], stamp_ns, serialize_message(message))
    return path


def offline(bag, folder, alerts):
    """Return the annotation's lines by type; the last unit waits for what never comes, live."""
    arguments = [argument for line in alerts for argument in ('--instruct', line)]
    assert annotate([str(bag), '--output', str(folder), '--threads', '1', *arguments]) == 0
    entries = [json.loads(line) for line in (folder / 'bag.jsonl').read_text().splitlines()]
    entries = [e for e in entries if e['start_ns'] < BEGIN_NS + UNITS * 10**9]
    return {
        name: [e for e in entries if e['type'] == name]
        for name in ('score', 'utterance', 'highlight')
    }


def alerts_that_tell(bag, folder):
    """Return alerts with thresholds amid their probabilities, whatever the network has learned."""
    scores = offline(bag, folder, [f'alert: {words}' for words in CONDITIONS])['score']
    alerts = []
    for number, words in enumerate(CONDITIONS, 1):
        own = [s for s in scores if s['instruction_id'] == f'instruction-{number}']
        low, high = sorted(s['probability'] for s in own)[:2]
        alerts.append(f'alert[{(low + high) / 2:.9f}]: {words}')
    return alerts


def test_live_and_offline_agree_unit_by_unit(
    start_roma, start_node, observer, bag, tmp_path, wait_until
):
    alerts = alerts_that_tell(bag, tmp_path / 'first')
    expected = offline(bag, tmp_path / 'notes', alerts)
    roma = start_roma(
        engine='torch',  # as offline: engines differ by rounding
        use_sim_time=True,
        instructions=json.dumps(alerts),
        patience_s=10.0,  # however slow the machine is, what comes is waited for,
        queue_capacity=60,  # and nothing is dropped
    )
    observer.wait_for_state(4)
    playback = start_node(
        'playback_node', source=bag, publish_clock=True, wait_for_subscribers=1, exit_at_end=False
    )
    # The stream's own, and two alerts.
    wait_until(lambda: len(observer.scores) == 3 * UNITS, 'all scores')
    live = {(s.unit_index, s.instruction_id): s for s in observer.scores}
    assert len(live) == len(expected['score']) == 3 * UNITS
    for score in expected['score']:
        found = live[score['unit'], score['instruction_id']]
        assert time_to_ns(found.unit_start) == score['start_ns']
        assert time_to_ns(found.unit_end) == score['end_ns']
        assert found.probability == pytest.approx(score['probability'], abs=1e-5)
        assert found.triggered == score['triggered']
    assert len({s.probability for s in live.values()}) > UNITS  # no two seconds are alike

    wait_until(lambda: len(observer.utterances) >= len(expected['utterance']), 'all utterances')
    told = [
        (u.id, u.kind, u.instruction_id, u.text, time_to_ns(u.unit_start), time_to_ns(u.unit_end))
        for u in observer.utterances
    ]
    assert told
    assert told == [
        (u['id'], u['kind'], u['instruction_id'], u['text'], u['start_ns'], u['end_ns'])
        for u in expected['utterance']
    ]

    def begun():
        return [h for h in observer.highlights if h.state == Highlight.STATE_BEGIN]

    wait_until(lambda: len(begun()) >= len(expected['highlight']), 'all highlights')
    assert [(h.id, time_to_ns(h.start)) for h in begun()] == [
        (h['number'], h['start_ns']) for h in expected['highlight']
    ]
    assert (playback.stop(), roma.stop()) == (0, 0)
