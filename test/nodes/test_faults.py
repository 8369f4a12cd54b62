"""What goes wrong on a robot, done to real nodes: docs/faults.md tells what they do then."""

import contextlib
import os
from pathlib import Path
import random
import resource
import signal
import time

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from lifecycle_msgs.msg import State, Transition
from roma_ros.msg import SpeakScore, Status
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from roma_ros.nodes.conversions import fill_image, time_to_ns
from roma_ros.share import share_folder

pytestmark = [pytest.mark.ros, pytest.mark.system]

EXECUTABLE = share_folder().parents[1] / 'lib' / 'roma_ros' / 'roma_node'
OK, WARN, ERROR = b'\x00', b'\x01', b'\x02'


def wait_for_good_unit(observer, wait_until):
    """Wait for a unit that comes now and lacks nothing."""
    begin = len(observer.scores)
    lacking = SpeakScore.UNIT_NO_VIDEO | SpeakScore.UNIT_NO_AUDIO
    wait_until(
        lambda: any(not s.unit_flags & lacking for s in observer.scores[begin:]), 'a good unit'
    )


def test_sensors_that_flap_lie_and_jump(start_roma, observer, sensors, wait_until):
    process = start_roma()
    wait_for_good_unit(observer, wait_until)
    # A camera, then a microphone, that comes and goes.
    for _ in range(2):
        for name in ('camera', 'microphone'):
            setattr(sensors, name, False)
            observer.wait_for_diagnostic(name, ERROR, 'nothing on /')
            setattr(sensors, name, True)
            observer.wait_for_diagnostic(name, OK, 'messages arrive')
    wait_for_good_unit(observer, wait_until)
    # The clock that stamps is set ahead, and back.
    for offset_s in (100, 0):
        jumps = observer.statuses[-1].clock_jumps
        sensors.offset_ns = offset_s * 1_000_000_000
        wait_until(lambda: observer.statuses[-1].clock_jumps > jumps, 'the jump')  # noqa: B023
        wait_until(
            lambda: any(s.unit_flags & SpeakScore.UNIT_CLOCK_JUMP for s in observer.scores),
            'a unit with a jump',
        )
        wait_for_good_unit(observer, wait_until)
    indices = sorted({s.unit_index for s in observer.scores})
    assert indices == list(range(indices[0], indices[-1] + 1))
    assert process.stop() == 0
    assert 'Traceback' not in process.output


def test_a_process_that_was_stopped_catches_up(start_roma, observer, sensors, wait_until):
    process = start_roma(queue_capacity=2)
    wait_for_good_unit(observer, wait_until)
    process.process.send_signal(signal.SIGSTOP)
    time.sleep(6)  # longer than the queue and the depth of the topics
    process.process.send_signal(signal.SIGCONT)
    wait_for_good_unit(observer, wait_until)

    def is_up_to_date():
        age_ns = observer.node.get_clock().now().nanoseconds - time_to_ns(
            observer.scores[-1].unit_end
        )
        return age_ns < 3_000_000_000

    wait_until(is_up_to_date, 'a unit of now')
    assert process.stop() == 0


def test_a_killed_node_can_be_started_again(start_roma, observer, sensors, wait_until):
    """What respawn does, again and again: each leaves its shared memory and locks behind."""
    for _ in range(2):
        killed = start_roma()
        wait_for_good_unit(observer, wait_until)
        killed.process.kill()
        assert killed.join() == -signal.SIGKILL
    process = start_roma()
    wait_for_good_unit(observer, wait_until)
    received = observer.statuses[-1].frames_received
    wait_until(lambda: observer.statuses[-1].frames_received >= received + 30, 'images')
    assert observer.call(Trigger, 'reset').success  # who was there before can call it
    assert process.stop() == 0


#: A graphics card whose memory is full at some units; an allocation fails wherever it is made.
FULL_GPU = """
import itertools, torch
from roma_ros.runtime.torch_engine import TorchEngine
step, calls = TorchEngine.step, itertools.count()
def fail_at_times(self, *args, **kwargs):
    if 6 <= next(calls) < 9:
        raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 20.00 MiB')
    return step(self, *args, **kwargs)
TorchEngine.step = fail_at_times
"""


def test_a_gpu_out_of_memory_costs_units_and_not_the_stream(
    start_roma, observer, sensors, wait_until
):
    process = start_roma(engine='torch', prelude=FULL_GPU)
    found = observer.wait_for_diagnostic('inference', ERROR, 'CUDA out of memory')
    assert 'OutOfMemoryError' in found.message
    observer.wait_for_diagnostic('inference', OK, 'keeps up')
    wait_for_good_unit(observer, wait_until)
    values = {v.key: v.value for v in observer.diagnostic('inference').values}
    assert 1 <= int(values['units_failed']) <= 3
    status = observer.wait_for_state(Status.STATE_ACTIVE)
    assert [i.id for i in status.instructions] == ['instruction-1']
    assert observer.call(Trigger, 'reset').success
    assert process.stop() == 0


