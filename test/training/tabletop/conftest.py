import pytest

pytest.importorskip('cv2', reason='OpenCV is not installed')

from roma_ros.training.tabletop.generator import make_stream


@pytest.fixture(scope='session')
def streams():
    """Labels of many streams of training."""
    return [make_stream(seed, split='train', plain=True, audible=False) for seed in range(200)]


@pytest.fixture(scope='session')
def test_streams():
    return [make_stream(seed, split='test', plain=True, audible=False) for seed in range(60)]
