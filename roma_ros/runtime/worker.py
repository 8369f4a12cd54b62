"""The one thread that owns the model, behind a bounded queue that drops the oldest units."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
import logging
import threading
from typing import TypeVar

from ..units.unit import MultimodalUnit
from .results import Reading, Segment, StepResult
from .session import StreamSession
from .unit_encoder import EncodedUnit

_T = TypeVar('_T')
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerCounters:
    """
    What went through a worker since it was started.

    :param units: units that the model has read.
    :param units_dropped: units that were dropped because the model fell behind.
    :param units_failed: units at which the model raised an error.
    :param queue_length: units that wait now.
    """

    units: int
    units_dropped: int
    units_failed: int
    queue_length: int


@dataclass
class _Waiting:
    """A unit in the queue, and its encoding once it is the first."""

    unit: MultimodalUnit
    encoded: Future[EncodedUnit] | None = None


class InferenceWorker:
    """
    Runs a session on a thread of its own.

    Any thread may submit units and calls; results are handed over on the worker's thread. When
    more than ``queue_capacity`` units wait, the oldest go: a robot wants the news. The unit that
    waits first is encoded, on a second thread, while the last is read and answered; and what is
    being said gives way to it.

    :param session: whose only user this thread becomes.
    :param queue_capacity: units that may wait.
    :param on_reading: takes scores, alerts and highlights before a word is decoded.
    :param on_partial: takes what is being said, as far as it is decoded.
    :param on_result: takes each result.
    :param on_error: takes what the model raised at a unit; the worker goes on with the next.
    """

    def __init__(
        self,
        session: StreamSession,
        *,
        queue_capacity: int,
        on_result: Callable[[StepResult], None],
        on_reading: Callable[[Reading], None] = lambda _: None,
        on_partial: Callable[[Segment], None] = lambda _: None,
        on_error: Callable[[Exception], None],
    ) -> None:
        if queue_capacity < 1:
            raise ValueError(f'queue_capacity is {queue_capacity}, expected at least 1')
        self._session = session
        self._queue_capacity = queue_capacity
        self._on_reading = on_reading
        self._on_partial = on_partial
        self._on_result = on_result
        self._on_error = on_error
        self._units: deque[_Waiting] = deque()
        self._calls: deque[tuple[Future, Callable[[], None]]] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._read = self._dropped = self._failed = 0
        self._thread = threading.Thread(target=self._run, name='roma-inference', daemon=True)
        self._encoders = ThreadPoolExecutor(1, thread_name_prefix='roma-encoder')

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """
        Finish the unit at hand, drop those that wait and end the thread.

        :param timeout_s: how long to wait for it [s].
        :return: whether the thread has ended.
        """
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._session.interrupt()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._encoders.shutdown(wait=False, cancel_futures=True)
        return not self._thread.is_alive()

    def submit(self, unit: MultimodalUnit) -> None:
        """Queue a unit, dropping the oldest one where the queue is full."""
        with self._wake:
            if self._stopping:
                return
            if len(self._units) >= self._queue_capacity:
                dropped = self._units.popleft()
                if dropped.encoded is not None:
                    dropped.encoded.cancel()
                self._dropped += 1
                _log.warning('inference fell behind: dropped unit %d', dropped.unit.index)
            self._units.append(_Waiting(unit))
            self._encode_first()
            self._wake.notify()

    def call(self, function: Callable[[StreamSession], _T]) -> Future[_T]:
        """
        Let the worker's thread call ``function`` with its session, before the next unit.

        :return: its result or exception, to come; cancelled when the worker stops first.
        """
        future: Future[_T] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(self._session))
                except Exception as error:
                    future.set_exception(error)

        with self._wake:
            if self._stopping:
                future.cancel()
                return future
            self._calls.append((future, run))
            self._wake.notify()
        return future

    @property
    def counters(self) -> WorkerCounters:
        """Return the counters as they are now."""
        with self._wake:
            return WorkerCounters(self._read, self._dropped, self._failed, len(self._units))

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._stopping or self._calls or self._units)
                if self._stopping:
                    for future, _ in self._calls:
                        future.cancel()
                    return
                calls = list(self._calls)
                self._calls.clear()
                waiting = self._units.popleft() if self._units and not calls else None
                self._encode_first()
            for _, run in calls:
                run()
            if waiting is not None:
                self._step(waiting)

    def _encode_first(self) -> None:
        """Let the unit that waits first be encoded, if it is not yet; the lock is held."""
        if self._units and self._units[0].encoded is None:
            first = self._units[0]
            first.encoded = self._encoders.submit(self._session.encoder, first.unit)

    def _step(self, waiting: _Waiting) -> None:
        assert waiting.encoded is not None  # it was the first
        try:
            result = self._session.step(
                waiting.encoded.result(),
                on_reading=self._on_reading,
                on_partial=self._on_partial,
                is_due=lambda: bool(self._units),
            )
        except Exception as error:
            with self._wake:
                self._failed += 1
            self._on_error(error)
            return
        with self._wake:
            self._read += 1
        self._on_result(result)
