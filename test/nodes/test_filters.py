"""The synchronizer as a filter: messages in, units out, whatever callbacks do."""

from collections.abc import Callable
import threading
from types import SimpleNamespace as Fields

import numpy as np
import pytest

from roma_ros.nodes.conversions import fill_audio_chunk, fill_image
from roma_ros.nodes.filters import UnitFilter
from roma_ros.nodes.simple_filter import SimpleFilter, Subscriber
from roma_ros.units import MultimodalUnit, SynchronizerConfig, UnitFlag

T0_NS = 1_700_000_000_000_000_000


def header(stamp_ns: int) -> Fields:
    sec, nanosec = divmod(stamp_ns, 10**9)
    return Fields(stamp=Fields(sec=sec, nanosec=nanosec), frame_id='')


def image_message(number: int, *, stamp_ns: int | None = None) -> Fields:
    message = Fields(header=header(T0_NS + number * 10**8 if stamp_ns is None else stamp_ns))
    fill_image(message, np.full((2, 2, 3), number % 250, np.uint8))
    return message


def audio_message(number: int, *, stamp_ns: int | None = None) -> Fields:
    message = Fields(
        header=header(T0_NS + number * 10**8 if stamp_ns is None else stamp_ns), FORMAT_S16=2
    )
    fill_audio_chunk(message, np.full(1600, 0.25, np.float32), rate_hz=16_000)
    return message


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_ns = T0_NS

    def __call__(self) -> int:
        return self.now_ns


class Wiring:
    """A unit filter behind two filters that are signalled by hand."""

    def __init__(self, config: SynchronizerConfig | None = None) -> None:
        self.clock = Clock()
        self.images, self.audio = SimpleFilter(), SimpleFilter()
        self.filter = UnitFilter(config, now_ns=self.clock)
        self.filter.connectInput(self.images, self.audio)
        self.units: list[MultimodalUnit] = []
        self.filter.registerCallback(self.units.append)

    def play(self, begin: int, end: int) -> None:
        """Ten messages of each sensor a second."""
        for number in range(begin, end):
            self.images.signalMessage(image_message(number))
            self.audio.signalMessage(audio_message(number))


def test_messages_become_units() -> None:
    wiring = Wiring()
    wiring.play(0, 30)

    assert [unit.flags for unit in wiring.units] == [UnitFlag.NONE] * 3
    assert wiring.units[1].frames[:, 0, 0, 0].tolist() == [10, 15]
    assert (wiring.units[1].audio == 0.25).all()
    assert wiring.filter.counters.frames_received == 30


def test_extra_arguments_and_unregistering() -> None:
    wiring, heard = Wiring(), []
    number = wiring.filter.registerCallback(lambda unit, name: heard.append(name), 'me')
    wiring.play(0, 10)
    wiring.filter.unregisterCallback(number)
    wiring.play(10, 20)

    assert heard == ['me']
    assert len(wiring.units) == 2


def test_inputs_connect_once_and_can_be_disconnected() -> None:
    wiring = Wiring()
    with pytest.raises(RuntimeError, match='connected already'):
        wiring.filter.connectInput(wiring.images, wiring.audio)
    wiring.filter.disconnectAll()
    wiring.play(0, 20)
    assert wiring.units == []

    wiring.filter.connectInput(None, wiring.audio)
    wiring.play(0, 40)
    assert [unit.flags for unit in wiring.units[:1]] == [UnitFlag.NO_VIDEO | UnitFlag.LATE]


def test_filters_that_cannot_unregister_are_disconnected_too() -> None:
    class OldFilter:
        """What ``message_filters`` 6.0.6 offers."""

        def __init__(self) -> None:
            self.callbacks: dict[int, tuple[Callable[..., None], tuple[object, ...]]] = {}

        def registerCallback(self, callback: Callable[..., None], *args: object) -> int:  # noqa: N802
            self.callbacks[len(self.callbacks)] = (callback, args)
            return len(self.callbacks) - 1

    images, audio = OldFilter(), OldFilter()
    unit_filter = UnitFilter(now_ns=Clock())
    unit_filter.connectInput(images, audio)
    assert len(images.callbacks) == len(audio.callbacks) == 1
    unit_filter.disconnectAll()
    assert images.callbacks == audio.callbacks == {}


