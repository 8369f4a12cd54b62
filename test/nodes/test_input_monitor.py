import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from roma_ros.nodes import input_monitor
from roma_ros.nodes.input_monitor import InputMonitor

S = 1_000_000_000


@pytest.fixture
def clock(monkeypatch):
    """A steady clock that the test sets."""

    class Clock:
        now_s = 100.0

        def monotonic(self):
            return self.now_s

    clock = Clock()
    monkeypatch.setattr(input_monitor, 'time', clock)
    return clock


def run(clock, *, per_second, amount=1, rate_hz=0, lag_ns=0, seconds=6):
    """Let messages come for some seconds; return the last report."""
    monitor = InputMonitor()
    for _ in range(seconds):
        for _ in range(per_second):
            clock.now_s += 1 / per_second
            now_ns = round(clock.now_s * S)
            monitor.note(now_ns - lag_ns, now_ns, amount=amount, rate_hz=rate_hz)
        problems = monitor.report()
    return problems


def test_good_messages_are_no_problem(clock):
    assert run(clock, per_second=30) == []
    assert run(clock, per_second=50, amount=320, rate_hz=16000, lag_ns=20_000_000) == []


def test_tells_of_few_images(clock):
    assert run(clock, per_second=1) == ['1.0 images a second; the network looks at 2']


def test_tells_of_a_sample_rate_that_is_not_kept(clock):
    problems = run(clock, per_second=50, amount=240, rate_hz=16000)
    assert problems == ['12000 samples a second arrive, where the messages say 16000 Hz']


@pytest.mark.parametrize('speed', [0.5, 4])
def test_what_is_played_at_another_speed_keeps_its_own_rate(clock, speed):
    monitor = InputMonitor()
    for number in range(1, 301):
        clock.now_s += 0.02 / speed
        monitor.note(0, number * S // 50, amount=320, rate_hz=16000)
        if number % 50 == 0:
            assert not [problem for problem in monitor.report() if 'samples a second' in problem]


@pytest.mark.parametrize('by_s', [-100, 100])
def test_a_clock_that_is_set_tells_of_no_rate(clock, by_s):
    monitor, now_ns = InputMonitor(), 200 * S
    for second in range(20):
        now_ns += by_s * S if second == 10 else 0
        for _ in range(50):
            clock.now_s += 0.02
            now_ns += S // 50
            monitor.note(now_ns, now_ns, amount=320, rate_hz=16000)
        assert monitor.report() == []


def test_tells_of_stamps_of_another_time(clock):
    (ahead,) = run(clock, per_second=10, lag_ns=-3 * S)
    assert 'stamps are 3.0 s ahead' in ahead
    (behind,) = run(clock, per_second=10, lag_ns=60 * S)
    assert 'stamps are 60.0 s old' in behind


def test_one_late_message_is_none_of_another_time(clock):
    monitor = InputMonitor()
    monitor.note(S, 100 * S)
    monitor.note(100 * S, 100 * S)
    assert monitor.report() == []


def test_tells_of_messages_without_a_stamp(clock):
    monitor = InputMonitor()
    monitor.note(0, 5 * S)
    assert '1 messages have no stamp' in monitor.report()[0]
    assert monitor.report() == []


def test_tells_how_long_it_is_silent(clock):
    monitor = InputMonitor()
    clock.now_s += 4
    assert monitor.silence_s == 4
    monitor.note(S, S)
    assert monitor.silence_s == 0


def test_tells_of_no_rate_where_nothing_comes(clock):
    monitor = InputMonitor()
    for _ in range(6):
        clock.now_s += 1
        monitor.note(0, 0)
        monitor.report()
    clock.now_s += 3
    assert monitor.report() == []
