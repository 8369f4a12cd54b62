"""A synthetic camera and microphone, and somebody who watches the node and calls its services."""

import threading
import time

from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
import numpy as np
from rclpy.action import ActionClient
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from roma_ros.action import Ask
from roma_ros.msg import AudioChunk, Highlight, SpeakScore, Status, Utterance
from sensor_msgs.msg import Image

from roma_ros.nodes.conversions import fill_audio_chunk, fill_image

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
#: All that comes is kept, however long this process gets no turn.
BEST_EFFORT = QoSProfile(depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT)


class Sensors:
    """Publishes 10 frames and 50 chunks a second, stamped with their capture time."""

    def __init__(self, node) -> None:
        self.camera, self.microphone = True, True
        self.offset_ns = 0  # added to all stamps
        self._node = node
        self._image = node.create_publisher(Image, 'image', 5)
        self._audio = node.create_publisher(AudioChunk, 'audio', 100)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        rng = np.random.default_rng(0)
        frame = rng.integers(0, 255, (120, 160, 3), dtype=np.uint8)
        image, chunk = Image(), AudioChunk()
        image.header.frame_id = 'camera'
        fill_image(image, frame)
        begin_s, start_ns = time.monotonic(), self._node.get_clock().now().nanoseconds
        tick = 0
        while not self._stop.wait(max(0.0, begin_s + (tick + 1) * 0.02 - time.monotonic())):
            stamp = Time(nanoseconds=start_ns + self.offset_ns + tick * 20_000_000).to_msg()
            if self.microphone:
                samples = rng.standard_normal(320).astype(np.float32) * 0.1
                fill_audio_chunk(chunk, samples, rate_hz=16000, first_sample=tick * 320)
                chunk.header.stamp = stamp
                self._audio.publish(chunk)
            if self.camera and tick % 5 == 0:
                image.header.stamp = stamp
                self._image.publish(image)
            tick += 1


class Observer:
    """Collects what the node publishes, and calls its services."""

    def __init__(self, node, wait_until) -> None:
        self.scores, self.utterances, self.highlights = [], [], []
        self.statuses, self.diagnostics = [], []
        self.node, self._wait_until = node, wait_until
        for kind, topic, qos, messages in (
            (SpeakScore, 'roma/speak_score', BEST_EFFORT, self.scores),
            (Utterance, 'roma/utterance', 1000, self.utterances),
            (Highlight, 'roma/highlight', 1000, self.highlights),
            (Status, 'roma/status', LATCHED, self.statuses),
            (DiagnosticArray, '/diagnostics', 1000, self.diagnostics),
        ):
            node.create_subscription(kind, topic, messages.append, qos)

    def send(self, service, name: str, **fields):
        """Send a request and return the future of its answer."""
        client = self.node.create_client(service, f'roma/{name}')
        assert client.wait_for_service(100), name
        self.wait_to_be_known()
        return client.call_async(service.Request(**fields))

    def wait_to_be_known(self) -> None:
        """
        Wait until the node knows the clients and subscriptions that were made up to now.

        A service is there as soon as it is discovered; what is sent before the service has
        discovered its client is lost (rmw_fastrtps, once in ten times on a busy machine).
        Discovery keeps the order: once a younger client is answered, the older ones are known.
        """
        client = self.node.create_client(GetState, 'roma/get_state')
        assert client.wait_for_service(100)
        sent = []

        def is_answered() -> bool:
            if not sent or time.monotonic() > sent[-1][0] + 0.5:
                sent.append((time.monotonic(), client.call_async(GetState.Request())))
            return any(future.done() for _, future in sent)

        self._wait_until(is_answered, 'an answer of get_state')
        self.node.destroy_client(client)

    def call(self, service, name: str, **fields):
        future = self.send(service, name, **fields)
        self._wait_until(future.done, f'the answer of {name}')
        return future.result()

    def transition(self, transition_id: int) -> bool:
        return self.call(
            ChangeState, 'change_state', transition=Transition(id=transition_id)
        ).success

    def lifecycle_state(self) -> int:
        return self.call(GetState, 'get_state').current_state.id

    def wait_for_state(self, state: int, detail: str = '') -> Status:
        """Wait until the newest status is of that state, with the detail in its words."""

        def find():
            newest = self.statuses[-1] if self.statuses else Status()
            return newest if newest.state == state and detail in newest.detail else None

        self._wait_until(find, f'status {state} with {detail!r}')
        return self.statuses[-1]

    def wait_for_units(self, count: int) -> list[SpeakScore]:
        begin = len(self.scores)
        self._wait_until(lambda: len(self.scores) >= begin + count, f'{count} scores')
        return self.scores[begin:]

    def wait_for_diagnostic(self, name: str, level: bytes, text: str):
        """Wait for a diagnostic of that level with the text, from the newest one on."""
        begin = max(0, len(self._told(name)) - 1)

        def find():
            told = self._told(name)[begin:]
            return next((s for s in told if s.level == level and text in s.message), None)

        self._wait_until(find, f'{name} {level!r} with {text!r}')
        return find()

    def diagnostic(self, name: str):
        """Return the newest diagnostic of that name."""
        return next(reversed(self._told(name)), None)

    def _told(self, name: str) -> list:
        name = f'roma: {name}'
        return [s for array in self.diagnostics[:] for s in array.status if s.name == name]


class Question:
    """A goal of the ask action."""

    def __init__(self, observer, wait_until, question: str) -> None:
        self.feedback = []
        self._wait_until = wait_until
        node = observer.node
        # By the executor: rclpy's client shows itself to a spinning one before it is whole.
        made = node.executor.create_task(lambda: ActionClient(node, Ask, 'roma/ask'))
        wait_until(made.done, 'the client')
        self._client = made.result()
        assert self._client.wait_for_server(100)
        observer.wait_to_be_known()
        sent = self._client.send_goal_async(
            Ask.Goal(question=question), lambda m: self.feedback.append(m.feedback)
        )
        wait_until(sent.done, 'the goal')
        self.goal = sent.result()
        self._done = self.goal.get_result_async() if self.goal.accepted else None

    def result(self):
        """Wait for the end, and return the status and the result."""
        self._wait_until(self._done.done, 'the result')
        return GoalStatus(status=self._done.result().status).status, self._done.result().result

    def cancel(self) -> None:
        self._wait_until(self.goal.cancel_goal_async().done, 'the cancellation')
