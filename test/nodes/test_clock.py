"""The node under a clock that a recording publishes, which begins again and again."""

import threading

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from roma_ros.msg import SpeakScore, Status
from rosgraph_msgs.msg import Clock

from roma_ros.nodes.conversions import ns_to_time, time_to_ns

pytestmark = [pytest.mark.ros, pytest.mark.system]


class RecordedClock:
    """Publishes ``/clock`` a hundred times a second, as ``sensors`` count their time."""

    def __init__(self, node, sensors) -> None:
        self._node, self._sensors = node, sensors
        self._publisher = node.create_publisher(Clock, '/clock', 1)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds + self._sensors.offset_ns

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            self._publisher.publish(Clock(clock=ns_to_time(self.now_ns)))


@pytest.fixture
def clock(ros_node, sensors):
    clock = RecordedClock(ros_node, sensors)
    yield clock
    clock.stop()


def test_a_recording_that_begins_again_sets_the_clock_back(
    start_roma, observer, sensors, clock, wait_until
):
    process = start_roma(use_sim_time=True)

    def wait_for_good_unit():
        """Wait for a unit of now that lacks nothing."""

        def is_good(score):
            lacks = score.unit_flags & (SpeakScore.UNIT_NO_VIDEO | SpeakScore.UNIT_NO_AUDIO)
            age_ns = clock.now_ns - time_to_ns(score.unit_end)
            return not lacks and 0 <= age_ns < 10_000_000_000

        wait_until(lambda: observer.scores and is_good(observer.scores[-1]), 'a good unit')
        return observer.scores[-1]

    for round_s in (0, -60, -120):  # each time a minute back
        jumps = observer.statuses[-1].clock_jumps if observer.statuses else 0
        sensors.offset_ns = round_s * 1_000_000_000
        if round_s:
            wait_until(lambda: observer.statuses[-1].clock_jumps > jumps, 'the jump')  # noqa: B023
        score = wait_for_good_unit()
        assert 0 < score.latency_ms < 60_000
        # Timers of the node's own do not stand still, and what it tells is of the clock's time.
        begin = len(observer.statuses)
        wait_until(lambda: len(observer.statuses) > begin + 1, 'two more statuses')  # noqa: B023
        age_ns = clock.now_ns - time_to_ns(observer.statuses[-1].header.stamp)
        assert abs(age_ns) < 10_000_000_000
    indices = sorted({s.unit_index for s in observer.scores})
    assert indices == list(range(indices[0], indices[-1] + 1))
    assert observer.wait_for_state(Status.STATE_ACTIVE).clock_jumps >= 2
    assert process.stop() == 0
    assert 'Traceback' not in process.output


def test_a_clock_that_stands_still_stops_nothing_but_the_stream(
    start_roma, observer, sensors, wait_until
):
    process = start_roma(use_sim_time=True)  # nobody publishes the clock
    observer.wait_for_state(Status.STATE_ACTIVE)
    begin = len(observer.statuses)
    wait_until(lambda: len(observer.statuses) > begin + 2, 'statuses')
    assert process.stop() == 0
