"""An executor of one thread that slow callbacks do not hold up."""

import threading
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import (
    ConditionReachedException,
    ShutdownException,
    SingleThreadedExecutor,
    TimeoutException,
)
from rclpy.impl.implementation_singleton import rclpy_implementation

#: What the ROS client library says of what was destroyed.
InvalidHandle = rclpy_implementation.InvalidHandle


def _never() -> bool:
    """Return False; one object, since rclpy begins its round anew where the arguments change."""
    return False


class SlowCallbackGroup(ReentrantCallbackGroup):
    """Callbacks that may take long, as the transitions of a lifecycle."""


class PatientExecutor(SingleThreadedExecutor):
    """
    Spins on one thread, and runs callbacks of a ``SlowCallbackGroup`` on threads of their own.

    A transition's answer may be sent only when the transition is over, and a model takes seconds
    to minutes to load. ``MultiThreadedExecutor`` would serve, but it hands every message to a
    pool and collects its wait set twice for each.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._errors: list[BaseException] = []

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """
        Run the next callback that is ready, or begin it where it is a slow one.

        :raises Exception: what a callback raised, a slow one at the next call.
        """
        self.serve_once(timeout_sec)

    def serve_once(self, timeout_sec: float | None = None) -> bool:
        """
        Do as :meth:`spin_once`.

        :return: False when nothing was ready for so long.
        :raises Exception: as :meth:`spin_once`.
        """
        if self._errors:
            raise self._errors.pop()
        try:
            handler, entity, _ = self.wait_for_ready_callbacks(timeout_sec, None, _never)
        except (ConditionReachedException, ShutdownException, TimeoutException):
            return False
        except InvalidHandle:
            # A transition on a thread of its own destroyed it after it was listed; rclpy minds
            # that for subscriptions and timers, and forgets their events. The next round is whole.
            return True
        if isinstance(getattr(entity, 'callback_group', None), SlowCallbackGroup):
            threading.Thread(target=self._run, args=(handler,), daemon=True).start()
            return True
        handler()
        handler.result()
        return True

    def _run(self, handler: Any) -> None:
        handler()
        error = handler.exception()
        if error is not None:
            self._errors.append(error)
