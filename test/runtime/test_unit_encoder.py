from dataclasses import replace

import numpy as np
import pytest
import torch

from roma_ros.runtime.torch_engine import TorchEngine
from roma_ros.runtime.unit_encoder import UnitEncoder


class Counter(TorchEngine):
    """The torch engine, counting the frames that it encodes."""

    encoded = 0

    def encode(self, features, *, video=None):
        self.encoded += features.pixel_values is not None and video is None
        return super().encode(features, video=video)


@pytest.fixture
def counter(roma):
    return Counter(roma.model)


def test_frames_that_repeat_are_encoded_once_and_give_the_same_to_the_bit(
    roma, counter, make_unit
):
    encoder = UnitEncoder(counter, roma.processor)
    first, second = make_unit(0), replace(make_unit(1), frames=make_unit(0).frames.copy())
    for unit in (first, second):
        fresh = UnitEncoder(TorchEngine(roma.model), roma.processor)(unit)
        encoded = encoder(unit)
        assert torch.equal(encoded.embeddings, fresh.embeddings)
        assert np.array_equal(encoded.features.pixel_values, fresh.features.pixel_values)
        assert np.array_equal(encoded.features.mel, fresh.features.mel)
    assert counter.encoded == 1


@pytest.mark.parametrize('change', ['a pixel', 'none', 'one'])
def test_other_frames_are_encoded_anew(roma, counter, make_unit, change):
    encoder = UnitEncoder(counter, roma.processor)
    unit = make_unit(0)
    encoder(unit)
    frames = unit.frames.copy()
    if change == 'a pixel':
        frames[1, 5, 5, 0] ^= 255
    frames = frames[: {'a pixel': 2, 'none': 0, 'one': 1}[change]]
    changed = replace(unit, frames=frames, frame_stamps_ns=unit.frame_stamps_ns[: len(frames)])
    fresh = UnitEncoder(TorchEngine(roma.model), roma.processor)(changed)
    assert torch.equal(encoder(changed).embeddings, fresh.embeddings)
    assert counter.encoded == 1 + (len(frames) > 0)


def test_what_is_forgotten_is_encoded_anew(roma, counter, make_unit):
    encoder = UnitEncoder(counter, roma.processor)
    encoder(make_unit(0))
    encoder.forget()
    encoder(make_unit(0))
    assert counter.encoded == 2
