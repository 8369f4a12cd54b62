"""A subscription that takes the type that its publisher has."""

from collections.abc import Callable, Mapping
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from .message_definitions import import_message
from .qos import AdaptiveSubscription

#: How often the publishers' types are looked at [s].
_LOOK_PERIOD_S = 0.5


class TypedSubscription:
    """
    Subscribes as the first type, and as another when only publishers of that one turn up.

    A topic has one type in a process, so a node cannot listen for all of them at once.

    :param node: whose executor serves it.
    :param topic: name of the topic.
    :param callbacks: what takes the messages of each type, by its name as in
        ``sensor_msgs/msg/Image``; the first has to be installed.
    :param depth: messages that may wait.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        callbacks: Mapping[str, Callable[[Any], None]],
        *,
        depth: int,
    ) -> None:
        self._node = node
        self._topic = topic
        self._callbacks = callbacks
        self._depth = depth
        self._type_problem = ''
        self.type_name = next(iter(callbacks))  #: of the messages that it takes
        self._subscription = self._subscribe()
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # simulated time may stand still
        self._timer = node.create_timer(_LOOK_PERIOD_S, self._look, clock=steady)

    @property
    def topic_name(self) -> str:
        """Return the full name of the topic, after remapping."""
        return self._subscription.topic_name

    @property
    def problem(self) -> str:
        """Return in words why publishers of the topic are not heard; empty: none is known."""
        return self._type_problem or self._subscription.problem

    def destroy(self) -> None:
        """End the subscription."""
        self._node.destroy_timer(self._timer)
        self._subscription.destroy()

    def _subscribe(self) -> AdaptiveSubscription:
        return AdaptiveSubscription(
            self._node,
            import_message(self.type_name),
            self._topic,
            self._callbacks[self.type_name],
            depth=self._depth,
        )

    def _look(self) -> None:
        topic = self.topic_name
        infos = self._node.get_publishers_info_by_topic(topic)
        types = sorted({info.topic_type for info in infos})
        self._type_problem = ''
        if not types or self.type_name in types:
            return
        known = next((name for name in types if name in self._callbacks), None)
        if known is None:
            self._type_problem = (
                f'{topic} is published as {", ".join(types)}, expected one of '
                f'{", ".join(self._callbacks)}'
            )
            return
        try:
            import_message(known)
        except ValueError as error:
            self._type_problem = f'{topic} is published as {known}: {error}'
            return
        self._subscription.destroy()
        self.type_name = known
        self._subscription = self._subscribe()
        self._node.get_logger().info(f'{topic} is published as {known}; subscribed so')
