"""Audio and questions as other packages' real types, whose messages are generated here."""

import os
from pathlib import Path
import shutil
import subprocess
import sys
import sysconfig

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

pytestmark = [pytest.mark.ros, pytest.mark.slow]

# The fields as published by ros-drivers and by mgonzs13, in our own words: both packages have
# one name, so that only one of them can be installed.
ROS_DRIVERS = {
    'AudioData': 'uint8[] data',
    'AudioDataStamped': 'std_msgs/Header header\naudio_common_msgs/AudioData audio',
    'AudioInfo': 'uint8 channels\nuint32 sample_rate\nstring sample_format\nuint32 bitrate\n'
    'string coding_format',
}
MGONZS13 = {
    'AudioData': 'float32[] float32_data\nint32[] int32_data\nint16[] int16_data\n'
    'int8[] int8_data\nuint8[] uint8_data',
    'AudioInfo': 'int32 format\nint32 channels\nint32 rate\nint32 chunk',
    'Audio': 'audio_common_msgs/AudioData audio_data\naudio_common_msgs/AudioInfo info',
    'AudioStamped': 'std_msgs/Header header\naudio_common_msgs/Audio audio',
}
LIVE_SPEECH = {
    'LiveSpeech': 'std_msgs/Header header\nstring incremental\nstring final\n'
    'float64 confidence\nstring locale',
}
CMAKE = """
cmake_minimum_required(VERSION 3.22)
project(%s LANGUAGES C CXX)
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
foreach(package builtin_interfaces service_msgs std_msgs)
  find_package(${package} REQUIRED)
endforeach()
get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
foreach(target IN LISTS targets)
  get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
  if(directories)
    list(FILTER directories EXCLUDE REGEX "^/opt/python/")
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${directories}")
  endif()
endforeach()
rosidl_generate_interfaces(%s %s DEPENDENCIES std_msgs)
ament_package()
"""
PACKAGE = """<package format="3"><name>%s</name><version>1.0.0</version>
<description>For a test.</description><maintainer email="nobody@example.com">nobody</maintainer>
<license>Apache-2.0</license><buildtool_depend>ament_cmake</buildtool_depend>
<buildtool_depend>rosidl_default_generators</buildtool_depend><depend>std_msgs</depend>
<member_of_group>rosidl_interface_packages</member_of_group></package>"""

#: A driver and our inputs in one process; it prints the mean of the middle of each unit's audio.
LISTEN = """
import sys, threading
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from audio_common_msgs.msg import *
from hri_msgs.msg import LiveSpeech
from roma_ros.nodes.inputs import Inputs
from roma_ros.nodes.parameter_tables import RomaParameters
from roma_ros.nodes.typed_subscription import TypedSubscription

flavour = sys.argv[1]
rclpy.init()
# A context of its own, as of another process: in one, a topic has one type.
elsewhere = rclpy.Context()
rclpy.init(context=elsewhere)
driver, robot = rclpy.create_node('driver', context=elsewhere), rclpy.create_node('robot')
inputs = Inputs(
    robot, RomaParameters(audio_channel=1),
    on_unit=lambda unit: print(f'heard {unit.audio[4000:12000].mean():.2f}', flush=True),
)
question = TypedSubscription(robot, 'question', {
    'std_msgs/msg/String': lambda m: print('string', flush=True),
    'hri_msgs/msg/LiveSpeech': lambda m: print('asked', m.final, flush=True),
}, depth=10)
samples = np.tile(np.array([0, 8192], dtype='<i2'), 1600)  # 0.1 s of two channels
asked = driver.create_publisher(LiveSpeech, 'question', 10)
if flavour == 'ros_drivers':
    publisher = driver.create_publisher(AudioDataStamped, 'audio', 100)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    infos = driver.create_publisher(AudioInfo, 'audio_info', latched)
    coding = sys.argv[2]
    infos.publish(AudioInfo(channels=2, sample_rate=16000, sample_format='S16LE',
                            coding_format=coding))
    make = lambda: AudioDataStamped(audio=AudioData(data=samples.tobytes()))
else:
    publisher = driver.create_publisher(AudioStamped, 'audio', 100)
    info = AudioInfo(format=8, channels=2, rate=16000, chunk=1600)
    make = lambda: AudioStamped(audio=Audio(
        audio_data=AudioData(int16_data=samples.tolist()), info=info))

def publish():
    message = make()
    message.header.stamp = driver.get_clock().now().to_msg()
    publisher.publish(message)
    asked.publish(LiveSpeech(incremental='who', final='who is there'))

driver.create_timer(0.1, publish)
robot.create_timer(0.5, inputs.log_rejections)
drivers = SingleThreadedExecutor(context=elsewhere)
drivers.add_node(driver)
threading.Thread(target=drivers.spin, daemon=True).start()
rclpy.spin(robot)
"""


