from concurrent.futures import Future
from dataclasses import replace
import os
import threading

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


class Recorder(TorchEngine):
    """The torch engine, noting which threads encode; all of a unit's towers wait for each other.

    :param towers: that have to be at work at the same time.
    """

    def __init__(self, model, *, towers):
        super().__init__(model)
        self.threads = []
        self._meeting = threading.Barrier(towers)

    def encode(self, features, *, video=None):
        self.threads.append(threading.get_ident())
        self._meeting.wait(60)
        return super().encode(features, video=video)


@pytest.mark.parametrize('cores', [{0}, {0, 1}])
def test_sound_is_encoded_beside_the_frames_where_a_core_is_left_for_it(
    roma, make_unit, monkeypatch, cores
):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: cores)
    recorder = Recorder(roma.model, towers=len(cores))
    encoded = UnitEncoder(recorder, roma.processor)(make_unit(0))
    assert len(set(recorder.threads)) == len(recorder.threads) == len(cores)
    assert threading.get_ident() in recorder.threads

    after_another = UnitEncoder(TorchEngine(roma.model), roma.processor, side_by_side=False)
    expected = after_another(make_unit(0))
    assert torch.equal(encoded.embeddings, expected.embeddings)
    assert np.array_equal(encoded.features.pixel_values, expected.features.pixel_values)
    assert encoded.features.grid_thw == expected.features.grid_thw
    assert np.array_equal(encoded.features.mel, expected.features.mel)


def test_sound_that_no_other_thread_comes_to_is_not_waited_for(roma, make_unit, monkeypatch):
    recorder = Recorder(roma.model, towers=1)
    encoder = UnitEncoder(recorder, roma.processor, side_by_side=True)
    waiting: Future = Future()  # as if the core were taken: nobody begins with it
    monkeypatch.setattr(encoder._second, 'submit', lambda _: waiting)
    fresh = UnitEncoder(TorchEngine(roma.model), roma.processor, side_by_side=False)
    assert torch.equal(encoder(make_unit(0)).embeddings, fresh(make_unit(0)).embeddings)
    assert set(recorder.threads) == {threading.get_ident()}
    assert waiting.cancelled()


def test_goes_on_after_a_frame_that_was_refused(roma, counter, make_unit):
    encoder = UnitEncoder(counter, roma.processor, side_by_side=True)
    narrow = replace(make_unit(0), frames=np.zeros((2, 500, 2, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match='at most 200 times'):
        encoder(narrow)
    fresh = UnitEncoder(TorchEngine(roma.model), roma.processor)
    assert torch.equal(encoder(make_unit(1)).embeddings, fresh(make_unit(1)).embeddings)
