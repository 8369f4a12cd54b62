"""Units from bags of every storage, written here without ROS."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg, get_typestore, Stores

from roma_ros.units import MultimodalUnit, SAMPLE_RATE_HZ, UnitFlag
from roma_ros.units.bag import units_from_bag

T0_NS = 1_700_000_000_000_000_000
MESSAGES = Path(__file__).parents[2] / 'msg'
DEFINITIONS = {
    'roma_ros/msg/AudioChunk': (MESSAGES / 'AudioChunk.msg').read_text(),
    'audio_common_msgs/msg/AudioData': 'uint8[] data',
    'audio_common_msgs/msg/AudioDataStamped': """
std_msgs/Header header
audio_common_msgs/AudioData audio
""",
    'audio_common_msgs/msg/AudioInfo': """
uint8 channels
uint32 sample_rate
string sample_format
uint32 bitrate
string coding_format
""",
}


def sound(time_s: np.ndarray) -> np.ndarray:
    return 0.4 * np.sin(2 * np.pi * 300 * time_s) + 0.2 * np.sin(2 * np.pi * 731 * time_s)


def ms(time_ms: int) -> int:
    return T0_NS + time_ms * 1_000_000


class BagWriter:
    """Write messages by topic, at given times."""

    def __init__(self, path: Path, storage: StoragePlugin) -> None:
        self.store = get_typestore(Stores.ROS2_KILTED)
        for name, text in DEFINITIONS.items():
            self.store.register(get_types_from_msg(text, name))
        self._writer = Writer(path, version=9, storage_plugin=storage)
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> 'BagWriter':
        self._writer.open()
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()

    def write(self, topic: str, arrival_ns: int, type_name: str, **fields: Any) -> None:
        types = self.store.types
        if 'header' in types[type_name].__dataclass_fields__:
            time = types['builtin_interfaces/msg/Time'](*divmod(fields.pop('stamp_ns'), 10**9))
            fields['header'] = types['std_msgs/msg/Header'](time, 'frame')
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, type_name, typestore=self.store
            )
        message = types[type_name](**fields)
        data = self.store.serialize_cdr(message, type_name)
        self._writer.write(self._connections[topic], arrival_ns, data)


def write_image(bag: BagWriter, topic: str, number: int, stamp_ns: int) -> None:
    pixels = np.full((4, 6, 3), number, np.uint8)
    bag.write(
        topic,
        stamp_ns + 20_000_000,
        'sensor_msgs/msg/Image',
        stamp_ns=stamp_ns,
        height=4,
        width=6,
        encoding='rgb8',
        is_bigendian=0,
        step=18,
        data=pixels.reshape(-1),
    )


def pcm(begin_s: float, seconds: float, rate_hz: int) -> np.ndarray:
    time_s = begin_s + np.arange(round(seconds * rate_hz)) / rate_hz
    return np.frombuffer((sound(time_s) * 32767).astype('<i2').tobytes(), np.uint8)


def write_audio(
    bag: BagWriter, topic: str, begin_s: float, *, stamp_ns: int | None = None
) -> None:
    """20 ms at 48 kHz; arrives 50 ms after its end."""
    capture_ns = T0_NS + round(begin_s * 1e9)
    bag.write(
        topic,
        capture_ns + 70_000_000,
        'roma_ros/msg/AudioChunk',
        stamp_ns=capture_ns if stamp_ns is None else stamp_ns,
        sample_rate=48_000,
        channels=1,
        sample_format=2,
        first_sample=round(begin_s * 48_000),
        data=pcm(begin_s, 0.02, 48_000),
    )


def make_bag(path: Path, *, storage: StoragePlugin = StoragePlugin.MCAP) -> Path:
    """3 s of a camera at 20 fps and a microphone."""
    with BagWriter(path, storage) as bag:
        actions: list[tuple[int, Callable[[], None]]] = [
            *(
                (n * 50, partial(write_image, bag, '/camera/image', n, ms(n * 50)))
                for n in range(60)
            ),
            *((n * 20 + 50, partial(write_audio, bag, '/mic', n / 50)) for n in range(150)),
        ]
        for _, action in sorted(actions, key=lambda entry: entry[0]):
            action()
    return path


def assert_is_the_stream(units: list[MultimodalUnit]) -> None:
    assert [unit.flags for unit in units] == [UnitFlag.NONE] * 3
    assert [unit.start_ns for unit in units] == [T0_NS + n * 10**9 for n in range(3)]
    assert [unit.frames[:, 0, 0, 0].tolist() for unit in units] == [[0, 10], [20, 30], [40, 50]]
    audio = np.concatenate([unit.audio for unit in units])
    time_s = np.arange(len(audio)) / SAMPLE_RATE_HZ
    np.testing.assert_allclose(audio[100:-100], sound(time_s)[100:-100], atol=1e-3)


@pytest.mark.parametrize('storage', list(StoragePlugin))
def test_bags_of_every_storage(tmp_path: Path, storage: StoragePlugin) -> None:
    assert_is_the_stream(list(units_from_bag(make_bag(tmp_path / 'bag', storage=storage))))


@pytest.mark.parametrize('storage', list(StoragePlugin))
def test_a_lone_file_without_metadata(tmp_path: Path, storage: StoragePlugin) -> None:
    bag = make_bag(tmp_path / 'bag', storage=storage)
    (bag / 'metadata.yaml').unlink()
    (file,) = bag.iterdir()

    assert_is_the_stream(list(units_from_bag(file)))


def test_an_mcap_file_that_was_not_closed(tmp_path: Path) -> None:
    bag = make_bag(tmp_path / 'bag')
    (file,) = bag.glob('*.mcap')
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 3 // 4])
    with pytest.raises(ValueError, match=r'not a bag \(.*recover'):
        units_from_bag(file)


def test_topics_are_chosen_by_name(tmp_path: Path) -> None:
    path = tmp_path / 'bag'
    with BagWriter(path, StoragePlugin.MCAP) as bag:
        for number in range(20):
            write_image(bag, '/left', number, T0_NS + number * 100_000_000)
            write_image(bag, '/right', 100 + number, T0_NS + number * 100_000_000)

    with pytest.raises(
        ValueError, match=r"image topic is None, expected one of \['/left', '/right'\]"
    ):
        units_from_bag(path)
    with pytest.raises(ValueError, match=r"audio topic is '/mic', expected one of \[\]"):
        units_from_bag(path, image_topic='/left', audio_topic='/mic')
    with pytest.raises(ValueError, match='no topic with images or audio'):
        units_from_bag(path, image_topic='')
    units = list(units_from_bag(path, image_topic='/right'))
    assert [unit.flags for unit in units] == [UnitFlag.NO_AUDIO] * 2
    assert units[1].frames[:, 0, 0, 0].tolist() == [110, 115]


def test_compressed_images_and_audio_common(tmp_path: Path) -> None:
    path = tmp_path / 'bag'
    with BagWriter(path, StoragePlugin.MCAP) as bag:
        for number in range(20):
            stamp_ns = T0_NS + number * 100_000_000
            jpeg = cv2.imencode('.png', np.full((8, 8, 3), 10 * number, np.uint8))[1].reshape(-1)
            bag.write(
                '/image/compressed',
                stamp_ns,
                'sensor_msgs/msg/CompressedImage',
                stamp_ns=stamp_ns,
                format='png',
                data=jpeg,
            )
            audio = bag.store.types['audio_common_msgs/msg/AudioData'](
                pcm(number / 10, 0.1, 16_000)
            )
            bag.write(
                '/audio',
                stamp_ns + 1,
                'audio_common_msgs/msg/AudioDataStamped',
                stamp_ns=stamp_ns,
                audio=audio,
            )
            if number == 3:  # latched, but recorded late
                bag.write(
                    '/audio_info',
                    stamp_ns + 2,
                    'audio_common_msgs/msg/AudioInfo',
                    channels=1,
                    sample_rate=16_000,
                    sample_format='S16LE',
                    bitrate=256_000,
                    coding_format='WAVE',
                )
    units = list(units_from_bag(path))

    assert [unit.flags for unit in units] == [UnitFlag.NONE] * 2
    assert units[1].frames[:, 0, 0, 0].tolist() == [100, 150]
    time_s = np.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    audio = np.concatenate([unit.audio for unit in units])
    np.testing.assert_allclose(audio, sound(time_s), atol=1e-4)


def test_messages_without_a_stamp_have_that_of_their_arrival(tmp_path: Path) -> None:
    path = tmp_path / 'bag'
    with BagWriter(path, StoragePlugin.MCAP) as bag:
        for number in range(100):
            write_audio(bag, '/mic', number / 50, stamp_ns=0)
    units = list(units_from_bag(path))

    # 50 ms late, as no more can be known.
    assert len(units) == 2
    assert units[0].start_ns == T0_NS + 50_000_000
    assert units[0].audio_gaps_ns == ()


def test_malformed_messages_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / 'bag'
    with BagWriter(path, StoragePlugin.MCAP) as bag:
        for number in range(60):
            write_audio(bag, '/mic', number / 50)
            if number == 20:
                bag.write(
                    '/mic',
                    T0_NS + 480_000_000,
                    'roma_ros/msg/AudioChunk',
                    stamp_ns=T0_NS + 400_000_000,
                    sample_rate=48_000,
                    channels=2,
                    sample_format=9,
                    first_sample=0,
                    data=np.zeros(4, np.uint8),
                )
    units = list(units_from_bag(path))

    assert units[0].audio_gaps_ns == ()
    assert 'Audio message left out (AudioChunk has sample_format 9' in caplog.text


def test_what_is_no_bag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='no bag'):
        units_from_bag(tmp_path / 'none')
    with pytest.raises(ValueError, match='not a bag'):
        units_from_bag(tmp_path)
    (tmp_path / 'text.mcap').write_bytes(b'no bag at all' * 100)
    with pytest.raises(ValueError, match='not a bag'):
        units_from_bag(tmp_path / 'text.mcap')
