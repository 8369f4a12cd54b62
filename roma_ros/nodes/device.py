"""What camera, microphone and loudspeaker share: a device that may fail, and is tried again."""

from collections import Counter
import threading
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

#: First wait before a device is tried again [s].
_FIRST_RETRY_S = 0.5
#: Silence of an open device from which it is an error [s].
_SILENCE_S = 2.0
#: How long a capture may take to end [s]; a read that hangs is left behind.
_STOP_S = 2.0
#: Counters of what is no loss.
_NO_LOSSES = ('messages', 'failures', 'spoken', 'not spoken', 'cut off')


class DeviceError(Exception):
    """The device cannot be opened, or was lost; the text says why and what to do."""


class DeviceNode(Node):
    """
    A node that captures from one device, on a thread of its own, and never gives up.

    When :meth:`capture` raises, the reason is logged and reported on ``/diagnostics``, and the
    device is tried again after a wait that doubles up to ``retry_max_s``.

    :param name: name of the node.
    """

    #: An open device from which nothing comes is broken; a loudspeaker may well be silent.
    silence_is_an_error = True

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.stopping = threading.Event()
        self.device_name = ''  #: what is open, for diagnostics
        self.counters: Counter[str] = Counter()  #: messages and losses since the start
        self.values: dict[str, str] = {}  #: more to tell in diagnostics
        self._problem = 'not opened yet'
        self._last_message_s = time.monotonic()
        self._reported: Counter[str] = Counter()
        self._thread: threading.Thread | None = None
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self.create_timer(1.0, self._report)

    def capture(self) -> None:
        """
        Open the device and publish from it until ``stopping`` is set.

        :raises DeviceError: when it cannot be opened, or was lost.
        """
        raise NotImplementedError

    def start(self, *, retry_max_s: float) -> None:
        """
        Begin to capture.

        :param retry_max_s: longest wait before the device is tried again [s].
        """
        self._thread = threading.Thread(target=self._run, args=(retry_max_s,), daemon=True)
        self._thread.start()

    def opened(self, name: str) -> None:
        """Note that the device is open; called by :meth:`capture`."""
        self.device_name = name
        self._problem = ''
        self._last_message_s = time.monotonic()
        self.get_logger().info(f'capturing from {name}')

    def count_message(self) -> None:
        """Note that a message was published; called by :meth:`capture`."""
        self.counters['messages'] += 1
        self._last_message_s = time.monotonic()

    def destroy_node(self) -> None:
        """End the capture, then the node."""
        self.stopping.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)
        super().destroy_node()

    def _run(self, retry_max_s: float) -> None:
        wait_s = _FIRST_RETRY_S
        while not self.stopping.is_set():
            messages = self.counters['messages']
            try:
                self.capture()
            except Exception as error:  # whatever it is: a robot's sensor has to come back
                reason = str(error) if isinstance(error, DeviceError) else repr(error)
                if reason != self._problem:
                    self.get_logger().error(f'{reason}; trying again')
                self._problem = reason
                self.counters['failures'] += 1
            if self.counters['messages'] > messages:
                wait_s = _FIRST_RETRY_S
            self.stopping.wait(wait_s)
            wait_s = min(2 * wait_s, retry_max_s)

    def _report(self) -> None:
        counters, last = self.counters.copy(), self._reported
        self._reported = counters
        news = {key: counters[key] - last[key] for key in counters}
        silence_s = time.monotonic() - self._last_message_s
        status = DiagnosticStatus(
            name=f'{self.get_name()}: device',
            hardware_id=self.device_name,
            level=DiagnosticStatus.OK,
            message=f'{news.get("messages", 0)} messages in the last second',
            values=[
                KeyValue(key=key, value=str(value))
                for key, value in (*counters.items(), *self.values.items())
            ],
        )
        losses = {k: n for k, n in news.items() if n and k not in _NO_LOSSES}
        is_silent = self.silence_is_an_error and silence_s > _SILENCE_S
        if self._problem or is_silent:
            status.level = DiagnosticStatus.ERROR
            status.message = self._problem or f'open, but silent for {silence_s:.0f} s'
        elif losses:
            status.level = DiagnosticStatus.WARN
            status.message = ', '.join(f'{key}: {n}' for key, n in losses.items())
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)
