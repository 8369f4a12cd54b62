"""
The node as nav2's lifecycle manager drives it.

Read in nav2_lifecycle_manager of Humble, Jazzy, Kilted, Lyrical and main (August 2026): the
manager waits without end for ``get_state`` to appear, and for the answer of ``change_state``,
which it does not read; then it asks for the state, at once, and takes another than it expects for
a failure. nav2 itself is not on PyPI.
"""

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from lifecycle_msgs.msg import State, Transition
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from roma_ros.msg import Status

pytestmark = [pytest.mark.ros, pytest.mark.system]

#: The states that the manager expects right after its transitions.
EXPECTED = {
    Transition.TRANSITION_CONFIGURE: State.PRIMARY_STATE_INACTIVE,
    Transition.TRANSITION_ACTIVATE: State.PRIMARY_STATE_ACTIVE,
    Transition.TRANSITION_DEACTIVATE: State.PRIMARY_STATE_INACTIVE,
    Transition.TRANSITION_CLEANUP: State.PRIMARY_STATE_UNCONFIGURED,
    Transition.TRANSITION_UNCONFIGURED_SHUTDOWN: State.PRIMARY_STATE_FINALIZED,
}
STARTUP = (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)
CONFIGURE, CLEANUP = (Transition.TRANSITION_CONFIGURE,), (Transition.TRANSITION_CLEANUP,)
PAUSE, RESUME = (Transition.TRANSITION_DEACTIVATE,), (Transition.TRANSITION_ACTIVATE,)
RESET = (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP)
SHUTDOWN = (*RESET, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)


@pytest.fixture
def change(observer):
    """Request a transition, and tell whether the manager would be content."""

    def change(transition):
        observer.transition(transition)
        return observer.lifecycle_state() == EXPECTED[transition]

    return change


@pytest.fixture
def command(change):
    """Do one of the manager's commands up to the first failure; tell whether there was none."""
    return lambda transitions: all(map(change, transitions))


def test_the_managers_commands_lead_where_it_expects(start_roma, observer, sensors, command):
    process = start_roma(autostart=False)
    assert command(STARTUP)
    observer.wait_for_units(1)
    assert command(PAUSE)
    assert command(RESUME)
    observer.wait_for_units(1)
    assert command(RESET)
    assert command(CONFIGURE)
    assert command(CLEANUP)
    assert command(STARTUP)
    observer.wait_for_units(1)
    assert command(SHUTDOWN)
    # A node that is finalized waits for its end; the manager does not end processes.
    assert process.process.poll() is None
    assert process.stop() == 0
    assert 'Traceback' not in process.output


@pytest.mark.parametrize('before', [(), CONFIGURE], ids=['unconfigured', 'inactive'])
def test_a_shutdown_goes_on_past_what_the_state_refuses(run_roma, change, command, before):
    run_roma(autostart=False)
    assert command(before)
    # The manager judges by the state alone, and goes through all three whatever comes of them.
    assert [change(transition) for transition in SHUTDOWN] == [bool(before), True, True]


def test_a_startup_that_failed_can_be_commanded_again(run_roma, observer, command, tmp_path):
    run_roma(autostart=False, model=tmp_path / 'nowhere')
    assert not command(STARTUP)
    observer.wait_for_state(Status.STATE_UNCONFIGURED, 'nowhere')
    mended = [Parameter('model', value='').to_parameter_msg()]
    assert observer.call(SetParameters, 'set_parameters', parameters=mended).results[0].successful
    assert command(STARTUP)


def test_no_bond_is_offered_so_the_manager_has_to_wait_for_none(run_roma, observer, ros_node):
    """nav2's ``bond_timeout`` has to be 0.0: docs/robot.md says so."""
    run_roma(autostart=False)
    assert observer.transition(Transition.TRANSITION_CONFIGURE)
    topics = [name for name, _ in ros_node.get_topic_names_and_types()]
    assert '/bond' not in topics
