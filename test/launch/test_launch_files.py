"""What can be told of the launch files without launch; and, where there is launch, a run."""

import ast
import importlib.util
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import threading
from xml.etree import ElementTree

import pytest
import yaml

from roma_ros.nodes.parameter_tables import TABLES

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / 'launch').glob('*.launch.py'))
BOOLEANS = {'true', 'false'}

needs_launch = pytest.mark.skipif(
    importlib.util.find_spec('launch_ros') is None,
    reason='launch_ros is not installed; it comes with a ROS installation, not from PyPI',
)


def calls(path, name):
    """Return the calls of a function in a file: positional and keyword arguments."""
    return [
        (node.args, {k.arg: k.value for k in node.keywords})
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == name
    ]


def text(node):
    return node.value if isinstance(node, ast.Constant) else None


def test_there_are_launch_files():
    assert [path.name for path in FILES] == ['demo.launch.py', 'roma.launch.py']


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
def test_every_argument_is_declared_and_described(path):
    declared = set()
    for positional, keywords in calls(path, 'DeclareLaunchArgument'):
        name = text(positional[0])
        declared.add(name)
        assert text(keywords['description']).endswith('.'), name
        if text(keywords.get('default_value')) in BOOLEANS:
            assert 'choices' in keywords, name
    used = {text(positional[0]) for positional, _ in calls(path, 'LaunchConfiguration')} - {None}
    assert used
    assert used <= declared
    assert declared - used <= {'image_topic', 'audio_topic', 'params_file', 'namespace'}


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
def test_nodes_files_and_parameters_exist(path):
    nodes = calls(path, 'Node')
    assert nodes
    for _, keywords in nodes:
        executable = text(keywords['executable'])
        assert (ROOT / 'roma_ros' / 'nodes' / f'{executable}.py').is_file()
        table = TABLES[executable.removesuffix('_node')]
        known = {*table.__dataclass_fields__, 'use_sim_time'}
        for part in keywords['parameters'].elts:
            if isinstance(part, ast.Dict):
                assert {text(key) for key in part.keys if key is not None} <= known
    for positional, _ in calls(path, 'PathJoinSubstitution'):
        parts = [text(part) for part in positional[0].elts][1:]
        if len(parts) == 1:  # behind a starred [share, 'config']
            parts = ['config', *parts]
        assert ROOT.joinpath(*parts).is_file()


def test_respawn_reaches_every_node():
    path = ROOT / 'launch' / 'roma.launch.py'
    tree = ast.parse(path.read_text(encoding='utf-8'))
    common = next(n for n in ast.walk(tree) if getattr(n, 'name', '') == '_common')
    (returned,) = (n.value for n in ast.walk(common) if isinstance(n, ast.Return))
    options = {text(key): value for key, value in zip(returned.keys, returned.values, strict=True)}
    assert ast.unparse(options['respawn']) == "LaunchConfiguration('use_respawn')"
    assert options['respawn_delay'].value > 0
    for _, keywords in calls(path, 'Node'):
        assert ast.unparse(keywords[None]) == '_common()'  # as in Node(..., **_common())


def test_demo_hands_on_only_what_roma_declares():
    roma, demo = ROOT / 'launch' / 'roma.launch.py', ROOT / 'launch' / 'demo.launch.py'
    declared = {text(positional[0]) for positional, _ in calls(roma, 'DeclareLaunchArgument')}
    names = next(
        node.generators[0].iter
        for node in ast.walk(ast.parse(demo.read_text(encoding='utf-8')))
        if isinstance(node, ast.DictComp) and isinstance(node.generators[0].iter, ast.Tuple)
    )
    handed_on = {text(name) for name in names.elts}
    assert 'params_file' in handed_on
    assert handed_on <= declared


INCLUDED = '$(find-pkg-share roma_ros)/launch/roma.launch.py'
XML_FILES = sorted((ROOT / 'launch').glob('*.launch.xml'))


