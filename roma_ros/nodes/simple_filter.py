"""Stand-ins for the two basic classes of ``message_filters``, which is not on PyPI."""

from collections.abc import Callable
import itertools
from typing import Any


class SimpleFilter:
    """Pass messages on to callbacks, as ``message_filters.SimpleFilter`` does."""

    def __init__(self) -> None:
        self._ids = itertools.count()
        self._callbacks: dict[int, tuple[Callable[..., None], tuple[Any, ...]]] = {}

    def registerCallback(self, callback: Callable[..., None], *args: Any) -> int:  # noqa: N802
        """
        Have ``callback(*message, *args)`` called with each message.

        :return: a number for ``unregisterCallback``.
        """
        number = next(self._ids)
        self._callbacks[number] = (callback, args)
        return number

    def unregisterCallback(self, number: int) -> None:  # noqa: N802
        """End what ``registerCallback`` began."""
        self._callbacks.pop(number, None)

    def signalMessage(self, *message: Any) -> None:  # noqa: N802
        """Hand a message to all callbacks."""
        for callback, args in list(self._callbacks.values()):
            callback(*message, *args)


class Subscriber(SimpleFilter):
    """
    Pass a topic's messages on, as ``message_filters.Subscriber`` does.

    :param node: whose executor serves the subscription.
    :param msg_type: type of the messages.
    :param topic: name of the topic.
    :param qos_profile: a profile, or a depth.
    """

    def __init__(
        self, node: Any, msg_type: type, topic: str, qos_profile: Any = 10, **kwargs: Any
    ) -> None:
        super().__init__()
        self.node = node
        self.topic = topic
        self.sub = node.create_subscription(
            msg_type, topic, self.signalMessage, qos_profile, **kwargs
        )
