import pytest

from roma_ros.evaluation.fleet import RayExecutor


def test_nothing_to_do_starts_nothing():
    assert list(RayExecutor(workers=2)(lambda: pytest.fail('no worker is needed'), [])) == []


@pytest.mark.parametrize('fields', [{'workers': 0}, {'gpus': -1.0}])
def test_refuses_what_makes_no_sense(fields):
    with pytest.raises(ValueError, match='expected at least 1, and 0'):
        RayExecutor(**fields)
