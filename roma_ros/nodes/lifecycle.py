"""A lifecycle node whose transitions take their time, and hold up nobody."""

from collections.abc import Callable
import functools
import threading
import traceback
from typing import TypeVar

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNodeMixin, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node

from .executors import SlowCallbackGroup

_Node = TypeVar('_Node', bound='ManagedNode')
_SHUTDOWNS = (
    Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    Transition.TRANSITION_INACTIVE_SHUTDOWN,
    Transition.TRANSITION_ACTIVE_SHUTDOWN,
)


class ManagedNode(LifecycleNodeMixin, Node):
    """
    A lifecycle node with transitions on threads of their own, one after the other.

    The answer to a request comes when its transition is over, as lifecycle managers expect;
    until then the executor serves everything else, ``get_state`` included. ROS allows no
    transition out of another one, so a request of cleanup or shutdown during configuring gives
    the configuring up first, and then does what was asked.

    :param name: name of the node.
    """

    def __init__(self, name: str) -> None:
        self._transition = threading.RLock()  # held by the transition that is under way
        self.slow_group = SlowCallbackGroup()
        Node.__init__(self, name)
        LifecycleNodeMixin.__init__(self, callback_group=self.slow_group)
        self._change_state = self._service_change_state.callback
        self._service_change_state.callback = self._on_change_state

    def cancel_configuring(self) -> bool:
        """
        Give up configuring; ``on_configure`` then returns FAILURE.

        :return: whether it was under way.
        """
        raise NotImplementedError

    def report_error(self, error: Exception) -> None:
        """Tell of an error that a transition did not expect."""
        raise NotImplementedError

    def start(self) -> None:
        """Configure and activate, as a manager would."""
        with self._transition:
            if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
                self.trigger_activate()

    def _on_change_state(
        self, request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        asked = request.transition
        shuts_down = asked.label == 'shutdown' or asked.id in _SHUTDOWNS
        cleans_up = asked.label == 'cleanup' or asked.id == Transition.TRANSITION_CLEANUP
        was_configuring = (shuts_down or cleans_up) and self.cancel_configuring()
        with self._transition:
            if was_configuring and cleans_up:
                response.success = True  # there is nothing left to clean up
                return response
            if was_configuring:
                request.transition = Transition(id=Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
            return self._change_state(request, response)


def reported(
    transition: Callable[[_Node, LifecycleState], TransitionCallbackReturn],
) -> Callable[[_Node, LifecycleState], TransitionCallbackReturn]:
    """Report what a transition raises: rclpy turns it into an ERROR without a word."""

    @functools.wraps(transition)
    def run(self: _Node, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(self, state)
        except Exception as error:
            self.get_logger().error(traceback.format_exc())
            self.report_error(error)
            raise

    return run