def declared_by_roma():
    """Return the arguments of roma.launch.py: default (None: computed) and choices of each."""
    declared = {}
    for positional, keywords in calls(ROOT / 'launch' / 'roma.launch.py', 'DeclareLaunchArgument'):
        choices = keywords.get('choices')
        names = BOOLEANS if isinstance(choices, ast.Name) else set()
        if isinstance(choices, ast.List):
            names = {text(choice) for choice in choices.elts}
        declared[text(positional[0])] = (text(keywords['default_value']), names)
    return declared


def test_the_xml_twin_has_the_same_arguments():
    root = ElementTree.parse(ROOT / 'launch' / 'roma.launch.xml').getroot()
    twin = {a.get('name'): a for a in root.findall('arg')}
    declared = declared_by_roma()
    assert twin.keys() == declared.keys()
    for name, (default, choices) in declared.items():
        assert default is None or twin[name].get('default') == default, name
        assert {c.get('value') for c in twin[name].findall('choice')} == choices, name
        assert twin[name].get('description').endswith('.')
    include = root.find('include')
    assert include.get('file') == INCLUDED
    handed_on = {a.get('name'): a.get('value') for a in include.findall('arg')}
    assert handed_on == {name: f'$(var {name})' for name in declared}


def test_the_yaml_twin_has_the_same_arguments():
    with (ROOT / 'launch' / 'roma.launch.yaml').open(encoding='utf-8') as file:
        entries = yaml.safe_load(file)['launch']
    twin = {e['arg']['name']: e['arg'] for e in entries if 'arg' in e}
    declared = declared_by_roma()
    assert twin.keys() == declared.keys()
    for name, (default, choices) in declared.items():
        assert default is None or twin[name]['default'] == default, name
        assert {c['value'] for c in twin[name].get('choice', ())} == choices, name
    (include,) = (e['include'] for e in entries if 'include' in e)
    assert include['file'] == INCLUDED
    assert {a['name']: a['value'] for a in include['arg']} == {
        name: f'$(var {name})' for name in declared
    }


@pytest.mark.parametrize('path', XML_FILES, ids=lambda path: path.name)
def test_examples_describe_their_arguments_and_hand_on_what_roma_declares(path):
    root = ElementTree.parse(path).getroot()
    arguments = {a.get('name') for a in root.findall('arg')}
    assert all(a.get('description').endswith('.') for a in root.findall('arg'))
    used = set(re.findall(r'\$\(var (\w+)\)', path.read_text(encoding='utf-8')))
    assert used == arguments
    (include,) = (i for i in root.findall('include') if i.get('file') == INCLUDED)
    declared = declared_by_roma()
    for argument in include.findall('arg'):
        _, choices = declared[argument.get('name')]
        assert not choices or argument.get('value') in choices or '$(' in argument.get('value')
    for file in re.findall(r'roma_ros\)/([\w./]+)', path.read_text(encoding='utf-8')):
        assert (ROOT / file).is_file(), file


@pytest.mark.parametrize(
    'path', sorted((ROOT / 'config' / 'uses').glob('*.yaml')), ids=lambda path: path.stem
)
def test_parameter_files_for_uses_hold_what_the_node_takes(path):
    values = yaml.safe_load(path.read_text(encoding='utf-8'))['/**']['ros__parameters']
    parameters = TABLES['roma'](
        **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    )
    for name, value in values.items():
        default = TABLES['roma'].__dataclass_fields__[name].default
        given = tuple(value) if isinstance(value, list) else value
        assert type(given) is type(default), name
        assert getattr(parameters, name) == given


