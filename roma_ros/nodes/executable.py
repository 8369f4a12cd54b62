"""Running one node as a process that ends cleanly."""

from collections.abc import Callable, Sequence
import signal

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
import rclpy.logging
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

#: How long a signal may wait for the executor [s].
_SIGNAL_PERIOD_S = 0.1


def run_node(make_node: Callable[[], Node], args: Sequence[str] | None = None) -> int:
    """
    Make a node and spin it until SIGINT, SIGTERM or ``finished``.

    rclpy's own signal handlers invalidate the context at once, and then nothing can be published
    or flushed any more; here the node is destroyed first. A second signal ends the process.

    :param make_node: makes the node; ValueError, OSError and ImportError are logged as what the
        user can mend. The node's ``destroy_node`` stops its threads. A node that ends by itself
        has the properties ``finished`` and ``exit_code``.
    :param args: ROS arguments; None: those of the command line.
    :return: exit code: 1 when the node could not be made, else the node's own, or 0.
    """
    stopping = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        try:
            node = make_node()
        except (ImportError, OSError, ValueError) as error:
            rclpy.logging.get_logger('roma_ros').fatal(f'cannot start: {error}')
            return 1
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        try:
            while not stopping and not getattr(node, 'finished', False):
                executor.spin_once(timeout_sec=_SIGNAL_PERIOD_S)
        except ExternalShutdownException:
            pass
        finally:
            executor.shutdown()
            node.destroy_node()
    finally:
        rclpy.try_shutdown()
    return getattr(node, 'exit_code', 0)
