"""What time it is in the stream."""

from roma_ros.units.capture_clock import CaptureClock


def make_clock() -> CaptureClock:
    return CaptureClock(alive_ns=500, jump_ns=5000)


def test_without_a_clock_it_is_the_newest_stamp() -> None:
    clock = make_clock()
    assert clock.time_ns() is None
    clock.observe('frame', 1000)
    clock.observe('audio', 3000)
    clock.observe('audio', 2000)
    assert clock.time_ns() == 3000


def test_silence_is_counted_from_the_first_advance_after_a_message() -> None:
    clock = make_clock()
    clock.advance(70)
    clock.observe('frame', 1000)
    clock.advance(170)  # the message may have come just before
    assert clock.time_ns() == 1000
    clock.advance(270)
    assert clock.time_ns() == 1100


def test_a_silent_sensor_has_no_say_while_another_sends() -> None:
    # Playback at half speed: the clock runs twice as fast as the stamps.
    clock = make_clock()
    clock.observe('frame', 0)
    for step in range(100):
        clock.observe('audio', 50 * step)
        clock.advance(100 * step)
    assert clock.time_ns() == 50 * 99
    # When all are silent the one that was heard last counts on.
    for step in range(100, 120):
        clock.advance(100 * step)
    assert clock.time_ns() == 50 * 99 + 2000


def test_jumps_of_the_clock_are_no_time() -> None:
    clock = make_clock()
    clock.observe('frame', 1000)
    for now_ns in (0, 100, 10**18, 10**18 + 100, 0):
        clock.advance(now_ns)
    assert clock.time_ns() == 1100


def test_restart_forgets_the_stamps() -> None:
    clock = make_clock()
    clock.observe('frame', 1000)
    clock.restart()
    assert clock.time_ns() is None
    clock.observe('frame', 10)
    assert clock.time_ns() == 10
