"""A node of a command, beside the nodes that it looks at or calls."""

import threading
from types import TracebackType

import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from .executable import RCLError


class SideNode:
    """
    A node with a ROS context of its own, spun by a thread of its own inside ``with``.

    :param name: name of the node.
    :raises OSError: on entering, when the ROS graph cannot be joined.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._context = Context()
        self._thread = threading.Thread(target=self._spin, name=name, daemon=True)

    def __enter__(self) -> Node:
        try:
            rclpy.init(
                args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO
            )
            self._node = rclpy.create_node(self._name, context=self._context)
        except RCLError as error:
            rclpy.try_shutdown(context=self._context)
            raise OSError(f'cannot join the ROS graph: {error}') from error
        self._thread.start()
        return self._node

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        rclpy.shutdown(context=self._context)
        self._thread.join()
        self._node.destroy_node()

    def _spin(self) -> None:
        executor = SingleThreadedExecutor(context=self._context)
        executor.add_node(self._node)
        try:
            executor.spin()
        except ExternalShutdownException:
            pass
        finally:
            executor.shutdown()
