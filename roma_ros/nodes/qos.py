"""Quality of service: latched topics, and subscriptions that get all, whoever starts first."""

from collections.abc import Callable
from typing import Any

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

#: What a user may set, as ``qos_overrides./image.subscription.depth``.
_OVERRIDABLE = (QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY)


def latched() -> QoSProfile:
    """Return the profile of a topic whose newest message late joiners get, too."""
    return QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class AdaptiveSubscription:
    """
    A subscription that is reliable until a best-effort publisher turns up.

    A reliable subscription and a best-effort publisher never meet, and a best-effort
    subscription loses what a reliable publisher would have sent again.
    ``qos_profile_best_available`` decides once, at creation: made before the camera's driver
    runs, it stays reliable, and a best-effort driver is never heard.

    Depth and reliability can be set by ROS 2's own parameters ``qos_overrides.*``.

    :param node: whose executor serves it.
    :param message_type: type of the messages.
    :param topic: name of the topic.
    :param callback: takes each message.
    :param depth: messages that may wait.
    :param raw: hand over serialized bytes.
    """

    def __init__(
        self,
        node: Node,
        message_type: type,
        topic: str,
        callback: Callable[[Any], None],
        *,
        depth: int,
        raw: bool = False,
    ) -> None:
        self._node = node
        self._callback = callback
        self.reliability = ReliabilityPolicy.RELIABLE
        self.problem = ''  #: in words, why publishers of the topic are not heard
        self._timer: Any = None
        self._make = lambda qos, kinds: node.create_subscription(
            message_type,
            topic,
            callback,
            qos,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible),
            qos_overriding_options=QoSOverridingOptions(kinds),
            raw=raw,
        )
        self._qos = QoSProfile(
            depth=depth, reliability=self.reliability, durability=DurabilityPolicy.VOLATILE
        )
        # rclpy writes what the parameters say into the profile.
        self._subscription = self._make(self._qos, _OVERRIDABLE)
        self.reliability = self._qos.reliability
        self.topic_name: str = self._subscription.topic_name  #: in full, after remapping

    def take_rest(self) -> None:
        """Hand over what has arrived; for the end, when no executor serves the node any more."""
        subscription = self._subscription
        with subscription.handle:
            while True:
                taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
                if taken is None:
                    return
                self._callback(taken[0])

    def destroy(self) -> None:
        """End the subscription."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._subscription)

    def _on_incompatible(self, event: object) -> None:
        # Not here: the subscription must outlive its own callback.
        if self.reliability is ReliabilityPolicy.RELIABLE and self._timer is None:
            steady = Clock(clock_type=ClockType.STEADY_TIME)  # simulated time may stand still
            self._timer = self._node.create_timer(0.0, self._relax, clock=steady)
        elif self.reliability is ReliabilityPolicy.BEST_EFFORT:
            policy = getattr(event, 'last_policy_kind', 'its')
            self.problem = (
                f'{self.topic_name} is published with an incompatible QoS policy '
                f'({policy}); reliability and durability are adapted to, others are not'
            )

    def _relax(self) -> None:
        self._node.destroy_timer(self._timer)
        self._timer = None
        self._node.destroy_subscription(self._subscription)
        self.reliability = self._qos.reliability = ReliabilityPolicy.BEST_EFFORT
        self._subscription = self._make(self._qos, ())
        self._node.get_logger().info(
            f'{self.topic_name} is published best effort; subscribed best effort'
        )
