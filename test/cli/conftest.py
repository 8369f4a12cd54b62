import os
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for robot.py


@pytest.fixture(scope='session')
def roma():
    """Run the roma command as a process, away from the source tree."""

    def run(*arguments, timeout=240, **environment):
        code = 'import sys; from roma_ros.cli.main import main; sys.exit(main())'
        return subprocess.run(
            [sys.executable, '-c', code, *map(str, arguments)],
            cwd=tempfile.gettempdir(),
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


@pytest.fixture(scope='session')
def robot_environment(domain_id):
    """Return environment variables under which only the robot and its watchers meet."""
    from roma_ros.nodes.dds import set_dds_defaults

    environment = {
        **os.environ,
        'ROS_DOMAIN_ID': str(domain_id),
        'OMP_NUM_THREADS': '1',
    }
    # As users start it: the profile keeps to this machine.
    environment.pop('ROS_AUTOMATIC_DISCOVERY_RANGE', None)
    set_dds_defaults(environment)
    return environment


# Not for the session: it talks on the domain that all tests of one process share.
@pytest.fixture(scope='module')
def robot(robot_environment, tmp_path_factory):
    """Run the real node on a film in a loop; return its processes by name."""
    from robot import start_robot

    processes = start_robot(tmp_path_factory.mktemp('robot'), robot_environment)
    yield processes
    for process in processes.values():
        process.stop()
        print(process.output)


@pytest.fixture
def browser(tmp_path):
    """Return a headless browser."""
    chromium = shutil.which('chromium') or shutil.which('google-chrome')
    if chromium is None:
        pytest.skip('no chromium to open the page with')
    from browser import Browser

    browser = Browser(chromium, tmp_path / 'profile')
    yield browser
    browser.close()
