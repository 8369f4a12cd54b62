import os
import subprocess
import sys
import tempfile

import pytest


@pytest.fixture(scope='session')
def roma():
    """Run the roma command as a process, away from the source tree."""

    def run(*arguments, timeout=120, **environment):
        code = 'import sys; from roma_ros.cli.main import main; sys.exit(main())'
        return subprocess.run(
            [sys.executable, '-c', code, *map(str, arguments)],
            cwd=tempfile.gettempdir(),
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run
