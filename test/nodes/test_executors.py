import threading

import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from std_srvs.srv import Trigger

from roma_ros.nodes.executors import PatientExecutor

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
