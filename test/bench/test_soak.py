"""All nodes at once, as on a robot, for a moment."""

import json
import subprocess
import sys

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('pyaudio', reason='PyAudio is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from roma_ros.bench.soak import SoakConfig

pytestmark = [pytest.mark.ros, pytest.mark.system, pytest.mark.timeout(600)]


def test_a_soak_counts_what_every_node_published_and_heard(tmp_path):
    path, folder = tmp_path / 'soak.json', tmp_path / 'soak'
    code = 'import sys; from roma_ros.cli.bench import main; sys.exit(main())'
    options = ['--minutes', '0.5', '--width', '160', '--height', '120', '--voice', '--record']
    done = subprocess.run(
        [sys.executable, '-c', code, 'soak', *options, '--folder', folder, '--json', path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(path.read_text(encoding='utf-8'))
    lost = figures['lost']
    # How much is lost is up to the machine; that it is counted is not.
    assert lost['images_published'] > 100
    assert 0 <= lost['images_lost'] < lost['images_published']
    assert lost['units'] + lost['units_missing'] > 10
    assert lost['samples_received'] > 48_000
    nodes = {'roma', 'recorder', 'microphone', 'speaker', 'playback', 'bench'}
    assert figures['nodes'].keys() == nodes
    assert all(f['own_mib_max'] > 10 for f in figures['nodes'].values())
    assert figures['latency']['score']['count'] > 0
    assert f'{lost["images_published"]:,} images, {lost["images_lost"]} lost' in done.stdout
    assert (folder / 'stream.mcap').stat().st_size > 100_000


def test_a_sound_card_knows_real_time_alone():
    with pytest.raises(ValueError, match='a sound card knows real time alone'):
        SoakConfig(voice=True, rate=2.0)