#: What `ros2 launch` does, without ros2cli.
LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource
path, *arguments = sys.argv[1:]
service = LaunchService(argv=arguments)
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    AnyLaunchDescriptionSource(path),
    launch_arguments=[tuple(argument.split(':=', 1)) for argument in arguments],
)]))
sys.exit(service.run())
"""


class Launch:
    """A launch in a process of its own; interrupted when it takes too long."""

    def __init__(self, environment, folder, name, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, '-c', LAUNCH, str(ROOT / 'launch' / name), *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**environment, 'ROS_LOG_DIR': str(folder)},
        )
        self.lines = []
        self.timer = threading.Timer(240.0, self.process.send_signal, [signal.SIGINT])
        self.timer.start()

    def wait_for(self, words):
        """Read until a line holds the words."""
        for line in self.process.stdout:
            self.lines.append(line)
            if words in line:
                return
        raise AssertionError(f'{words!r} did not appear in:\n{self.output}')

    @property
    def output(self):
        return ''.join(self.lines)

    def join(self):
        """Read to the end, and return the exit code."""
        self.lines += self.process.stdout
        self.timer.cancel()
        return self.process.wait()


@pytest.fixture
def start_launch(ros_env, tmp_path):
    """Start launch files that end with the test."""
    launches = []

    def start(name, *arguments):
        launches.append(Launch(ros_env, tmp_path, name, *arguments))
        return launches[-1]

    yield start
    for launch in launches:
        if launch.process.poll() is None:
            launch.process.send_signal(signal.SIGINT)
        launch.join()


@needs_launch
@pytest.mark.ros
def test_roma_waits_for_its_manager_and_ends_cleanly(start_launch):
    launch = start_launch(
        'roma.launch.py', 'namespace:=robot', 'autostart:=false', 'log_level:=debug'
    )
    launch.wait_for('/robot/roma/get_parameters')  # a service of the node, in the debug log
    launch.process.send_signal(signal.SIGINT)
    assert launch.join() == 0
    assert 'process has finished cleanly' in launch.output
    assert 'loaded' not in launch.output


@needs_launch
@pytest.mark.ros
@pytest.mark.parametrize('file', ['roma.launch.py', 'roma.launch.xml', 'roma.launch.yaml'])
def test_a_node_that_is_killed_is_started_again(start_launch, file):
    launch = start_launch(file, 'use_respawn:=true')
    pids = []
    for _ in range(2):
        launch.wait_for('process started with pid')
        pids.append(int(re.search(r'pid \[(\d+)\]', launch.lines[-1])[1]))
        launch.wait_for('loaded')  # it is configured again, too
        os.kill(pids[-1], signal.SIGKILL)
        launch.wait_for('process has died')
    assert pids[0] != pids[1]
    launch.wait_for('process started with pid')
    launch.process.send_signal(signal.SIGINT)
    assert launch.join() == 0


@needs_launch
@pytest.mark.ros
def test_without_respawn_a_launch_ends_with_its_node(start_launch):
    launch = start_launch('roma.launch.py', 'autostart:=false')
    launch.wait_for('process started with pid')
    os.kill(int(re.search(r'pid \[(\d+)\]', launch.lines[-1])[1]), signal.SIGKILL)
    assert launch.join() == 0
    assert launch.output.count('process started with pid') == 1


@needs_launch
@pytest.mark.ros
def test_an_argument_that_is_no_choice_is_refused(start_launch):
    launch = start_launch('roma.launch.py', 'dds:=everywhere')
    assert launch.join() != 0
    assert '"everywhere" is not valid' in launch.output


@needs_launch
@pytest.mark.ros
@pytest.mark.slow
def test_the_demo_plays_records_and_ends_by_itself(start_launch, tmp_path):
    av = pytest.importorskip('av', reason='PyAV is not installed')
    mcap_reader = pytest.importorskip('mcap.reader', reason='mcap is not installed')
    source = tmp_path / 'street.avi'
    with av.open(str(source), 'w') as container:
        stream = container.add_stream('mjpeg', rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, 'yuvj420p'
        for _ in range(60):
            container.mux(stream.encode(av.VideoFrame(320, 240, 'yuvj420p')))
        container.mux(stream.encode())
    launch = start_launch('demo.launch.py', f'source:={source}', 'record_path:=out.mcap')
    assert launch.join() == 0
    assert launch.output.count('process has finished cleanly') == 3, launch.output
    with (tmp_path / 'out.mcap').open('rb') as file:
        summary = mcap_reader.make_reader(file).get_summary()
    counts = {
        summary.channels[number].topic: count
        for number, count in summary.statistics.channel_message_counts.items()
    }
    assert counts['/image/compressed'] == 60
    assert counts['/roma/speak_score'] >= 2
    assert counts['/roma/status'] > 0
