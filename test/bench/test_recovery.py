"""How soon the node is back, on a few faults that are short."""

import json
import subprocess
import sys

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

pytestmark = [pytest.mark.ros, pytest.mark.system, pytest.mark.timeout(600)]

CODE = """
import sys
from roma_ros.bench import recovery
from roma_ros.cli.bench import main
recovery._FAULT_S = 1.0
wanted = ('both dead for 5 s', 'stamps set 100 s ahead', 'process stopped for 5 s',
          'deactivated and activated')
recovery.FAULTS = {name: recovery.FAULTS[name] for name in wanted}
sys.exit(main())
"""


def test_the_node_is_back_after_each_fault(tmp_path):
    path = tmp_path / 'recovery.json'
    options = ['recovery', '--rounds', '1', '--folder', tmp_path / 'out', '--json', path]
    done = subprocess.run(
        [sys.executable, '-c', CODE, *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    faults = json.loads(path.read_text(encoding='utf-8'))['faults']
    assert list(faults) == [
        'none',
        'both dead for 5 s',
        'stamps set 100 s ahead',
        'process stopped for 5 s',
        'deactivated and activated',
    ]
    assert all(0 < f['s_median'] <= f['s_max'] for f in faults.values())
    assert 'process stopped for 5 s' in done.stdout


def test_a_fault_that_there_is_not_is_named(tmp_path):
    code = 'import sys; from roma_ros.cli.bench import main; sys.exit(main())'
    done = subprocess.run(
        [sys.executable, '-c', code, 'recovery', '--only', 'earthquake'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 1
    assert "no fault is named 'earthquake'; there are: camera dead for 5 s, " in done.stderr
