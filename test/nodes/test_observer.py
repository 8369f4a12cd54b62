import time

import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from rclpy.qos import DurabilityPolicy, QoSProfile
from roma_ros.msg import SpeakScore, Status, Utterance

from roma_ros.nodes.observer import StreamObserver

pytestmark = pytest.mark.ros


def test_view_follows_the_node(ros_node, wait_until):
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    status = ros_node.create_publisher(Status, 'roma/status', latched)
    scores = ros_node.create_publisher(SpeakScore, 'roma/speak_score', 10)
    utterances = ros_node.create_publisher(Utterance, 'roma/utterance', 10)
    # Latched: this one is sent before anybody listens.
    status.publish(Status(state=Status.STATE_LOADING, detail='reading weights'))
    with StreamObserver() as observer:
        wait_until(lambda: observer.view.detail == 'reading weights', 'the first status')
        assert not observer.view.active
        wait_until(lambda: scores.get_subscription_count() == 1, 'the subscription')
        wait_until(lambda: utterances.get_subscription_count() == 1, 'the subscription')
        status.publish(
            Status(state=Status.STATE_ACTIVE, queue_length=3, unit_latency_p95_ms=120.0)
        )
        wait_until(lambda: observer.view.active, 'the second status')
        assert (observer.view.queue_length, observer.view.latency_p95_ms) == (3, 120.0)

        for number, text in ((1, 'old'), (2, 'A taxi'), (2, ' stops.')):
            utterances.publish(Utterance(id=number, text=text))
        # What is best effort is heard from the moment that the observer knows of its publisher,
        # and it is told of this one after that one.
        wait_until(lambda: observer.view.utterance == 'A taxi stops.', 'the utterance')

        before = time.monotonic()
        no_input = SpeakScore.UNIT_NO_VIDEO | SpeakScore.UNIT_NO_AUDIO
        scores.publish(SpeakScore(unit_index=0, probability=0.2, threshold=0.6))
        scores.publish(SpeakScore(unit_index=0, probability=0.4, threshold=0.8))
        scores.publish(SpeakScore(unit_index=0, probability=0.3, threshold=0.7))
        scores.publish(SpeakScore(unit_index=1, probability=0.1, threshold=0.5))
        scores.publish(SpeakScore(unit_index=2, probability=0.9, unit_flags=no_input))
        wait_until(lambda: observer.view.units == 2, 'two units')
        view = observer.view
        assert view.probability == pytest.approx(0.1)
        assert view.threshold == pytest.approx(0.5)
        assert view.stream_s == 2
        assert before < view.last_unit_s < time.monotonic()

        scores.publish(SpeakScore(unit_index=3, probability=0.2, threshold=0.6))
        scores.publish(SpeakScore(unit_index=3, probability=0.4, threshold=0.8))
        scores.publish(SpeakScore(unit_index=3, probability=0.3, threshold=0.7))
        wait_until(lambda: observer.view.probability == pytest.approx(0.4), 'the highest')
        assert observer.view.threshold == pytest.approx(0.8)
        status.publish(Status(state=Status.STATE_INACTIVE))
        wait_until(lambda: not observer.view.active, 'the end')
        assert not observer.view.failed
        status.publish(Status(state=Status.STATE_ERROR))
        wait_until(lambda: observer.view.failed, 'the error')
        status.publish(Status(state=Status.STATE_UNCONFIGURED))
        wait_until(lambda: not observer.view.failed, 'another start')
        status.publish(Status(state=Status.STATE_UNCONFIGURED, detail='no such model'))
        wait_until(lambda: observer.view.failed, 'the reason')
    assert observer.view.detail == 'no such model'
