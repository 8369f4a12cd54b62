"""The node as nav2's lifecycle manager drives it: its requests, in its order."""

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from lifecycle_msgs.msg import State, Transition
from roma_ros.msg import Status

pytestmark = [pytest.mark.ros, pytest.mark.system]

#: The states that the manager expects right after its transitions (nav2_lifecycle_manager).
EXPECTED = {
    Transition.TRANSITION_CONFIGURE: State.PRIMARY_STATE_INACTIVE,
    Transition.TRANSITION_ACTIVATE: State.PRIMARY_STATE_ACTIVE,
    Transition.TRANSITION_DEACTIVATE: State.PRIMARY_STATE_INACTIVE,
    Transition.TRANSITION_CLEANUP: State.PRIMARY_STATE_UNCONFIGURED,
    Transition.TRANSITION_UNCONFIGURED_SHUTDOWN: State.PRIMARY_STATE_FINALIZED,
}
STARTUP = (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)
PAUSE, RESUME = (Transition.TRANSITION_DEACTIVATE,), (Transition.TRANSITION_ACTIVATE,)
RESET = (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP)
SHUTDOWN = (*RESET, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)


def test_the_managers_commands_lead_where_it_expects(start_roma, observer, sensors):
    process = start_roma(autostart=False)
    observer.wait_for_state(Status.STATE_UNCONFIGURED)

    def command(*transitions):
        for transition in transitions:
            assert observer.transition(transition), transition
            # The manager asks at once, and takes another state for a failure.
            assert observer.lifecycle_state() == EXPECTED[transition]

    command(*STARTUP)
    observer.wait_for_units(1)
    command(*PAUSE)
    command(*RESUME)
    observer.wait_for_units(1)
    command(*RESET)
    command(*STARTUP)
    observer.wait_for_units(1)
    command(*SHUTDOWN)
    # A node that is finalized waits for its end; the manager does not end processes.
    assert process.process.poll() is None
    assert process.stop() == 0
    assert 'Traceback' not in process.output


def test_no_bond_is_offered_so_the_manager_has_to_wait_for_none(run_roma, observer, ros_node):
    """nav2's ``bond_timeout`` has to be 0.0: docs/robot.md says so."""
    run_roma(autostart=False)
    assert observer.transition(Transition.TRANSITION_CONFIGURE)
    topics = [name for name, _ in ros_node.get_topic_names_and_types()]
    assert '/bond' not in topics
