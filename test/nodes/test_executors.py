import threading

import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from std_msgs.msg import String
from std_srvs.srv import Trigger

from roma_ros.nodes.executors import PatientExecutor
from roma_ros.nodes.qos import AdaptiveSubscription

pytestmark = pytest.mark.ros


def test_what_is_always_ready_does_not_starve_the_rest(ros_node, wait_until):
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('busy', context=context)
    ticks = []
    node.create_timer(0.0, lambda: ticks.append(None))  # comes before services in a round

    def answer(request, response):
        response.success = True
        return response

    node.create_service(Trigger, 'answer', answer)
    executor, stopping = PatientExecutor(context=context), threading.Event()
    executor.add_node(node)

    def spin():
        while not stopping.is_set():
            executor.spin_once(timeout_sec=0.05)

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        client = ros_node.create_client(Trigger, 'answer')
        assert client.wait_for_service(40)
        future = client.call_async(Trigger.Request())
        wait_until(future.done, 'the answer')
        assert future.result().success
        assert ticks
    finally:
        stopping.set()
        thread.join(20)
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)


def test_what_another_thread_destroys_at_the_worst_moment_ends_no_executor():
    """As a deactivation does: between the listing of what there is, and the wait for it."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('changing', context=context)
    subscription = AdaptiveSubscription(node, String, 'words', lambda message: None, depth=1)
    ticks = []
    node.create_timer(0.01, lambda: ticks.append(None))
    executor, listed = PatientExecutor(context=context), []
    executor.add_node(node)
    can_execute = executor.can_execute

    def can_execute_and_destroy(entity):
        # The last that is listed is the event of the newest subscription.
        if not listed and entity in list(node.waitables)[-1:]:
            listed.append(entity)
            subscription.destroy()
        return can_execute(entity)

    executor.can_execute = can_execute_and_destroy
    while len(ticks) < 3:
        executor.spin_once(timeout_sec=0.1)
    assert listed
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)
