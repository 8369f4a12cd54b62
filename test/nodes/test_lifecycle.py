"""The lifecycle of the node roma, in its own process, whatever its caller does."""

from pathlib import Path
import signal
import threading

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from action_msgs.msg import GoalStatus
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState
from roma_ros.msg import Status

from roma_ros.nodes.conversions import time_to_ns

pytestmark = pytest.mark.ros


#: A disk that is slow for ever.
SLOW_DISK = """
import time
from roma_ros.nodes import roma_node
def load(*args, on_progress, **kwargs):
    while True:
        on_progress('model.safetensors, 1 of 1')
        time.sleep(0.02)
roma_node.load_runtime = load
"""


@pytest.fixture
def disk(monkeypatch):
    """Return an event; before it is set, loading a model does not go on."""
    from roma_ros.nodes import roma_node

    load, is_there = roma_node.load_runtime, threading.Event()

    def load_slowly(*args, on_progress, **kwargs):
        while not is_there.wait(0.02):
            on_progress('model.safetensors, 1 of 1')
        return load(*args, on_progress=on_progress, **kwargs)

    monkeypatch.setattr(roma_node, 'load_runtime', load_slowly)
    return is_there


def memory_mib(process):
    """Return the memory of a process that is no mapped file [MiB]."""
    status = Path(f'/proc/{process.process.pid}/status').read_text(encoding='ascii')
    return int(status.split('RssAnon:')[1].split()[0]) / 1024


def request(observer, transition_id):
    return observer.send(ChangeState, 'change_state', transition=Transition(id=transition_id))


def test_the_lifecycle_is_the_callers_where_autostart_is_off(
    run_roma, observer, sensors, wait_until
):
    run_roma(autostart=False)
    assert observer.wait_for_state(Status.STATE_UNCONFIGURED).detail == ''
    assert observer.transition(Transition.TRANSITION_CONFIGURE)
    observer.wait_for_state(Status.STATE_INACTIVE)
    assert observer.transition(Transition.TRANSITION_ACTIVATE)
    observer.wait_for_units(2)
    assert observer.transition(Transition.TRANSITION_DEACTIVATE)
    observer.wait_for_state(Status.STATE_INACTIVE)
    begin_ns = observer.node.get_clock().now().nanoseconds
    assert observer.transition(Transition.TRANSITION_ACTIVATE)
    wait_until(
        lambda: any(
            s.unit_index == 0 and time_to_ns(s.unit_end) > begin_ns for s in observer.scores
        ),
        'a new stream',
    )
    assert observer.transition(Transition.TRANSITION_DEACTIVATE)
    assert observer.transition(Transition.TRANSITION_CLEANUP)
    observer.wait_for_state(Status.STATE_UNCONFIGURED)
    assert observer.lifecycle_state() == State.PRIMARY_STATE_UNCONFIGURED
    assert not observer.transition(Transition.TRANSITION_ACTIVATE)  # it is not configured


def test_a_missing_model_fails_the_transition_with_the_reason(run_roma, observer, tmp_path):
    run_roma(autostart=False, model=tmp_path / 'nowhere')
    assert not observer.transition(Transition.TRANSITION_CONFIGURE)
    observer.wait_for_state(Status.STATE_UNCONFIGURED, 'nowhere')
    assert observer.lifecycle_state() == State.PRIMARY_STATE_UNCONFIGURED
    observer.wait_for_diagnostic('model', b'\x02', 'cannot configure')


def test_a_deactivated_node_answers_whom_it_owes_an_answer(
    run_roma, observer, sensors, ask, talkative
):
    run_roma(max_segments=100)
    observer.wait_for_units(1)
    question = ask('what do you see?')
    assert observer.transition(Transition.TRANSITION_DEACTIVATE)
    status, result = question.result()
    assert (status, result.message) == (GoalStatus.STATUS_ABORTED, 'the node was deactivated')
    assert not ask('and now?').goal.accepted