@pytest.mark.parametrize(
    ('number', 'library'), [(signal.SIGINT, '_rclpy_pybind11'), (signal.SIGTERM, 'libtorch_cpu')]
)
def test_a_signal_while_importing_ends_the_node(start_process, wait_until, number, library):
    process = start_process(str(EXECUTABLE), cwd='/')
    maps = Path(f'/proc/{process.process.pid}/maps')
    wait_until(lambda: library in maps.read_text(encoding='utf-8'), f'the import of {library}')
    assert process.stop(number) == 0
    assert 'Traceback' not in process.output


def test_too_little_memory_for_the_model_is_told_and_survived(start_roma, observer, heavy_model):
    process = start_roma(autostart=False, engine='torch', model=heavy_model)
    observer.wait_for_state(Status.STATE_UNCONFIGURED)
    pid = process.process.pid
    status = Path(f'/proc/{pid}/status').read_text(encoding='ascii')
    size = int(status.split('VmSize:')[1].split()[0]) * 1024
    unlimited = resource.prlimit(pid, resource.RLIMIT_AS)
    # Room for transformers' modules, which are not imported a second time where it fails halfway.
    resource.prlimit(pid, resource.RLIMIT_AS, (size + 450 * 2**20, unlimited[1]))
    assert not observer.transition(Transition.TRANSITION_CONFIGURE)
    observer.wait_for_diagnostic('model', ERROR, 'cannot configure')
    assert observer.lifecycle_state() == State.PRIMARY_STATE_UNCONFIGURED
    resource.prlimit(pid, resource.RLIMIT_AS, unlimited)
    assert observer.transition(Transition.TRANSITION_CONFIGURE)
    assert process.stop() == 0


def test_a_full_disk_ends_the_record_and_keeps_what_is_written(
    start_process, start_node, ros_node, tmp_path, wait_until
):
    stream_reader = pytest.importorskip('mcap.stream_reader', reason='mcap is not installed')
    from mcap.exceptions import McapError
    from mcap.records import Message

    path, limit = tmp_path / 'stream.mcap', 700_000
    prelude = f'import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))'
    process = start_node('recorder_node', prelude=prelude, path=path, jpeg_quality=100)
    publisher = ros_node.create_publisher(Image, 'image', 10)
    rng, image = np.random.default_rng(0), Image()
    wait_until(lambda: publisher.get_subscription_count(), 'the recorder')
    fill_image(image, rng.integers(0, 255, (240, 320, 3), dtype=np.uint8))

    def ended():
        image.header.stamp = ros_node.get_clock().now().to_msg()
        publisher.publish(image)
        time.sleep(0.02)
        return process.process.poll() is not None

    wait_until(ended, 'the end')
    assert process.join() == 1
    assert f'cannot write {path}' in process.output
    assert os.path.getsize(path) <= limit
    kept = 0
    with path.open('rb') as file, contextlib.suppress(McapError):  # it ends in a chunk's middle
        for record in stream_reader.StreamReader(file).records:
            kept += isinstance(record, Message)
    assert kept > 0


def test_a_network_slower_than_the_stream_drops_the_oldest_units(
    run_roma, observer, sensors, monkeypatch, wait_until
):
    from roma_ros.runtime.session import StreamSession

    step = StreamSession.step

    def step_slowly(self, *args, **kwargs):
        time.sleep(2.2)
        return step(self, *args, **kwargs)

    monkeypatch.setattr(StreamSession, 'step', step_slowly)
    run_roma(queue_capacity=2)
    wait_until(lambda: observer.statuses and observer.statuses[-1].units_dropped > 2, 'drops')
    observer.wait_for_diagnostic('inference', WARN, 'the model is slower than the stream')
    observer.wait_for_units(2)
    assert max(s.queue_length for s in observer.statuses) <= 2  # no backlog grows
    indices = sorted({s.unit_index for s in observer.scores})
    assert indices[-1] - indices[0] >= len(indices)  # those between were left out


def test_one_corrupt_image_in_ten_costs_no_unit(run_roma, observer, sensors, ros_node, wait_until):
    sensors.camera = False  # its microphone keeps the time
    publisher = ros_node.create_publisher(Image, 'image', 5)
    good, corrupt = Image(), Image(height=48, width=64, encoding='rgb8', step=192, data=b'\0' * 9)
    fill_image(good, np.zeros((48, 64, 3), np.uint8))
    chance = random.Random(0)  # a regular one might never be among the few that are decoded

    def publish():
        message = corrupt if chance.random() < 0.1 else good
        message.header.stamp = ros_node.get_clock().now().to_msg()
        publisher.publish(message)

    ros_node.create_timer(1 / 20, publish)
    run_roma(patience_s=10.0)
    wait_until(lambda: observer.statuses and observer.statuses[-1].frames_rejected, 'a rejection')
    observer.wait_for_diagnostic('camera', WARN, 'could not be decoded')
    assert all(not s.unit_flags & SpeakScore.UNIT_NO_VIDEO for s in observer.wait_for_units(4))
