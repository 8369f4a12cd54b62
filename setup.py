"""
Build for pip: the CMake project that colcon builds, installed into a folder, packed as a wheel.

colcon does not use this file. Where no ROS 2 can be had, the package is built without messages.
"""

from logging import getLogger
import os
from pathlib import Path
from shutil import copytree, ignore_patterns, rmtree
import subprocess
import sys

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / 'scripts'))

from ros_underlay import find_underlay, Underlay, wheel_requirements  # noqa: E402

NO_MESSAGES = (
    'roma_ros was installed without its messages: there was no ROS 2 to generate them with. '
    'Source a ROS 2 installation, or use x86-64 Linux with Python 3.10 to 3.13, for which PyPI '
    'has ROS 2 wheels, and install roma_ros again.'
)

underlay = find_underlay()


class CMakeBuild(build_py):
    """Run CMake, and take the package and its data files from what it installs."""

    def run(self) -> None:
        """Build, install into a folder, and hand the files to setuptools."""
        work = Path(self.get_finalized_command('build').build_temp).resolve() / 'cmake'
        package = Path(self.build_lib).resolve() / 'roma_ros'
        # What an earlier build left may be of another ROS, or of files that are gone.
        for stale in (work, package):
            rmtree(stale, ignore_errors=True)
        prefix = work / 'install'
        modules = Path('lib', f'python{sys.version_info.major}.{sys.version_info.minor}')
        run_cmake(work / 'build', prefix, modules / 'site-packages')
        # Distributions of Debian's Python name another directory, so look.
        (installed,) = prefix.glob('**/roma_ros/__init__.py')
        copytree(installed.parent, package, ignore=ignore_patterns('__pycache__', '*.c'))
        rmtree(prefix / modules.parts[0] / modules.parts[1], ignore_errors=True)
        rmtree(prefix / 'bin')
        temporary = underlay.prefixes if underlay is not None and underlay.temporary else ()
        relocate(prefix / 'share', [prefix, *temporary])
        if underlay is None:
            getLogger('setuptools').warning(NO_MESSAGES)
            for name in ('msg', 'srv', 'action'):
                (package / name).mkdir()
                (package / name / '__init__.py').write_text(
                    f'raise ImportError({NO_MESSAGES!r})\n'
                )
        self.distribution.data_files = [
            (str(directory.relative_to(prefix)), [str(p) for p in files])
            for directory in (prefix, *prefix.glob('**/'))
            if (files := [p for p in directory.iterdir() if p.is_file()])
        ]


class BinaryDistribution(Distribution):
    """Compiled message support ties the wheel to this Python and machine."""

    def has_ext_modules(self) -> bool:
        """Tell whether there is compiled code."""
        return underlay is not None


def run_cmake(build: Path, prefix: Path, modules: Path) -> None:
    """
    Configure, build and install.

    :param build: folder to build in.
    :param prefix: folder to install into.
    :param modules: where Python modules go in there, if ament is not asked.
    :raises CalledProcessError: if a step fails; its output is on the screen.
    """
    options = [
        f'-DCMAKE_INSTALL_PREFIX={prefix}',
        f'-DPython3_EXECUTABLE={sys.executable}',
        f'-DPYTHON_EXECUTABLE={sys.executable}',
    ]
    if underlay is None:
        options += ['-DROMA_ROS_INTERFACES=OFF', f'-DPYTHON_INSTALL_DIR={modules}']
    environment = dict(os.environ) if underlay is None else environment_of(underlay)
    for step in (
        ['-G', 'Ninja', '-S', str(ROOT), '-B', str(build), '--no-warn-unused-cli', *options],
        ['--build', str(build)],
        ['--install', str(build)],
    ):
        subprocess.run(['cmake', *step], env=environment, check=True)


def relocate(folder: Path, prefixes: list[Path]) -> None:
    """Let scripts and CMake files name the environment instead of this build's own folders."""
    suffixes = ('.cmake', '.sh', '.bash', '.zsh', '.dsv')
    for path in filter(Path.is_file, folder.glob('**/*')):
        if path.suffix in suffixes or 'ament_index' in path.parts:
            text = path.read_text()
            for prefix in prefixes:
                text = text.replace(str(prefix), sys.prefix)
            path.write_text(text)


def environment_of(underlay: Underlay) -> dict[str, str]:
    """Return this process's environment with the underlay's programs and modules first."""
    version = f'python{sys.version_info.major}.{sys.version_info.minor}'
    modules = [f'lib/{version}/site-packages', f'local/lib/{version}/dist-packages']
    added = {
        'AMENT_PREFIX_PATH': [str(p) for p in underlay.prefixes],
        'CMAKE_PREFIX_PATH': [str(p) for p in underlay.prefixes],
        'LD_LIBRARY_PATH': [str(p / 'lib') for p in underlay.prefixes],
    }
    environment = dict(os.environ)
    for name, values in added.items():
        environment[name] = os.pathsep.join([*values, *filter(None, [environment.get(name)])])
    # In place of what pip set: that hides the virtual environment, where the underlay may be.
    environment['PYTHONPATH'] = os.pathsep.join(
        [
            *(str(p / folder) for p in underlay.prefixes for folder in modules),
            *(p for p in sys.path if Path(p).name in ('site-packages', 'dist-packages')),
        ]
    )
    # The wheels start each Python a second time to set the library path, which is set here.
    environment['_ROS_WHEELS_BOOTSTRAP_COMPLETE'] = '1'
    return environment


setup(
    cmdclass={'build_py': CMakeBuild},
    distclass=BinaryDistribution,
    # The messages' compiled support fits one release of ROS alone.
    install_requires=[
        'numpy>=1.26',
        *(wheel_requirements() if underlay is not None and underlay.temporary else []),
    ],
)