def test_malformed_messages_are_rejected_with_a_reason() -> None:
    wiring = Wiring()
    wiring.play(0, 5)
    broken = audio_message(5)
    broken.sample_format = 77
    wiring.audio.signalMessage(broken)
    assert 'sample_format 77' in wiring.filter.counters.last_rejection

    wiring = Wiring()
    for number in range(10):
        image = image_message(number)
        if number in (0, 5):
            image.step = 1
        wiring.images.signalMessage(image)
        wiring.audio.signalMessage(audio_message(number))
    (unit,) = wiring.units
    assert unit.frames[:, 0, 0, 0].tolist() == [1, 4]
    counters = wiring.filter.counters
    assert (counters.frames_rejected, counters.audio_chunks_rejected) == (2, 0)
    assert 'has step 1' in counters.last_rejection


def test_images_are_decoded_only_when_they_are_chosen() -> None:
    wiring = Wiring()
    for number in range(10):
        image = image_message(number)
        if number not in (0, 5):
            image.encoding = 'never looked at'
        wiring.images.signalMessage(image)
        wiring.audio.signalMessage(audio_message(number))

    assert wiring.units[0].frames[:, 0, 0, 0].tolist() == [0, 5]
    assert wiring.filter.counters.frames_rejected == 0


def test_messages_without_a_stamp_are_stamped_on_arrival() -> None:
    wiring = Wiring()
    for number in range(20):
        wiring.clock.now_ns = T0_NS + number * 10**8
        wiring.images.signalMessage(image_message(number, stamp_ns=0))
        wiring.clock.now_ns += 10**8  # a chunk arrives when its last sample was captured
        wiring.audio.signalMessage(audio_message(number, stamp_ns=0))

    assert [unit.start_ns for unit in wiring.units] == [T0_NS, T0_NS + 10**9]
    assert wiring.units[1].frame_stamps_ns == (T0_NS + 10**9, T0_NS + 15 * 10**8)
    assert (wiring.units[1].audio == 0.25).all()


def test_advance_keeps_units_coming() -> None:
    wiring = Wiring()
    wiring.play(0, 10)
    for tenth in range(10, 41):
        wiring.clock.now_ns = T0_NS + tenth * 10**8
        wiring.filter.advance()

    assert len(wiring.units) == 3
    assert wiring.units[2].flags == UnitFlag.NO_VIDEO | UnitFlag.NO_AUDIO | UnitFlag.LATE


def test_what_came_while_this_process_slept_is_not_late() -> None:
    wiring = Wiring()
    wiring.play(0, 15)
    for now_ns in (T0_NS + 15 * 10**8, T0_NS + 45 * 10**8):  # it slept for 3 s
        wiring.clock.now_ns = now_ns
        wiring.filter.advance()
    wiring.play(15, 45)
    wiring.filter.advance()

    assert [unit.flags for unit in wiring.units] == [UnitFlag.NONE] * 4
    # But two late calls in a row are a slow timer, and time does pass.
    for now_ns in (T0_NS + 55 * 10**8, T0_NS + 65 * 10**8):
        wiring.clock.now_ns = now_ns
        wiring.filter.advance()
    assert len(wiring.units) == 5


def test_a_callback_that_raises_loses_no_unit() -> None:
    wiring = Wiring()
    seen: list[int] = []

    def fail_at_the_second(unit: MultimodalUnit) -> None:
        seen.append(unit.index)
        if unit.index == 1:
            raise RuntimeError('the user made a mistake')

    wiring.filter.registerCallback(fail_at_the_second)
    with pytest.raises(RuntimeError, match='the user made a mistake'):
        wiring.play(0, 30)
    wiring.play(20, 40)

    assert seen == [0, 1, 2, 3]


