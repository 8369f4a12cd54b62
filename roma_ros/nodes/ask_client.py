"""A client of the ``ask`` action that may be made while its node is spun."""

import threading
from typing import Any

from rclpy.action import ActionClient
from rclpy.node import Node

from ..action import Ask


class AskClient(ActionClient):
    """
    Asks the node roma.

    rclpy's own client shows itself to the executor before it has its lock: where a status comes
    at that moment, as from a server with goals, the thread that spins dies of it.

    :param node: whose executor serves the answers.
    :param name: of the action.
    """

    def __init__(self, node: Node, name: str) -> None:
        self._lock: Any = threading.Lock()  # rclpy puts another in its place, last
        super().__init__(node, Ask, name)
