"""The worker against a session of its own kind: only the session's step is stood in for."""

import threading

import numpy as np
import pytest

from roma_ros.runtime.worker import InferenceWorker
from roma_ros.units.unit import MultimodalUnit, UNIT_NS


def unit(index: int) -> MultimodalUnit:
    return MultimodalUnit(
        index=index,
        start_ns=index * UNIT_NS,
        end_ns=(index + 1) * UNIT_NS,
        frames=np.zeros((0, 1, 1, 3), np.uint8),
        frame_stamps_ns=(),
        audio=np.zeros(16000, np.float32),
    )


class Gate:
    """A session whose step waits at a gate, to decide the order of events exactly."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.leave = threading.Semaphore(0)
        self.interrupted = False
        self.encoded = []

    def encoder(self, unit):
        self.encoded.append(unit.index)
        return unit

    def step(self, unit, *, on_reading, on_partial, is_due):
        self.is_due = is_due
        on_reading(unit.index)
        self.entered.release()
        assert self.leave.acquire(timeout=10)
        if unit.index == 13:
            raise RuntimeError('unit 13')
        return unit.index

    def interrupt(self) -> None:
        self.interrupted = True


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def worker(gate):
    results, readings, errors = [], [], []
    worker = InferenceWorker(
        gate,
        queue_capacity=2,
        on_reading=readings.append,
        on_result=results.append,
        on_error=errors.append,
    )
    worker.results, worker.readings, worker.errors = results, readings, errors
    worker.start()
    yield worker
    gate.leave.release(100)
    assert worker.stop(10)


def finish(gate, worker, count: int) -> None:
    """Let ``count`` steps through and wait until they are done."""
    for _ in range(count):
        gate.leave.release()
        gate.entered.acquire(timeout=10)


def test_a_full_queue_drops_the_oldest_and_counts_it(gate, worker, caplog):
    worker.submit(unit(0))
    gate.entered.acquire(timeout=10)
    for index in range(1, 6):
        worker.submit(unit(index))
    assert worker.counters.queue_length == 2
    assert worker.counters.units_dropped == 3
    assert [r.message for r in caplog.records] == [
        f'inference fell behind: dropped unit {i}' for i in (1, 2, 3)
    ]
    finish(gate, worker, 2)
    gate.leave.release()
    worker.call(lambda session: None).result(10)
    assert worker.results == [0, 4, 5]
    assert worker.counters.units == 3


def test_the_next_unit_is_encoded_and_what_is_said_gives_way_while_a_unit_is_read(gate, worker):
    worker.submit(unit(0))
    gate.entered.acquire(timeout=10)
    assert (gate.encoded, worker.readings, worker.results) == ([0], [0], [])
    assert not gate.is_due()
    worker.submit(unit(1))
    worker.submit(unit(2))
    while gate.encoded != [0, 1]:
        pass
    assert gate.is_due()
    finish(gate, worker, 2)
    assert gate.encoded == [0, 1, 2]


def test_an_error_is_told_and_the_next_unit_is_read(gate, worker):
    for index in (13, 14):
        worker.submit(unit(index))
    gate.leave.release(2)
    for _ in range(2):
        gate.entered.acquire(timeout=10)
    worker.call(lambda session: None).result(10)
    assert [str(e) for e in worker.errors] == ['unit 13']
    assert worker.results == [14]
    assert (worker.counters.units, worker.counters.units_failed) == (1, 1)


def test_calls_run_on_the_workers_thread_before_the_next_unit(gate, worker):
    worker.submit(unit(0))
    gate.entered.acquire(timeout=10)
    worker.submit(unit(1))
    name = worker.call(lambda session: (threading.current_thread().name, list(worker.results)))
    gate.leave.release()
    assert name.result(10) == ('roma-inference', [0])
    gate.leave.release()
    with pytest.raises(ValueError, match='from the call'):
        worker.call(lambda session: (_ for _ in ()).throw(ValueError('from the call'))).result(10)


def test_stop_interrupts_drops_what_waits_and_cancels_calls(gate, worker):
    worker.submit(unit(0))
    gate.entered.acquire(timeout=10)
    worker.submit(unit(1))
    waiting = worker.call(lambda session: None)
    stopper = threading.Thread(target=worker.stop, args=(10,))
    stopper.start()
    while not gate.interrupted:
        pass
    gate.leave.release()
    stopper.join(10)
    assert worker.results == [0]
    assert waiting.cancelled()
    assert worker.call(lambda session: None).cancelled()


def test_a_queue_needs_room(gate):
    with pytest.raises(ValueError, match='queue_capacity is 0'):
        InferenceWorker(gate, queue_capacity=0, on_result=print, on_error=print)
