"""The package with ROS 2 Jazzy, the release before the one that the other tests run with."""

from pathlib import Path
import signal
import sysconfig

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[2]

WAIT_FOR_ACTIVE = """
import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile
from roma_ros.msg import Status

rclpy.init()
node = rclpy.create_node('observer')
latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
seen = []
node.create_subscription(Status, 'roma/status', seen.append, latched)
for _ in range(120):
    rclpy.spin_once(node, timeout_sec=1.0)
    if seen and seen[-1].state in (Status.STATE_ACTIVE, Status.STATE_ERROR):
        break
print(seen[-1].model if seen and seen[-1].state == Status.STATE_ACTIVE else seen)
"""


@pytest.fixture(scope='module')
def jazzy(make_environment, copy_sources, tmp_path_factory):
    environment = make_environment('jazzy')
    environment.install('ros-jazzy', 'ros-jazzy-build')
    sources = tmp_path_factory.mktemp('sources') / 'roma_ros'
    copy_sources(sources)
    environment.run('pip', 'install', '-q', sources)
    return environment


@pytest.fixture(scope='module')
def model_packages(jazzy):
    """Let torch and what else the nodes want be found where these tests run: it knows no ROS."""
    site_packages = jazzy.path / 'lib' / jazzy.python.resolve().name / 'site-packages'
    (site_packages / 'model_packages.pth').write_text(sysconfig.get_path('purelib'))


def test_the_ros_that_is_there_is_kept(jazzy):
    installed = jazzy.run('pip', 'list', '--format=freeze')
    assert 'ros-rclpy==7.' in installed


def test_one_module_has_sources_and_messages(jazzy, imports):
    found = jazzy.run('python', '-c', imports)
    assert found.startswith(str(jazzy.path / 'lib'))


def test_messages_pass_between_processes(jazzy, domain_id):
    assert jazzy.exchange(domain_id) == 'grüß dich 0.5 DOORBELL what? a dog'


def test_every_node_module_imports(jazzy, model_packages):
    modules = sorted(path.stem for path in (ROOT / 'roma_ros/nodes').glob('*.py'))
    program = '\n'.join(f'import roma_ros.nodes.{name}' for name in modules)
    jazzy.run('python', '-c', program)


def test_the_roma_node_becomes_active(jazzy, model_packages, domain_id):
    variables = {'ROS_DOMAIN_ID': domain_id, 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    node = jazzy.start(jazzy.path / 'lib/roma_ros/roma_node', **variables)
    try:
        printed = jazzy.run('python', '-c', WAIT_FOR_ACTIVE, **variables)
    finally:
        node.send_signal(signal.SIGINT)
        output, _ = node.communicate(timeout=60)
    assert 'roma-tiny' in printed, output
    assert node.returncode == 0, output
