import sys

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

import rclpy
from rclpy.duration import Duration
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Int32

from roma_ros.nodes.qos import AdaptiveSubscription

pytestmark = pytest.mark.ros

#: Ten seconds of what is published: a busy machine loses nothing of it.
DEPTH = 1000
#: A publisher in a process of its own, which counts as long as it lives.
PUBLISHER = """
import itertools, sys, time, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Int32
rclpy.init()
node = rclpy.create_node('publisher')
qos = QoSProfile(depth=1000, reliability=getattr(ReliabilityPolicy, sys.argv[1]))
publisher = node.create_publisher(Int32, 'count', qos)
for number in itertools.count():
    publisher.publish(Int32(data=number))
    time.sleep(0.01)
"""


def start_publisher(start_process, reliability, folder):
    return start_process(sys.executable, '-c', PUBLISHER, reliability, cwd=folder)


@pytest.mark.parametrize('first', ['publisher', 'subscription'])
@pytest.mark.parametrize('reliability', ['RELIABLE', 'BEST_EFFORT'])
def test_whoever_starts_first_is_heard(
    start_process, ros_node, wait_until, tmp_path, reliability, first
):
    received = []
    if first == 'publisher':
        start_publisher(start_process, reliability, tmp_path)
        wait_until(lambda: ros_node.count_publishers('count'))
    subscription = AdaptiveSubscription(
        ros_node, Int32, 'count', lambda message: received.append(message.data), depth=DEPTH
    )
    if first == 'subscription':
        start_publisher(start_process, reliability, tmp_path)
    wait_until(lambda: len(received) >= 20, 'twenty messages')
    assert subscription.reliability.name == reliability
    assert received == list(range(received[0], received[0] + len(received)))
    subscription.destroy()
    # Whoever reports may ask while the subscription is being made anew.
    assert subscription.topic_name == '/count'


def test_a_plain_reliable_subscription_would_hear_nothing(
    start_process, ros_node, wait_until, tmp_path
):
    plain, adaptive = [], []
    ros_node.create_subscription(
        Int32, 'count', plain.append, QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
    )
    AdaptiveSubscription(ros_node, Int32, 'count', adaptive.append, depth=DEPTH)
    start_publisher(start_process, 'BEST_EFFORT', tmp_path)
    wait_until(lambda: len(adaptive) >= 20, 'twenty messages')
    assert plain == []


def test_what_has_arrived_can_be_taken_at_the_end(start_process, wait_until, tmp_path):
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('late', context=context)  # no executor serves it
    received = []
    subscription = AdaptiveSubscription(
        node, Int32, 'count', lambda message: received.append(message.data), depth=DEPTH
    )
    start_publisher(start_process, 'RELIABLE', tmp_path)
    wait_until(lambda: node.count_publishers('count'))

    def take():
        subscription.take_rest()
        return len(received) > 20

    wait_until(take, 'twenty messages')
    assert received == list(range(received[0], received[0] + len(received)))
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def check_overrides(node, reliability, wait_until):
    """Subscribe, and hear the newest three of ten, which is the depth."""
    received = []
    subscription = AdaptiveSubscription(
        node, Int32, 'count', lambda message: received.append(message.data), depth=10
    )
    publisher = node.create_publisher(Int32, 'count', 10)
    (info,) = node.get_subscriptions_info_by_topic('count')
    assert info.qos_profile.reliability.name.lower() == reliability
    wait_until(publisher.get_subscription_count, 'the subscription')
    for number in range(10):
        publisher.publish(Int32(data=number))
    publisher.wait_for_all_acked(Duration(seconds=10))

    def take():
        subscription.take_rest()
        return received[-1:] == [9]

    wait_until(take, 'the newest message')
    assert received[-3:] == [7, 8, 9]
    assert len(received) == 3 or reliability == 'best_effort'
    subscription.destroy()
    node.destroy_publisher(publisher)


@pytest.mark.parametrize('reliability', ['reliable', 'best_effort'])
def test_depth_and_reliability_can_be_overridden_by_parameters(wait_until, reliability):
    context = rclpy.Context()
    rclpy.init(context=context)
    name = 'qos_overrides./count.subscription.{}'
    given = {name.format('reliability'): reliability, name.format('depth'): 3}
    node = rclpy.create_node(
        'overridden',
        context=context,
        parameter_overrides=[rclpy.Parameter(key, value=value) for key, value in given.items()],
    )
    for _ in range(2):  # as by two activations
        check_overrides(node, reliability, wait_until)
    node.destroy_node()
    rclpy.try_shutdown(context=context)
