"""setuptools' build backend, which asks for the ROS wheels where no other ROS 2 is at hand."""

from ros_underlay import find_underlay, wheel_requirements, wheels_exist
from setuptools import build_meta
from setuptools.build_meta import (
    build_sdist,
    build_wheel,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    'build_editable',
    'build_sdist',
    'build_wheel',
    'get_requires_for_build_sdist',
    'get_requires_for_build_wheel',
    'prepare_metadata_for_build_wheel',
]


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


def build_editable(*arguments: object) -> str:
    """Refuse: without this function pip would go ways that leave no messages."""
    raise NotImplementedError(
        'roma_ros has no editable installation for pip; `make build` links the source tree and '
        'the messages into .venv, and colcon build --symlink-install into a workspace'
    )