def test_a_unit_that_takes_longer_than_a_deactivation_is_not_heard(
    run_roma, observer, sensors, monkeypatch, wait_until
):
    from roma_ros.runtime.session import StreamSession

    step, entered, may_go_on = StreamSession.step, threading.Event(), threading.Event()

    def step_when_it_may(self, *args, **kwargs):
        entered.set()
        assert may_go_on.wait(200)
        return step(self, *args, **kwargs)

    monkeypatch.setattr(StreamSession, 'step', step_when_it_may)
    may_go_on.set()
    run_roma()
    assert observer.wait_for_units(3)[-1].unit_index >= 2
    may_go_on.clear()
    entered.clear()
    wait_until(entered.is_set, 'a unit')
    assert observer.transition(Transition.TRANSITION_DEACTIVATE)
    assert observer.lifecycle_state() == State.PRIMARY_STATE_INACTIVE
    heard = len(observer.scores)
    activated = request(observer, Transition.TRANSITION_ACTIVATE)
    may_go_on.set()
    wait_until(activated.done, 'the answer of activate')
    assert activated.result().success
    observer.wait_for_units(1)
    assert observer.scores[heard].unit_index <= 1  # of the new stream


def test_loading_holds_up_nobody_and_can_be_given_up(run_roma, observer, disk, wait_until):
    run_roma(autostart=False)
    configured = request(observer, Transition.TRANSITION_CONFIGURE)
    observer.wait_for_state(Status.STATE_LOADING)
    observer.wait_for_diagnostic('model', b'\x00', 'loading the model: model.safetensors, 1 of 1')
    assert observer.lifecycle_state() == State.TRANSITION_STATE_CONFIGURING
    assert not configured.done()
    assert observer.transition(Transition.TRANSITION_CLEANUP)
    wait_until(configured.done, 'the answer of configure')
    assert not configured.result().success
    observer.wait_for_state(Status.STATE_UNCONFIGURED, 'given up')
    assert observer.lifecycle_state() == State.PRIMARY_STATE_UNCONFIGURED
    configured = request(observer, Transition.TRANSITION_CONFIGURE)
    observer.wait_for_state(Status.STATE_LOADING)
    disk.set()
    wait_until(configured.done, 'the answer of configure')
    assert configured.result().success


def test_a_shutdown_while_loading_is_obeyed(run_roma, observer, disk, wait_until):
    run_roma(autostart=False)
    configured = request(observer, Transition.TRANSITION_CONFIGURE)
    observer.wait_for_state(Status.STATE_LOADING)
    assert observer.transition(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    wait_until(configured.done, 'the answer of configure')
    assert observer.lifecycle_state() == State.PRIMARY_STATE_FINALIZED


def test_an_unexpected_error_can_be_recovered_from(run_roma, observer, monkeypatch):
    from roma_ros.nodes import roma_node

    run_roma(autostart=False)
    with monkeypatch.context() as patch:
        patch.setattr(roma_node, 'Pipeline', lambda *args, **kwargs: {}['not expected'])
        assert observer.transition(Transition.TRANSITION_CONFIGURE)
        assert not observer.transition(Transition.TRANSITION_ACTIVATE)
    observer.wait_for_state(Status.STATE_ERROR, 'not expected')
    observer.wait_for_diagnostic('model', b'\x02', 'not expected')
    assert observer.lifecycle_state() == State.PRIMARY_STATE_UNCONFIGURED
    assert observer.transition(Transition.TRANSITION_CONFIGURE)
    assert observer.transition(Transition.TRANSITION_ACTIVATE)
    observer.wait_for_state(Status.STATE_ACTIVE)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_loading_ends_the_node(start_roma, observer, number):
    process = start_roma(prelude=SLOW_DISK)
    observer.wait_for_state(Status.STATE_LOADING)
    assert process.stop(number) == 0
    assert 'Traceback' not in process.output


def test_a_node_that_is_told_to_end_answers_first(start_roma, observer, sensors, ask, talkative):
    process = start_roma(prelude=talkative, max_segments=100)
    observer.wait_for_units(1)
    question = ask('what do you see?')
    assert process.stop(signal.SIGTERM) == 0
    assert question.result()[0] == GoalStatus.STATUS_ABORTED


def test_cleanup_gives_the_memory_back(start_roma, observer, heavy_model):
    # In another number format than the file's, so that weights are memory and no mapped file.
    process = start_roma(autostart=False, model=heavy_model, dtype='bfloat16')
    rounds = []
    for _ in range(3):
        assert observer.transition(Transition.TRANSITION_CONFIGURE)
        loaded = memory_mib(process)
        assert observer.transition(Transition.TRANSITION_CLEANUP)
        rounds.append((loaded, memory_mib(process)))
    for loaded, cleaned in rounds:
        assert loaded - cleaned > 190
        assert abs(cleaned - rounds[0][1]) < 20