def test_a_callback_may_call_the_filter() -> None:
    wiring = Wiring()
    actions: list[Callable[[], object]] = [
        lambda: wiring.filter.counters,
        wiring.filter.advance,
        wiring.filter.flush,
        wiring.filter.reset,
    ]

    def call_back(unit: MultimodalUnit) -> None:
        if actions:
            actions.pop(0)()

    wiring.filter.registerCallback(call_back)
    wiring.play(0, 40)

    assert actions == []
    assert wiring.filter.counters.units == 0  # reset was the last


def test_threads_may_deliver_at_once() -> None:
    wiring = Wiring(SynchronizerConfig(patience_ns=4 * 10**9))
    ready = threading.Barrier(2)

    def deliver(source: SimpleFilter, make: Callable[[int], Fields]) -> None:
        ready.wait()
        for number in range(300):
            source.signalMessage(make(number))

    threads = [
        threading.Thread(target=deliver, args=(wiring.images, image_message)),
        threading.Thread(target=deliver, args=(wiring.audio, audio_message)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wiring.filter.flush()

    assert [unit.index for unit in wiring.units] == list(range(30))


def test_flush_and_reset() -> None:
    wiring = Wiring()
    wiring.play(0, 15)
    wiring.filter.flush()
    assert len(wiring.units) == 2

    wiring.filter.reset()
    assert wiring.filter.counters.frames_received == 0
    wiring.play(0, 10)
    assert wiring.units[2].index == 0


def test_subscriber_passes_a_topic_on() -> None:
    class Node:
        """What the subscriber asks of a node."""

        def create_subscription(self, *args: object, **kwargs: object) -> str:
            self.args, self.kwargs = args, kwargs
            return 'the subscription'

    node, heard = Node(), []
    subscriber = Subscriber(node, int, 'image', 7, raw=True)
    subscriber.registerCallback(heard.append)
    message_type, topic, callback, profile = node.args
    callback('a message')

    assert (message_type, topic, profile, node.kwargs) == (int, 'image', 7, {'raw': True})
    assert heard == ['a message']
    assert subscriber.sub == 'the subscription'


def test_numbers_of_callbacks_are_never_used_twice() -> None:
    source, heard = SimpleFilter(), []
    first = source.registerCallback(heard.append)
    second = source.registerCallback(lambda message: heard.append(-message))
    source.unregisterCallback(first)
    third = source.registerCallback(lambda message: heard.append(10 * message))
    source.signalMessage(1)

    assert len({first, second, third}) == 3
    assert heard == [-1, 10]


@pytest.mark.ros
def test_real_topics_become_units(ros_node, wait_until) -> None:
    from roma_ros.msg import AudioChunk
    from sensor_msgs.msg import Image

    from roma_ros.nodes.conversions import ns_to_time
    from roma_ros.nodes.filters import Subscriber

    units: list[MultimodalUnit] = []
    unit_filter = UnitFilter(now_ns=lambda: ros_node.get_clock().now().nanoseconds)
    unit_filter.connectInput(
        Subscriber(ros_node, Image, 'image'), Subscriber(ros_node, AudioChunk, 'audio')
    )
    unit_filter.registerCallback(units.append)
    images = ros_node.create_publisher(Image, 'image', 50)
    audio = ros_node.create_publisher(AudioChunk, 'audio', 50)
    wait_until(lambda: images.get_subscription_count() and audio.get_subscription_count())
    for number in range(30):
        image, chunk = Image(), AudioChunk()
        image.header.stamp = chunk.header.stamp = ns_to_time(T0_NS + number * 10**8)
        fill_image(image, np.full((48, 64, 3), number, np.uint8))
        fill_audio_chunk(chunk, np.full(1600, 0.25, np.float32), rate_hz=16_000)
        images.publish(image)
        audio.publish(chunk)
        wait_until(lambda n=number: unit_filter.counters.frames_received > n)
        wait_until(lambda n=number: unit_filter.counters.audio_chunks_received > n)

    wait_until(lambda: len(units) == 3, 'the third unit')
    assert [unit.flags for unit in units] == [UnitFlag.NONE] * 3
    assert units[2].frames[:, 0, 0, 0].tolist() == [20, 25]
