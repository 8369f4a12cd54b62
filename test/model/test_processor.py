from collections.abc import Callable
import math
import os
import subprocess
import sys

from hypothesis import assume, given, settings, strategies as st
import numpy as np
from PIL import Image
import pytest
from transformers import WhisperFeatureExtractor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from roma_ros.model.config import ProcessorConfig
from roma_ros.model.processor import num_audio_tokens, num_unit_tokens, UnitProcessor
from roma_ros.units.unit import MultimodalUnit

TIMES = np.arange(16_000) / 16_000


def stock_patches(frames: np.ndarray, config: ProcessorConfig) -> tuple[np.ndarray, list[int]]:
    """
    What the release does: Pillow down to the pixel limit, then the stock image processor.

    The image processor repeats one image in time; two frames are the halves of two calls.
    """
    processor = Qwen2VLImageProcessorPil(
        size={'shortest_edge': config.min_pixels, 'longest_edge': config.max_pixels}
    )
    halves = []
    for index in range(2):
        image = Image.fromarray(frames[min(index, len(frames) - 1)])
        if image.width * image.height > config.video_max_pixels:
            factor = math.sqrt(config.video_max_pixels / (image.width * image.height))
            image = image.resize((int(image.width * factor), int(image.height * factor)))
        out = processor(images=[image], return_tensors='np')
        grid = out['image_grid_thw'][0].tolist()
        halves.append(out['pixel_values'].reshape(-1, 3, 2, 14, 14)[:, :, index])
    return np.stack(halves, axis=2).reshape(len(halves[0]), -1), grid


@settings(deadline=None, max_examples=20)
@given(
    height=st.integers(28, 700),
    width=st.integers(28, 700),
    count=st.integers(1, 2),
    limit=st.sampled_from([16_384, 65_536]),
    seed=st.integers(0, 2**32 - 1),
)
def test_patches_are_those_of_the_stock_image_processor(height, width, count, limit, seed):
    assume(min(height, width) * math.sqrt(limit / (height * width)) >= 28)
    frames = np.random.default_rng(seed).integers(
        64, 192, (count, height, width, 3), dtype=np.uint8
    )
    processor = UnitProcessor(ProcessorConfig(video_max_pixels=limit))

    patches, grid = processor.patches(frames)

    expected, expected_grid = stock_patches(frames, processor.config)
    assert list(grid) == expected_grid
    # Each of two resizes rounds twice; Pillow may take the sides in the other order.
    level = 1 / 255 / min(processor.config.image_std)
    np.testing.assert_allclose(patches, expected, atol=3.01 * level, rtol=0)
    assert np.mean(np.abs(patches - expected) > 1.01 * level) < 0.03
    assert patches.dtype == np.float32


@pytest.mark.parametrize(
    ('height', 'width', 'size', 'tokens'),
    [(1080, 1920, (196, 336), 84), (480, 640, (224, 308), 88), (500, 500, (252, 252), 81)],
)
def test_token_budget_of_the_release(height, width, size, tokens):
    assert UnitProcessor().target_size(height, width) == size
    assert size[0] * size[1] // 28**2 == tokens


def test_one_frame_serves_twice(make_unit: Callable[..., MultimodalUnit]):
    processor = UnitProcessor()
    unit = make_unit(num_frames=1)

    features = processor(unit)

    doubled, _ = processor.patches(np.repeat(unit.frames, 2, axis=0))
    np.testing.assert_array_equal(features.pixel_values, doubled)


def test_no_frame_leaves_the_video_out(make_unit: Callable[..., MultimodalUnit]):
    features = UnitProcessor()(make_unit(num_frames=0))

    assert features.pixel_values is None
    assert features.grid_thw is None
    assert num_unit_tokens(features) == 27


def test_counts_the_tokens_of_a_unit(make_unit: Callable[..., MultimodalUnit]):
    features = UnitProcessor()(make_unit(height=480, width=640))

    assert num_unit_tokens(features) == 88 + 25 + 4


def test_a_panorama_keeps_one_row_of_tokens():
    patches, grid = UnitProcessor().patches(np.zeros((2, 16, 3_000, 3), dtype=np.uint8))

    assert grid[1] == 2
    assert len(patches) == grid[1] * grid[2]


@pytest.mark.parametrize(('height', 'width'), [(1, 201), (500, 2)])
def test_rejects_frames_without_an_area(height, width):
    with pytest.raises(ValueError, match=f'{width}x{height} pixels .* at most 200 times'):
        UnitProcessor().patches(np.zeros((2, height, width, 3), dtype=np.uint8))


SOUNDS = {
    'silence': np.zeros(16_000),
    'click': np.eye(1, 16_000, 8_000)[0],
    'tone': 0.3 * np.sin(2 * np.pi * 440 * TIMES),
    'chirp': 0.9 * np.sin(2 * np.pi * (50 + 3900 * TIMES) * TIMES),
    'faint noise': 1e-4 * np.random.default_rng(0).uniform(-1, 1, 16_000),
    'loud noise': np.random.default_rng(1).uniform(-1, 1, 16_000),
    'half silent': np.where(TIMES < 0.5, np.random.default_rng(2).normal(0, 0.1, 16_000), 0),
}


@pytest.mark.parametrize('sound', SOUNDS)
def test_log_mel_equals_the_whisper_extractor(sound):
    audio = SOUNDS[sound].astype(np.float32)
    extractor = WhisperFeatureExtractor(feature_size=128)

    ours = UnitProcessor().log_mel(audio)

    exact = extractor._np_extract_fbank_features(audio[None], 'cpu')[0]
    np.testing.assert_allclose(ours, exact, atol=1e-5, rtol=0)
    called = extractor(
        audio, sampling_rate=16_000, padding='max_length', max_length=16_000, return_tensors='np'
    )
    # The call goes through torch in float32, which is that far from its own float64 above.
    tolerance = max(1e-5, 1.01 * float(np.abs(exact - called['input_features'][0]).max()))
    np.testing.assert_allclose(ours, called['input_features'][0], atol=tolerance, rtol=0)
    assert ours.shape == (128, 100)
    assert ours.dtype == np.float32


def test_sound_is_prepared_on_one_thread():
    # In a process of its own, to which nobody has said how many threads to take.
    script = """
import time
import numpy as np
from roma_ros.model.processor import UnitProcessor
processor = UnitProcessor()
sound = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
processor.log_mel(sound)
own, whole = time.thread_time(), time.process_time()
for _ in range(200):
    processor.log_mel(sound)
print((time.process_time() - whole) / (time.thread_time() - own))
"""
    limits = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS')
    environment = {name: value for name, value in os.environ.items() if name not in limits}
    result = subprocess.run(
        [sys.executable, '-c', script], env=environment, capture_output=True, text=True, check=True
    )
    # Two BLAS threads, of which the second waits busily, make it 1.4 to 2.
    assert float(result.stdout) < 1.15


def test_loudness_is_relative_to_the_second():
    """Each second is cut eight decades of power below its own maximum."""
    processor = UnitProcessor()
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)

    quiet, loud = processor.log_mel(noise * 0.1), processor.log_mel(noise)

    np.testing.assert_allclose(loud - quiet, 0.5, atol=1e-5)
    assert processor.log_mel(noise).min() >= loud.max() - 2.0


@pytest.mark.parametrize(('mel_length', 'tokens'), [(0, 0), (100, 25), (200, 50)])
def test_audio_token_count(mel_length, tokens):
    assert num_audio_tokens(mel_length) == tokens
