"""The publishers of scores, utterances, highlights and their summary."""

from collections.abc import Iterable
from typing import Any

from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import Header

from .. import msg
from ..runtime.results import Reading, Segment
from ..units.unit import MultimodalUnit
from .conversions import ns_to_time
from .gate import UtteranceGate
from .messages import make_highlight, make_scores, make_utterance
from .qos import latched

#: Utterances and highlights that a summary tells of.
SUMMARY_LENGTH = 20


class Outputs:
    """
    Publishes what comes of each unit.

    :param node: owns the publishers.
    :param gate: decides which utterances are published.
    """

    def __init__(self, node: Node, gate: UtteranceGate) -> None:
        self._node = node
        self._gate = gate
        self._utterances: dict[int, msg.Utterance] = {}  # by id, the text so far
        self._highlights: dict[int, msg.Highlight] = {}  # by id, as far as known
        self._score = node.create_publisher(
            msg.SpeakScore, '~/speak_score', qos_profile_sensor_data
        )
        self._utterance = node.create_publisher(msg.Utterance, '~/utterance', 10)
        # What is lost of it is made good by the next: each has all of its segment so far.
        self._partial = node.create_publisher(
            msg.Utterance, '~/partial_utterance', qos_profile_sensor_data
        )
        self._highlight = node.create_publisher(msg.Highlight, '~/highlight', 10)
        self._summary = node.create_publisher(
            msg.Summary,
            '~/summary',
            latched(),
        )

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
        for instruction, highlight in reading.highlights:
            message = make_highlight(unit, instruction, highlight, frame_id)
            self._highlight.publish(message)
            _keep(self._highlights, message.id, message)
        self._publish_segments(unit, reading.segments, frame_id)
        if reading.highlights or any(segment.final for segment in reading.segments):
            self._publish_summary(unit)
        return latency_ms

    def publish_partial(self, unit: MultimodalUnit, segment: Segment, frame_id: str) -> None:
        """Publish a segment that is being decoded, as far as it is; on the worker's thread."""
        if self._partial.get_subscription_count() and self._gate.passes(segment, unit.end_ns):
            latency_ms = self._latency_ms(unit)
            self._partial.publish(make_utterance(unit, segment, frame_id, latency_ms))

    def publish_said(
        self, unit: MultimodalUnit, segments: Iterable[Segment], frame_id: str
    ) -> None:
        """Publish segments that follow from a unit; on the worker's thread."""
        segments = list(segments)
        self._publish_segments(unit, segments, frame_id)
        if any(segment.final for segment in segments):
            self._publish_summary(unit)

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in (
            self._score,
            self._utterance,
            self._partial,
            self._highlight,
            self._summary,
        ):
            self._node.destroy_publisher(publisher)

    def _publish_segments(
        self, unit: MultimodalUnit, segments: Iterable[Segment], frame_id: str
    ) -> None:
        for segment in segments:
            if not self._gate.passes(segment, unit.end_ns):
                continue
            message = make_utterance(unit, segment, frame_id, self._latency_ms(unit))
            self._utterance.publish(message)
            before = self._utterances.get(segment.utterance_id)
            whole = make_utterance(unit, segment, frame_id, message.latency_ms)
            whole.text = ('' if before is None else before.text) + segment.text
            _keep(self._utterances, segment.utterance_id, whole)

    def _publish_summary(self, unit: MultimodalUnit) -> None:
        summary = msg.Summary(
            header=Header(stamp=ns_to_time(unit.end_ns)),
            utterances=[u for u in self._utterances.values() if u.final],
            highlights=list(self._highlights.values()),
        )
        self._summary.publish(summary)

    def _latency_ms(self, unit: MultimodalUnit) -> float:
        return (self._node.get_clock().now().nanoseconds - unit.end_ns) / 1e6


def _keep(entries: dict[int, Any], number: int, entry: Any) -> None:
    """Keep the newest entries, each by its number."""
    entries[number] = entry
    while len(entries) > SUMMARY_LENGTH:
        del entries[next(iter(entries))]
