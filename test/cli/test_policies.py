"""The SROS2 policies against what the real nodes do, as the ROS graph says."""

from pathlib import Path
import re
import sys
from xml.etree import ElementTree

import pytest

FOLDER = Path(__file__).resolve().parents[2] / 'config' / 'sros2'
CODE = 'import sys; from roma_ros.cli.main import main; sys.exit(main())'
#: What a node does only where a parameter or another node wants it: it is allowed, but not seen.
BY_CHOICE = {
    'roma': {'/image/compressed', '/audio_info', '/audio_reference', '/clock'},
    'camera': {'/image/compressed', '/clock'},
    'playback': {'/image/compressed', '/clock'},
    'microphone': {'/clock'},
    'recorder': {'/clock'},
    'speaker': {'/roma/utterance', '/clock'},
    'web': {'/image', '/image/compressed', '/clock'},
    'watch': {'/clock'},
    'sync_check': {'/image/compressed', '/clock'},
}


def policies():
    from graph import read_policy

    allowed = {}
    for path in sorted(FOLDER.glob('*.policy.xml')):
        of_file = read_policy(path)
        assert not set(of_file) & set(allowed)
        allowed.update(of_file)
    return allowed


def test_every_node_has_a_policy_in_an_enclave_of_its_own():
    nodes = {
        p.stem.removesuffix('_node')
        for p in (FOLDER.parents[1] / 'roma_ros/nodes').glob('*_node.py')
    }
    assert set(policies()) == set(BY_CHOICE)
    assert nodes <= set(BY_CHOICE)
    for path in FOLDER.glob('*.policy.xml'):
        root = ElementTree.parse(path).getroot()
        assert (root.tag, root.attrib) == ('policy', {'version': '0.2.0'})
        (enclave,) = root.iter('enclave')
        assert enclave.attrib == {'path': f'/{path.name.removesuffix(".policy.xml")}'}
        for item in root.iter():
            if item.tag in ('topic', 'service', 'action'):
                assert re.fullmatch(r'(~/)?\w+(/\w+)*', item.text), item.text


def test_only_the_operator_may_command():
    allowed = policies()
    for name, rules in allowed.items():
        commands = rules['request'] | rules['call']
        assert bool(commands) == (name == 'web'), name
    assert allowed['watch']['publish'] <= {'/rosout', '/parameter_events'}


def test_a_policy_is_read_as_it_is_written(tmp_path):
    from graph import make_policy, read_policy, RULES

    graph = {rule: {f'/{rule}/x', '/robot/y'} for rule in RULES} | {'call': set()}
    path = tmp_path / 'a.policy.xml'
    path.write_text(make_policy('/robot', {'robot': graph}))
    assert read_policy(path) == {'robot': graph}


@pytest.mark.ros
def test_nodes_do_what_they_may_and_may_what_they_do(
    robot, robot_environment, tmp_path, monkeypatch
):
    from graph import wait_for_graph
    from robot import Process, start_node

    for key in ('ROS_DOMAIN_ID', 'FASTDDS_DEFAULT_PROFILES_FILE'):
        monkeypatch.setenv(key, robot_environment[key])
    monkeypatch.delenv('ROS_AUTOMATIC_DISCOVERY_RANGE', raising=False)
    others = [
        start_node('camera_node', robot_environment, device=tmp_path / 'none'),
        start_node('microphone_node', robot_environment),
        start_node('speaker_node', robot_environment),
        start_node('recorder_node', robot_environment, path=tmp_path / 'stream.mcap'),
        Process([sys.executable, '-c', CODE, 'web', '--port', '0'], robot_environment),
    ]
    allowed, done = policies(), set()
    try:
        for name in ('camera', 'microphone', 'speaker', 'recorder', 'web', 'playback', 'roma'):
            least = {rule: names - BY_CHOICE[name] for rule, names in allowed[name].items()}
            for rule, names in wait_for_graph(name, least).items():
                assert names <= allowed[name][rule], (name, rule)
            done.add(name)
    finally:
        for process in others:
            process.stop()
    assert len(done) == 7


@pytest.mark.ros
def test_a_node_that_must_be_secure_does_not_start_without_its_keys(robot_environment, tmp_path):
    from robot import start_node

    environment = {
        **robot_environment,
        'ROS_SECURITY_ENABLE': 'true',
        'ROS_SECURITY_STRATEGY': 'Enforce',
        'ROS_SECURITY_KEYSTORE': str(tmp_path),
    }
    node = start_node('playback_node', environment)
    node.wait_for('SECURITY ERROR')
    assert node.join() != 0
