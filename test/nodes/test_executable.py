import os
import signal
import sys

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rcl_interfaces.srv import DescribeParameters, GetParameters

from roma_ros.nodes.side import SideNode

pytestmark = pytest.mark.ros

#: A node that publishes, and writes a file, when it is told to end.
NODE = """
import sys, rclpy
from rclpy.node import Node
from std_msgs.msg import String
from roma_ros.nodes.executable import run_node

class Farewell(Node):
    finished = False
    def __init__(self):
        super().__init__('farewell')
        self.words = self.create_publisher(String, 'words', 10)
        self.create_timer(0.05, lambda: print('spins', flush=True))
        if 'broken' in sys.argv:
            raise ValueError('no such thing')
        if 'short' in sys.argv:
            self.finished, self.exit_code = True, 3
    def destroy_node(self):
        if rclpy.ok():
            self.words.publish(String(data='farewell'))
            print('published', flush=True)
        super().destroy_node()

sys.exit(run_node(Farewell))
"""


def start_farewell(start_process, folder, *arguments):
    return start_process(sys.executable, '-c', NODE, *arguments, cwd=folder)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_node_while_it_can_still_publish(start_process, tmp_path, number):
    node = start_farewell(start_process, tmp_path)
    node.wait_for('spins')
    assert node.stop(number) == 0
    assert 'published' in node.output
    assert 'Traceback' not in node.output


def test_a_node_that_is_finished_ends_with_its_own_code(start_process, tmp_path):
    node = start_farewell(start_process, tmp_path, 'short')
    assert node.join() == 3
    assert 'published' in node.output


def test_a_node_that_cannot_start_says_why(start_process, tmp_path):
    node = start_farewell(start_process, tmp_path, 'broken')
    assert node.join() == 1
    assert 'cannot start: no such thing' in node.output
    assert 'Traceback' not in node.output


@pytest.mark.parametrize(
    ('name', 'parameter', 'value'),
    [
        ('camera', 'device', '/dev/none'),
        ('microphone', 'device', 'none'),
        ('playback', 'source', None),
        ('recorder', 'jpeg_quality', 42),
    ],
)
def test_parameters_can_be_asked_for(start_node, call, tmp_path, name, parameter, value):
    given = {parameter: value}
    if name == 'playback':
        rosbag2 = pytest.importorskip('rosbags.rosbag2', reason='rosbags is not installed')
        from rosbags.typesys import get_typestore, Stores

        value = str(tmp_path / 'bag')
        with rosbag2.Writer(value, version=9) as writer:
            store = get_typestore(Stores.LATEST)
            writer.add_connection('/image', 'sensor_msgs/msg/Image', typestore=store)
        given = {parameter: value, 'exit_at_end': False}
    if name == 'microphone':
        pytest.importorskip('pyaudio', reason='PyAudio is not installed')
    if name == 'recorder':
        given['path'] = tmp_path / 'stream.mcap'
    node = start_node(f'{name}_node', **given)
    (found,) = call(GetParameters, f'{name}/get_parameters', names=[parameter]).values
    assert value in (found.string_value, found.integer_value)
    answer = call(DescribeParameters, f'{name}/describe_parameters', names=[parameter])
    assert answer.descriptors[0].description
    assert node.stop() == 0
    assert 'Traceback' not in node.output


def test_security_without_a_keystore_is_told_in_a_line(start_process, tmp_path):
    environment = {
        **os.environ,
        'ROS_SECURITY_ENABLE': 'true',
        'ROS_SECURITY_STRATEGY': 'Enforce',
        'ROS_SECURITY_KEYSTORE': str(tmp_path / 'nowhere'),
    }
    node = start_process(sys.executable, '-c', NODE, cwd=tmp_path, env=environment)
    assert node.join() == 1
    assert 'cannot start: ' in node.output
    assert 'nowhere' in node.output
    assert 'Traceback' not in node.output


def test_a_command_beside_the_nodes_says_it_too(tmp_path, monkeypatch):
    monkeypatch.setenv('ROS_SECURITY_ENABLE', 'true')
    monkeypatch.setenv('ROS_SECURITY_STRATEGY', 'Enforce')
    monkeypatch.setenv('ROS_SECURITY_KEYSTORE', str(tmp_path / 'nowhere'))
    with pytest.raises(OSError, match=r'cannot join the ROS graph: .*nowhere'), SideNode('side'):
        pass