def build(folder, prefix, name, messages):
    (folder / 'msg').mkdir(parents=True)
    for message, text in messages.items():
        (folder / 'msg' / f'{message}.msg').write_text(text + '\n', encoding='ascii')
    names = ' '.join(f'msg/{message}.msg' for message in messages)
    (folder / 'CMakeLists.txt').write_text(CMAKE % (name, name, names), encoding='ascii')
    (folder / 'package.xml').write_text(PACKAGE % name, encoding='ascii')
    root = sys.prefix
    environment = {
        **{k: v for k, v in os.environ.items() if k != 'PYTHONPATH'},
        'PATH': f'{root}/bin:{os.environ["PATH"]}',
        'LD_LIBRARY_PATH': f'{root}/lib',
        'AMENT_PREFIX_PATH': root,
        'CMAKE_PREFIX_PATH': root,
    }
    for command in (
        f'cmake -G Ninja -S . -B build -DCMAKE_INSTALL_PREFIX={prefix} '
        f'-DPython3_EXECUTABLE={sys.executable} -DCMAKE_CXX_FLAGS=-O0 -DCMAKE_C_FLAGS=-O0',
        'cmake --build build',
        'cmake --install build',
    ):
        done = subprocess.run(
            command.split(), cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(scope='module')
def listen(tmp_path_factory):
    """Return what starts the listener with one flavour of the audio messages."""
    if shutil.which('ninja', path=f'{sys.prefix}/bin') is None:
        pytest.skip('ninja is not installed; make setup installs it')
    folder = tmp_path_factory.mktemp('messages')
    prefixes = {}

    def prepare(flavour):
        if flavour not in prefixes:
            prefixes[flavour] = prefix = folder / flavour
            audio = ROS_DRIVERS if flavour == 'ros_drivers' else MGONZS13
            build(folder / f'{flavour}_audio', prefix, 'audio_common_msgs', audio)
            build(folder / f'{flavour}_hri', prefix, 'hri_msgs', LIVE_SPEECH)
        prefix = prefixes[flavour]
        packages = Path(sysconfig.get_path('platlib')).relative_to(sys.prefix)
        return {
            **os.environ,
            'PYTHONPATH': str(prefix / packages),
            'LD_LIBRARY_PATH': f'{prefix}/lib:{os.environ.get("LD_LIBRARY_PATH", "")}',
            'AMENT_PREFIX_PATH': f'{prefix}:{sys.prefix}',
        }

    return prepare


@pytest.mark.timeout(900)
@pytest.mark.parametrize('flavour', ['ros_drivers', 'mgonzs13'])
def test_both_packages_audio_and_live_speech_are_heard(listen, start_process, flavour):
    process = start_process(
        sys.executable, '-c', LISTEN, flavour, 'WAVE', env=listen(flavour), cwd='/'
    )
    process.wait_for('heard 0.25')  # the second channel
    process.wait_for('asked who is there')


@pytest.mark.timeout(900)
def test_coded_audio_is_refused_with_what_to_do(listen, start_process):
    process = start_process(
        sys.executable, '-c', LISTEN, 'ros_drivers', 'MP3', env=listen('ros_drivers'), cwd='/'
    )
    process.wait_for("audio is coded as 'MP3'")
