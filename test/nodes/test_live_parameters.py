"""Parameters of the node roma that change while it works."""

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from lifecycle_msgs.msg import Transition
from rcl_interfaces.srv import DescribeParameters, SetParameters
from rclpy.parameter import Parameter
from roma_ros.msg import Status

pytestmark = pytest.mark.ros


@pytest.fixture
def change(observer):
    """Set parameters; return the reasons of those that are refused."""

    def change(**values):
        parameters = [Parameter(name, value=v).to_parameter_msg() for name, v in values.items()]
        results = observer.call(SetParameters, 'set_parameters', parameters=parameters).results
        return [r.reason for r in results if not r.successful]

    return change


def test_thresholds_windows_and_instructions_count_at_once(
    run_roma, observer, sensors, change, wait_until
):
    run_roma(window_s=10)
    observer.wait_for_units(2)
    capacity = observer.wait_for_state(Status.STATE_ACTIVE).cache_capacity
    assert change(narration_threshold=0.5, window_s=20) == []
    wait_until(lambda: observer.scores[-1].threshold == pytest.approx(0.5), 'the threshold')
    wait_until(lambda: observer.statuses[-1].cache_capacity > capacity, 'the larger window')
    assert change(instructions=['alert[0.2]: a bell', 'narrate: cats']) == []
    wait_until(
        lambda: {i.text for i in observer.statuses[-1].instructions} == {'a bell', 'cats'},
        'the instructions',
    )
    indices = sorted({s.unit_index for s in observer.scores})
    assert indices == list(range(indices[0], indices[-1] + 1))  # the stream went on


def test_what_is_wrong_is_refused_with_the_reason(run_roma, observer, change):
    run_roma(autostart=False)
    (reason,) = change(instructions=['sing'])
    assert "cannot read the instruction 'sing'" in reason
    (reason,) = change(instructions=['narrate', 'narrate: cats'])
    assert 'one narration' in reason
    (reason,) = change(image_rotation_deg=45)
    assert 'expected 0, 90, 180 or 270' in reason
    assert change(alert_threshold=2.0)
    assert change(autostart=True)
    assert 'read-only' in change(autostart=True)[0]
    descriptor = observer.call(
        DescribeParameters, 'describe_parameters', names=['alert_threshold']
    ).descriptors[0]
    assert descriptor.floating_point_range[0].to_value == 0.999
    assert 'at once' in descriptor.additional_constraints


def test_instructions_that_change_while_inactive_stand_at_the_next_activation(
    run_roma, observer, sensors, change, wait_until
):
    run_roma(autostart=False)
    assert observer.transition(Transition.TRANSITION_CONFIGURE)
    assert change(instructions=['alert: a bell']) == []
    assert observer.transition(Transition.TRANSITION_ACTIVATE)
    status = observer.wait_for_state(Status.STATE_ACTIVE)
    assert [i.text for i in status.instructions] == ['a bell']
