"""Environments to build in: made once, from the pinned wheels, far from the one that tests."""

import os
from pathlib import Path
import shutil
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXCHANGE = Path(__file__).with_name('exchange.py')
IMPORTS = (
    'from roma_ros.msg import AudioChunk, Highlight, SpeakScore, Status, Utterance; '
    'from roma_ros.srv import AddInstruction, ListInstructions, RemoveInstruction; '
    'from roma_ros.action import Ask; '
    'import roma_ros.units, roma_ros.policy; '
    'print(roma_ros.__file__)'
)


class Environment:
    """A virtual environment; what runs in it sees no other variables of this process."""

    def __init__(self, path):
        self.path = path
        self.python = path / 'bin/python'
        self.variables = {
            'HOME': os.environ['HOME'],
            'PATH': f'{path}/bin:/usr/bin:/bin',
            **{name: value for name, value in os.environ.items() if name.startswith('PIP_')},
        }

    def install(self, *requirements):
        """Install files of requirements/."""
        arguments = [f'--requirement={ROOT}/requirements/{name}.txt' for name in requirements]
        self.run('pip', 'install', '-q', *arguments)

    def run(self, *command, cwd='/', **variables):
        """Run a command to its end; return what it printed."""
        process = self.start(*command, cwd=cwd, **variables)
        output, _ = process.communicate()
        assert process.returncode == 0, output[-6000:]
        return output

    def start(self, *command, cwd='/', **variables):
        """Start a command; it goes on by itself."""
        return subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env={**self.variables, **{name: str(value) for name, value in variables.items()}},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def exchange(self, domain_id, *prefix):
        """Exchange messages between two processes, started by a command or none."""
        variables = {'ROS_DOMAIN_ID': domain_id, 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
        command = [*prefix, self.python, EXCHANGE]
        robot = self.start(*command, 'robot', **variables)
        try:
            assert 'ready\n' in robot.stdout
            return self.run(*command, 'operator', **variables).strip()
        finally:
            robot.kill()
            robot.communicate()


@pytest.fixture(scope='session')
def make_environment(tmp_path_factory):
    """Make virtual environments without any package."""

    def make(name):
        path = tmp_path_factory.mktemp('environments') / name
        subprocess.run([sys.executable, '-m', 'venv', path], check=True)
        return Environment(path)

    return make


@pytest.fixture(scope='session')
def copy_sources():
    """Copy the source tree without what was built in it."""
    built = {'build', 'demo_output', 'dist', 'install', 'log'}

    def ignored(folder, names):
        return {
            name
            for name in names
            if name.startswith('.')
            or name.endswith(('.egg-info', '__pycache__'))
            or (name in built and Path(folder) == ROOT)
        }

    def copy(target):
        shutil.copytree(ROOT, target, ignore=ignored)

    return copy


@pytest.fixture(scope='session')
def imports():
    """Return a program that imports what users import, and prints where it was found."""
    return IMPORTS
