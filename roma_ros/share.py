"""Where the files of installed packages are."""

import os
from pathlib import Path
import sys


def share_folder(package: str = 'roma_ros') -> Path:
    """
    Find a package's share folder: its config, launch, models and message definitions.

    Workspaces on ``AMENT_PREFIX_PATH`` go first, then the environment of the interpreter, which
    is where wheels lay theirs, then this source tree.

    :param package: name of a ROS package.
    :return: an existing folder.
    :raises FileNotFoundError: when the package is not installed.
    """
    prefixes = [Path(p) for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    prefixes.append(Path(sys.prefix))
    for prefix in prefixes:
        folder = prefix / 'share' / package
        if (folder / 'package.xml').is_file():
            return folder
    source = Path(__file__).resolve().parents[1]
    if package == 'roma_ros' and (source / 'package.xml').is_file():
        return source
    raise FileNotFoundError(
        f'the package {package!r} is not installed: looked in '
        + ', '.join(str(prefix / 'share') for prefix in prefixes)
    )
