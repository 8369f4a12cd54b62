import os
import sys
import tempfile
from xml.etree import ElementTree

import pytest

from roma_ros.nodes.dds import set_dds_defaults
from roma_ros.share import share_folder

PROFILE = 'FASTDDS_DEFAULT_PROFILES_FILE'
OLD_PROFILE = 'FASTRTPS_DEFAULT_PROFILES_FILE'
#: Publish raw images at 30 Hz, best effort, to who listens.
PUBLISHER = """
import itertools, time, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('publisher')
qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
publisher = node.create_publisher(Image, 'image', qos)
image = Image(height=480, width=640, step=1920, encoding='rgb8', data=bytes(921_600))
for number in itertools.count():
    image.header.stamp.sec = number
    publisher.publish(image)
    time.sleep(1 / 30)
"""
SUBSCRIBER = """
import psutil, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('subscriber')
received = []
def take(message):
    received.append(message.header.stamp.sec)
    # A busy machine may lose one, but not for long: with UDP alone one in ten arrives.
    if received[-60:] == list(range(received[-1] - 59, received[-1] + 1)):
        print('received 60 in a row', flush=True)
qos = QoSProfile(depth=60, reliability=ReliabilityPolicy.BEST_EFFORT)
node.create_subscription(Image, 'image', take, qos)
addresses = {c.laddr.ip for c in psutil.Process().net_connections('inet')}
print('sockets', *sorted(addresses), flush=True)
rclpy.spin(node)
"""


@pytest.mark.parametrize(
    ('chosen', 'profile'),
    [
        ({}, 'fastdds_localhost.xml'),
        ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}, 'fastdds_localhost.xml'),
        ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}, 'fastdds_network.xml'),
        ({'RMW_IMPLEMENTATION': 'rmw_fastrtps_dynamic_cpp'}, 'fastdds_localhost.xml'),
    ],
)
def test_a_profile_is_chosen(chosen, profile):
    environment = dict(chosen)
    set_dds_defaults(environment)
    assert os.path.basename(environment[PROFILE]) == profile
    assert os.path.isfile(environment[PROFILE])
    kept = {k: v for k, v in chosen.items() if v != 'LOCALHOST'}  # the profile does it
    assert environment.keys() == {PROFILE, *kept}  # Fast DDS 3 complains of the older name


def test_who_starts_later_is_found_soon():
    profile = ElementTree.parse(share_folder() / 'config' / 'fastdds_localhost.xml')
    (period,) = (e for e in profile.iter() if e.tag.endswith('leaseAnnouncement'))
    values = {e.tag.rpartition('}')[2]: int(e.text) for e in period}
    assert values['sec'] + values['nanosec'] / 1e9 <= 0.5


def test_fast_dds_2_gets_the_name_that_it_knows(monkeypatch):
    monkeypatch.setattr('roma_ros.nodes.dds.version', lambda package: '7.1.5')  # Jazzy's rclpy
    environment = {}
    set_dds_defaults(environment)
    assert list(environment) == [OLD_PROFILE]


@pytest.mark.parametrize(
    'chosen',
    [
        {PROFILE: '/their.xml'},
        {OLD_PROFILE: '/their.xml'},
        {'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA'},
    ],
)
def test_what_the_user_chose_stays(chosen):
    environment = dict(chosen)
    set_dds_defaults(environment)
    assert environment == chosen


def test_the_network_can_be_chosen():
    environment = {}
    set_dds_defaults(environment, reach='network')
    assert os.path.basename(environment[PROFILE]) == 'fastdds_network.xml'
    environment = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    set_dds_defaults(environment, reach='network')
    assert os.path.basename(environment[PROFILE]) == 'fastdds_localhost.xml'
    environment = {'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}
    set_dds_defaults(environment, reach='network')
    assert list(environment) == ['RMW_IMPLEMENTATION']


def test_other_middleware_is_kept_on_this_machine():
    environment = {'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}
    set_dds_defaults(environment)
    assert environment.pop('ROS_AUTOMATIC_DISCOVERY_RANGE') == 'LOCALHOST'
    assert environment == {'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}


@pytest.mark.ros
@pytest.mark.parametrize('discovery_range', [None, 'LOCALHOST'])
def test_raw_images_arrive_and_nothing_listens_beyond_loopback(
    start_process, domain_id, discovery_range
):
    pytest.importorskip('rclpy', reason='rclpy is not installed')
    pytest.importorskip('psutil', reason='psutil is not installed')
    names = ('DDS', 'ROS_', 'RMW_')
    environment = {k: v for k, v in os.environ.items() if not any(n in k for n in names)}
    environment = {k: v for k, v in environment.items() if 'PROFILES_FILE' not in k}
    environment['ROS_DOMAIN_ID'] = str(domain_id)
    if discovery_range:
        environment['ROS_AUTOMATIC_DISCOVERY_RANGE'] = discovery_range
    set_dds_defaults(environment)
    options = {'env': environment, 'cwd': tempfile.gettempdir()}
    subscriber = start_process(sys.executable, '-c', SUBSCRIBER, **options)
    assert subscriber.wait_for('sockets').split() == ['sockets', '127.0.0.1']
    start_process(sys.executable, '-c', PUBLISHER, **options)
    subscriber.wait_for('received 60 in a row')
