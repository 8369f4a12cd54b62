import numpy as np
import pytest

from roma_ros.model.config import ProcessorConfig
from roma_ros.model.processor import UnitFeatures, UnitProcessor
from roma_ros.training.augmentation import augment


@pytest.fixture(scope='module')
def features(make_stream) -> list[UnitFeatures]:
    processor = UnitProcessor(ProcessorConfig(video_max_pixels=16_384))
    stream = make_stream(3, duration_s=2)
    return [processor(stream.unit(i)) for i in range(2)]


def test_changes_a_little_and_by_the_seed_alone(features: list[UnitFeatures]):
    first, again, other = (augment(features, np.random.default_rng(s)) for s in (1, 1, 2))

    for before, after, same, another in zip(features, first, again, other, strict=True):
        assert after.mel.dtype == after.pixel_values.dtype == np.float32
        assert np.array_equal(after.mel, same.mel)
        assert np.array_equal(after.pixel_values, same.pixel_values)
        assert not np.array_equal(after.mel, another.mel)
        assert 0 < np.abs(after.pixel_values - before.pixel_values).mean() < 0.5
        assert 0 < np.abs(after.mel - before.mel).mean() < 0.3
        # As loud as ever against itself.
        assert after.mel.max() - after.mel.min() <= 2.0 + 1e-5


def test_all_units_change_the_same_way(features: list[UnitFeatures]):
    twice = [features[0], features[0]]

    one, two = augment(twice, np.random.default_rng(4))

    assert np.array_equal(one.mel, two.mel)
    assert np.array_equal(one.pixel_values, two.pixel_values)


def test_what_is_missing_stays_missing(features: list[UnitFeatures]):
    blind = UnitFeatures(None, None, features[0].mel)
    deaf = UnitFeatures(features[0].pixel_values, features[0].grid_thw, None)

    first, second = augment([blind, deaf], np.random.default_rng(5))

    assert first.pixel_values is None
    assert second.mel is None
    assert second.grid_thw == deaf.grid_thw
    assert augment([deaf], np.random.default_rng(5))[0].mel is None
