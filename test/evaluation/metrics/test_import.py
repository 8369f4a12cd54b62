"""Metrics and policy need numpy alone: they run where there is no model."""

from pathlib import Path
import subprocess
import sys

import pytest

import roma_ros

HEAVY = (
    'torch',
    'transformers',
    'av',
    'cv2',
    'rosbags',
    'mcap',
    'PIL',
    'sklearn',
    'scipy',
    'rclpy',
)
FOLDER = Path(roma_ros.__file__).parent


@pytest.mark.parametrize('room', ['evaluation/metrics', 'policy'])
def test_a_room_imports_numpy_alone(room):
    names = [f'roma_ros.{room.replace("/", ".")}.{p.stem}' for p in (FOLDER / room).glob('*.py')]
    assert len(names) > 5
    code = (
        f'import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n'
        f'print([name for name in {HEAVY!r} if name in sys.modules])'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'
