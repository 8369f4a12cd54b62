"""The package in a ROS 2 workspace, with the ROS wheels as the installation below it."""

import os
from shutil import rmtree

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(600)]


class Workspace:
    """A workspace with this package in it."""

    def __init__(self, path, environment, option):
        self.path = path
        self.package = path / 'src/roma_ros'
        self.install = path / f'install{option}'
        self.prefix = self.install / 'roma_ros'
        self.environment = environment
        self.linked = bool(option)
        self.options = ['--install-base', self.install, *filter(None, [option])]

    def build(self):
        root = self.environment.path
        return self.environment.run(
            'colcon',
            'build',
            *self.options,
            '--cmake-args',
            '-G',
            'Ninja',
            cwd=self.path,
            AMENT_PREFIX_PATH=root,
            CMAKE_PREFIX_PATH=root,
            VIRTUAL_ENV=root,
        )

    @property
    def sourced(self):
        """The start of a command that has sourced the workspace."""
        return ['bash', '-c', f'. {self.install}/setup.bash && exec "$@"', 'bash']

    def python(self, program):
        """Run a program with the workspace sourced, and return its output."""
        return self.environment.run(*self.sourced, 'python', '-c', program).strip()


@pytest.fixture(scope='module')
def kilted(make_environment):
    environment = make_environment('kilted')
    environment.install('ros-kilted', 'ros-kilted-build', 'build', 'colcon')
    return environment


@pytest.fixture(scope='module')
def workspace_path(copy_sources, tmp_path_factory):
    path = tmp_path_factory.mktemp('workspace')
    copy_sources(path / 'src/roma_ros')
    return path


# Both ways share the compiled messages, which are most of the work.
@pytest.fixture(scope='module', params=['', '--symlink-install'], ids=['plain', 'linked'])
def workspace(request, kilted, workspace_path):
    workspace = Workspace(workspace_path, kilted, request.param)
    # ament cannot turn this folder of copies into one of links.
    rmtree(workspace_path / 'build/roma_ros/ament_cmake_python', ignore_errors=True)
    workspace.build()
    return workspace


def test_one_module_has_sources_and_messages(workspace, imports):
    found = workspace.python(imports)
    assert found.startswith(str(workspace.prefix))


def test_messages_pass_between_processes(workspace, kilted, domain_id):
    printed = kilted.exchange(domain_id, *workspace.sourced)
    assert printed == 'grüß dich 0.5 DOORBELL what? a dog'


def test_messages_compile_in_cpp(workspace, tmp_path):
    headers = workspace.prefix / 'include/roma_ros/roma_ros'
    assert {'msg/utterance.hpp', 'srv/add_instruction.hpp', 'action/ask.hpp'} <= {
        str(path.relative_to(headers)) for path in headers.glob('*/*.hpp')
    }
    source = tmp_path / 'main.cpp'
    source.write_text(
        '#include "roma_ros/msg/utterance.hpp"\n'
        '#include "roma_ros/action/ask.hpp"\n'
        'int main() { return roma_ros::msg::Utterance().final; }\n'
    )
    includes = [
        option
        for prefix in (workspace.prefix, workspace.environment.path)
        for folder in (prefix / 'include').glob('*')
        for option in ('-isystem', folder)
    ]
    workspace.environment.run('c++', '-std=c++17', '-fsyntax-only', *includes, source)


def test_files_are_where_ros_looks_for_them(workspace):
    share = workspace.prefix / 'share'
    assert (share / 'ament_index/resource_index/packages/roma_ros').is_file()
    assert (share / 'ament_index/resource_index/rosidl_interfaces/roma_ros').is_file()
    sources = [
        path.relative_to(workspace.package)
        for folder in ('action', 'config', 'launch', 'models', 'msg', 'srv')
        for path in (workspace.package / folder).rglob('*')
        if path.is_file()
    ]
    assert len({path.parts[0] for path in sources}) == 6
    missing = [path for path in sources if not (share / 'roma_ros' / path).is_file()]
    assert not missing


def test_every_node_has_an_executable(workspace):
    nodes = {path.stem for path in (workspace.package / 'roma_ros/nodes').glob('*_node.py')}
    folder = workspace.prefix / 'lib/roma_ros'
    assert {path.name for path in folder.iterdir()} == nodes | {'roma'}
    assert all(os.access(path, os.X_OK) for path in folder.iterdir())


def test_the_command_runs_by_its_name(workspace):
    printed = workspace.environment.run(*workspace.sourced, 'roma', '--help')
    assert 'usage: roma' in printed


def test_a_second_build_brings_changes(workspace):
    module = workspace.package / 'roma_ros/policy/new_module.py'
    module.write_text('VALUE = 1\n')
    (workspace.package / 'launch/new.launch.py').touch()
    workspace.build()
    if workspace.linked:  # an edit needs no build
        module.write_text('VALUE = 2\n')
    printed = workspace.python(
        'from roma_ros.msg import Utterance; from roma_ros.policy.new_module import VALUE; '
        'print(VALUE)'
    )
    assert printed == ('2' if workspace.linked else '1')
    assert (workspace.prefix / 'share/roma_ros/launch/new.launch.py').is_file()
