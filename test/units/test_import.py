"""The units need numpy alone."""

import subprocess
import sys

MODULES = (
    'roma_ros.units, roma_ros.units.media_file, roma_ros.units.bag, roma_ros.units.message_readers'
)


def test_importing_the_units_imports_nothing_heavy() -> None:
    code = (
        f'import sys, {MODULES}\n'
        'heavy = {"av", "cv2", "rclpy", "rosbags", "torch", "transformers", "roma_ros.msg"}\n'
        'print(sorted(heavy & set(sys.modules)))'
    )
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == '[]'
