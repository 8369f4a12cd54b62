"""Which stamps belong to the stream, decided one message at a time."""

from typing import Any

from hypothesis import given, strategies as st
import pytest

from roma_ros.units.stamp_gate import Admission, Message, StampGate

BOTH = frozenset({'a', 'b'})


class Door:
    """A gate that knows the time by the newest stamp let in."""

    def __init__(self, expected: frozenset[str] = BOTH, **limits: Any) -> None:
        defaults = {'patience_ns': 50, 'start_patience_ns': 100, 'reorder_ns': 100, 'jump_ns': 500}
        self.gate = StampGate(expected, **{**defaults, **limits}, capacity={'a': 8, 'b': 8})
        self.time_ns: int | None = None
        self.let_in: list[int] = []

    def send(self, source: str, stamp_ns: int, *, duration_ns: int = 0) -> Admission:
        message = Message(source, stamp_ns, duration_ns, None)
        return self._take(self.gate.admit(message, time_ns=self.time_ns))

    def release(self) -> Admission:
        return self._take(self.gate.release())

    def _take(self, admission: Admission) -> Admission:
        stamps_ns = [message.stamp_ns for message in admission.admitted]
        if stamps_ns:
            self.time_ns = max(stamps_ns + ([] if admission.is_jump else [self.time_ns or 0]))
        self.let_in += stamps_ns
        return admission


@pytest.fixture
def door() -> Door:
    """A gate that both sensors have passed, at 1010."""
    door = Door()
    door.send('a', 1000)
    door.send('b', 1010)
    return door


def test_the_begin_waits_for_every_expected_sensor() -> None:
    door = Door()
    assert door.send('a', 1000).admitted == []
    assert door.send('a', 1030).admitted == []
    admission = door.send('b', 990)
    assert [m.stamp_ns for m in admission.admitted] == [1000, 1030, 990]
    assert not admission.is_jump


def test_the_begin_waits_for_no_other_sensor() -> None:
    door = Door(frozenset({'a'}))
    assert len(door.send('a', 1000).admitted) == 1


def test_the_begin_does_not_wait_for_ever() -> None:
    door = Door()
    for stamp_ns in range(1000, 1100, 20):
        assert door.send('a', stamp_ns).admitted == []
    assert len(door.send('a', 1100).admitted) == 6

    door = Door()  # nor does it hold more than it can
    assert [len(door.send('a', 1000).admitted) for _ in range(8)] == [0] * 7 + [8]


def test_what_is_held_at_the_end_is_let_in_if_nothing_was_yet(door: Door) -> None:
    fresh = Door()
    fresh.send('a', 1000)
    assert [m.stamp_ns for m in fresh.release().admitted] == [1000]

    door.send('a', 9000)
    admission = door.release()
    assert (admission.admitted, [m.stamp_ns for m in admission.dropped]) == ([], [9000])


def test_messages_a_little_out_of_order_pass(door: Door) -> None:
    for stamp_ns in (1100, 1050, 1400, 1301, 1300):
        assert len(door.send('a', stamp_ns).admitted) == 1
    # A long message may begin earlier by its own length.
    assert len(door.send('a', 1250, duration_ns=60).admitted) == 1
    assert door.send('a', 1299).admitted == []


def test_one_stray_is_dropped(door: Door) -> None:
    assert door.send('a', 5000).admitted == []
    admission = door.send('a', 1020)
    assert [m.stamp_ns for m in admission.admitted] == [1020]
    assert [m.stamp_ns for m in admission.dropped] == [5000]


def test_strays_of_different_times_are_no_jump(door: Door) -> None:
    for stamp_ns in (5000, 0, 90_000, 0, 5000):
        assert door.send('a', stamp_ns).admitted == []


@pytest.mark.parametrize('new_ns', [100, 5000])
def test_all_sensors_together_jump(door: Door, new_ns: int) -> None:
    door.send('a', new_ns)
    door.send('b', new_ns + 1)
    assert door.send('a', new_ns + 2).admitted == []
    admission = door.send('b', new_ns + 3)
    assert admission.is_jump
    assert [m.stamp_ns - new_ns for m in admission.admitted] == [0, 1, 2, 3]
    # And from there on it is the time.
    assert len(door.send('a', new_ns + 40).admitted) == 1


def test_a_sensor_jumps_alone_if_the_other_is_silent(door: Door) -> None:
    for stamp_ns in (5000, 5020, 5040):
        assert door.send('a', stamp_ns).admitted == []
    admission = door.send('a', 5050)
    assert admission.is_jump
    assert len(admission.admitted) == 4


def test_a_sensor_alone_with_its_time_stays_outside(door: Door) -> None:
    dropped = 0
    for step in range(50):
        admission = door.send('a', 5000 + 10 * step)
        dropped += len(admission.dropped)
        assert admission.admitted == []
        assert len(door.send('b', 1010 + 10 * step).admitted) == 1
    assert dropped == 50 - 6  # it holds 50 ns, and no more


def test_a_late_burst_is_no_jump_back(door: Door) -> None:
    # One sensor stalls while the other goes on, then sends what it has: its own stamps rise.
    for stamp_ns in range(1020, 1400, 20):
        door.send('b', stamp_ns)
    for stamp_ns in range(1020, 1400, 20):
        assert len(door.send('a', stamp_ns).admitted) == 1


@given(
    st.lists(
        st.tuples(st.sampled_from('ab'), st.integers(0, 3000), st.integers(0, 80)), max_size=60
    )
)
def test_every_message_is_admitted_or_dropped_once(events: list[tuple[str, int, int]]) -> None:
    door = Door()
    admissions = [door.send(s, stamp, duration_ns=d) for s, stamp, d in events] + [door.release()]

    fates = [message.stamp_ns for a in admissions for message in a.admitted + a.dropped]
    assert sorted(fates) == sorted(stamp for _, stamp, _ in events)
