"""The publishers of scores, utterances and highlights."""

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import qos_profile_sensor_data

from .. import msg
from ..runtime.results import StepResult
from .messages import make_highlight, make_scores, make_utterance


class Outputs:
    """
    Publishes what comes of each unit.

    :param node: owns the publishers.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._score = node.create_publisher(
            msg.SpeakScore, '~/speak_score', qos_profile_sensor_data
        )
        self._utterance = node.create_publisher(msg.Utterance, '~/utterance', 10)
        self._highlight = node.create_publisher(msg.Highlight, '~/highlight', 10)

    def publish(self, result: StepResult, frame_id: str) -> float:
        """
        Publish what came of one unit; called on the worker's thread.

        :param frame_id: frame of the camera, for the headers.
        :return: latency from the unit's end to now [ms].
        """
        unit = result.unit
        latency_ms = (self._node.get_clock().now().nanoseconds - unit.end_ns) / 1e6
        for score in make_scores(result, frame_id, latency_ms):
            self._score.publish(score)
        for segment in result.segments:
            self._utterance.publish(make_utterance(unit, segment, frame_id, latency_ms))
        for instruction, highlight in result.highlights:
            self._highlight.publish(make_highlight(unit, instruction, highlight, frame_id))
        return latency_ms

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in (self._score, self._utterance, self._highlight):
            self._node.destroy_publisher(publisher)
