import pytest

from roma_ros.runtime.factory import load_runtime


@pytest.fixture(scope='session')
def runtime():
    return load_runtime(threads=1)
