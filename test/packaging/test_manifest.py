"""What the package says of itself is one story."""

from pathlib import Path
import re

import pytest

import roma_ros

catkin_pkg_package = pytest.importorskip('catkin_pkg.package', reason='catkin-pkg is missing')
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def manifest():
    return catkin_pkg_package.parse_package(ROOT / 'package.xml')


def test_manifest_is_valid_and_complete(manifest):
    manifest.validate()
    assert manifest.package_format == 3
    assert manifest.name == 'roma_ros'
    assert manifest.licenses == ['Apache-2.0']
    assert manifest.get_build_type() == 'ament_cmake'
    assert [group.name for group in manifest.member_of_groups] == ['rosidl_interface_packages']


def test_versions_agree(manifest):
    changelog = (ROOT / 'CHANGELOG.rst').read_text()
    newest = re.search(r'^(\d+\.\d+\.\d+)\b.*\n-+$', changelog, re.MULTILINE)
    assert newest is not None
    assert manifest.version == roma_ros.__version__ == newest.group(1)


def test_every_interface_is_generated():
    listed = re.findall(r'"((?:msg|srv|action)/[^"]+)"', (ROOT / 'CMakeLists.txt').read_text())
    files = [
        str(path.relative_to(ROOT))
        for folder in ('msg', 'srv', 'action')
        for path in (ROOT / folder).iterdir()
    ]
    assert sorted(listed) == sorted(files)


def test_messages_that_are_imported_are_depended_on(manifest):
    sources = '\n'.join(path.read_text() for path in (ROOT / 'roma_ros').rglob('*.py'))
    imported = set(re.findall(r'^\s*from (\w+)\.(?:msg|srv|action) import', sources, re.MULTILINE))
    optional = {'audio_common_msgs', 'hri_msgs'}
    depended = {dependency.name for dependency in manifest.exec_depends}
    assert imported - optional - depended == set()


def test_every_requirement_is_pinned():
    files = list((ROOT / 'requirements').glob('*.txt'))
    assert files
    for path in files:
        for line in path.read_text().splitlines():
            requirement = line.split('#')[0].strip()
            pinned = r"([\w.-]+==[\w.]+(; \w+ == '\w+')?)?"
            assert re.fullmatch(pinned, requirement), f'{path.name}: {line}'
