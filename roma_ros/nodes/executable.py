"""Running one node as a process that ends cleanly."""

from collections.abc import Callable, Sequence
import os
import signal
import sys
import threading
import time

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation
import rclpy.logging
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from .executors import PatientExecutor

#: What the ROS client library itself complains of.
RCLError = rclpy_implementation.RCLError
#: How long a signal may wait for the executor [s].
_SIGNAL_PERIOD_S = 0.1
#: How long the executor goes on for the answers that a node owes at its end, at most [s].
_LAST_WORDS_S = 2.0
#: All is said when nobody has asked for anything for so long [s].
_QUIET_S = 0.3
#: How long callbacks that are under way may take at the end [s].
_CALLBACKS_S = 2.0


def run_node(make_node: Callable[[], Node], args: Sequence[str] | None = None) -> int:
    """
    Make a node and spin it until SIGINT, SIGTERM or ``finished``.

    rclpy's own signal handlers invalidate the context at once, and then nothing can be published
    or flushed any more; here the node is destroyed first. A second signal ends the process.

    :param make_node: makes the node; ValueError, OSError, ImportError and errors of the ROS
        client library are logged as what the user can mend. The node's ``destroy_node`` stops its
        threads. A node that ends by itself has the properties ``finished`` and ``exit_code``; one
        that owes answers at its end has a method ``prepare_to_end``, and the executor serves it a
        moment longer.
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
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except RCLError as error:  # as where security is on, and there is no keystore
        return _cannot_start(error)
    try:
        try:
            node = make_node()
        except (ImportError, OSError, RCLError, ValueError) as error:
            return _cannot_start(error)
        executor = PatientExecutor()
        executor.add_node(node)
        try:
            while not stopping and not getattr(node, 'finished', False):
                executor.spin_once(timeout_sec=_SIGNAL_PERIOD_S)
            _say_last_words(node, executor)
        except ExternalShutdownException:
            pass
        finally:
            executor.shutdown(timeout_sec=_CALLBACKS_S)
            node.destroy_node()
    finally:
        rclpy.try_shutdown()
    code = getattr(node, 'exit_code', 0)
    _leave_hanging_threads(code)
    return code


def _cannot_start(error: Exception) -> int:
    rclpy.logging.get_logger('roma_ros').fatal(f'cannot start: {error}')
    return 1


def _say_last_words(node: Node, executor: PatientExecutor) -> None:
    prepare = getattr(node, 'prepare_to_end', None)
    if prepare is None:
        return
    prepare()
    end_s = time.monotonic() + _LAST_WORDS_S
    while executor.serve_once(_QUIET_S) and time.monotonic() < end_s:
        pass


def _leave_hanging_threads(code: int) -> None:
    """
    End the process at once where a daemon thread is stuck in a driver or in a model's loading.

    The interpreter's own end would kill it in the middle of C++, which aborts the process.
    """
    if any(thread.daemon and thread.is_alive() for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
