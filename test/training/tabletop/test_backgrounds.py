from itertools import combinations

import numpy as np
import pytest

from roma_ros.training.tabletop import backgrounds
from roma_ros.training.tabletop.backgrounds import (
    CLIPS,
    make_background,
    margin_px,
    PHOTOGRAPHS,
)

SIZE = (160, 120)


def make(seed, split='train'):
    return make_background(np.random.default_rng(seed), split=split, size=SIZE, floor_y=0.8)


def test_splits_share_no_photograph_and_no_clip():
    for files in (PHOTOGRAPHS, CLIPS):
        assert all(not set(a) & set(b) for a, b in combinations(files.values(), 2))


@pytest.mark.parametrize('split', ['train', 'validation', 'test'])
def test_every_background_fits_around_the_frame(split):
    margin = margin_px(SIZE)
    moving = 0
    for seed in range(24):
        background = make(seed, split)
        images = [background(t) for t in (0.0, 0.5, 13.3)]
        assert {image.shape for image in images} == {
            (SIZE[1] + 2 * margin, SIZE[0] + 2 * margin, 3)
        }
        assert all(image.dtype == np.uint8 for image in images)
        assert images[0].std() > 1
        moving += not np.array_equal(images[0], images[1])
    assert (moving > 0) == bool(CLIPS[split])


def test_backgrounds_are_muted():
    """No background is as strongly coloured as a thing."""
    for seed in range(24):
        image = make(seed)(0.0).astype(int)
        assert np.percentile(image.max(axis=2) - image.min(axis=2), 90) < 110


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(backgrounds, 'find_spec', lambda name: None)
    backgrounds._load_photograph.cache_clear()
    backgrounds._load_clip.cache_clear()
    with pytest.raises(ModuleNotFoundError, match=r'pip install --no-deps scikit-'):
        [make(seed) for seed in range(24)]
