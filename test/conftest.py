"""Isolation of what talks ROS 2: a domain of one's own, and nothing beyond this machine."""

from contextlib import suppress
import fcntl
from importlib.util import find_spec
import itertools
import os
from pathlib import Path
import tempfile

from hypothesis import HealthCheck, settings
import pytest

# A busy machine is no failure.
settings.register_profile('roma_ros', deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile('roma_ros')


def pytest_collection_modifyitems(config, items):
    """
    Give what talks over DDS a second try; the summary lists what needed it.

    Discovery among a dozen processes on two busy cores loses a participant now and then, whatever
    a test does; ROS's own CI has ``colcon test --retest-until-pass`` for it.
    """
    if config.pluginmanager.hasplugin('rerunfailures'):
        for item in items:
            if item.get_closest_marker('ros') is not None:
                item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_runtest_setup(item):
    """Skip what needs ROS 2 where there is none, and say what is missing."""
    if item.get_closest_marker('ros') is None:
        return
    for module, remedy in (('rclpy', 'make setup'), ('roma_ros.msg', 'make build')):
        if find_spec(module) is None:
            pytest.skip(f'{module} is not installed; {remedy} installs it')


def _domains_in_use():
    """Return the domain ids of all processes: a test that was killed leaves its nodes behind."""
    name = b'ROS_DOMAIN_ID='
    found = set()
    for file in Path('/proc').glob('[0-9]*/environ'):
        with suppress(OSError, ValueError):
            variables = file.read_bytes().split(b'\0')
            found |= {int(v.removeprefix(name)) for v in variables if v.startswith(name)}
    return found


@pytest.fixture(scope='session')
def domain_id():
    """Return a domain id that no other test process on this machine uses."""
    for number in itertools.cycle(range(1, 101)):
        lock = (Path(tempfile.gettempdir()) / f'roma_ros_domain_{number}.lock').open('w')
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        if number in _domains_in_use():
            lock.close()
            continue
        yield number
        lock.close()
        return


@pytest.fixture
def ros_env(domain_id):
    """Return environment variables for processes of this test alone."""
    return {
        **os.environ,
        'ROS_DOMAIN_ID': str(domain_id),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
    }
