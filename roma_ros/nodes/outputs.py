"""The publishers of scores, utterances and highlights."""

from collections.abc import Iterable

from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data

from .. import msg
from ..runtime.results import Reading, Segment
from ..units.unit import MultimodalUnit
from .messages import make_highlight, make_scores, make_utterance


class Outputs:
    """
    Publishes what comes of each unit.

    :param node: owns the publishers.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._score = node.create_publisher(
            msg.SpeakScore, '~/speak_score', qos_profile_sensor_data
        )
        self._utterance = node.create_publisher(msg.Utterance, '~/utterance', 10)
        self._highlight = node.create_publisher(msg.Highlight, '~/highlight', 10)

    def publish_reading(self, reading: Reading, frame_id: str) -> float:
        """
        Publish scores, highlights and alerts of one unit; called on the worker's thread.

        :param frame_id: frame of the camera, for the headers.
        :return: latency from the unit's end to now [ms].
        """
        unit = reading.unit
        latency_ms = self._latency_ms(unit)
        for score in make_scores(reading, frame_id, latency_ms):
            self._score.publish(score)
        self.publish_segments(unit, reading.segments, frame_id)
        for instruction, highlight in reading.highlights:
            self._highlight.publish(make_highlight(unit, instruction, highlight, frame_id))
        return latency_ms

    def publish_segments(
        self, unit: MultimodalUnit, segments: Iterable[Segment], frame_id: str
    ) -> None:
        """Publish segments of utterances that follow from a unit; on the worker's thread."""
        for segment in segments:
            latency_ms = self._latency_ms(unit)
            self._utterance.publish(make_utterance(unit, segment, frame_id, latency_ms))

    def _latency_ms(self, unit: MultimodalUnit) -> float:
        return (self._node.get_clock().now().nanoseconds - unit.end_ns) / 1e6

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in (self._score, self._utterance, self._highlight):
            self._node.destroy_publisher(publisher)
