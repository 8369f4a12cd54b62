import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from roma_ros.nodes.ask_client import AskClient

pytestmark = pytest.mark.ros


def test_what_comes_before_the_client_is_whole_kills_no_executor(ros_node, monkeypatch):
    """A status comes at the worst moment: when the executor knows the client, and it no lock."""
    add, taken = ros_node.add_waitable, []

    def add_and_take(client):
        add(client)
        for what in ('goal_response', 'cancel_response', 'result_response', 'feedback'):
            setattr(client, f'_is_{what}_ready', False)
        client._is_status_ready = True
        taken.append(client.take_data())

    monkeypatch.setattr(ros_node, 'add_waitable', add_and_take)
    client = AskClient(ros_node, 'roma/ask')
    assert taken == [{}]  # there was none in truth
    client.destroy()
