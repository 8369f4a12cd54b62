"""Runs two engines on the same input and tells how far apart they are."""

import numpy as np
import torch

from ..model.config import RomaConfig
from ..model.positions import text_positions, unit_positions
from ..model.processor import num_audio_tokens, UnitFeatures
from .engine import Engine

_MEL_FRAMES = 100
_CAPACITY = 256


def compare_engines(
    engine: Engine, reference: Engine, config: RomaConfig
) -> tuple[dict[str, float], dict[str, float]]:
    """
    Compare every output of two engines over random input: a prompt, two units, a watch, a word.

    :param engine: to be judged.
    :param reference: of the same weights.
    :param config: of the model.
    :return: the largest absolute difference of each kind of output, by its name, and the largest
        absolute value of the reference.
    """
    outputs, expected = _outputs(engine, config), _outputs(reference, config)
    differences = {
        name: max(
            float((value - other).abs().max())
            for value, other in zip(values, expected[name], strict=True)
        )
        for name, values in outputs.items()
    }
    largest = {
        name: max(float(value.abs().max()) for value in values)
        for name, values in expected.items()
    }
    return differences, largest


def _outputs(engine: Engine, config: RomaConfig) -> dict[str, list[torch.Tensor]]:
    rng = np.random.default_rng(0)
    outputs: dict[str, list[torch.Tensor]] = {
        name: [] for name in ('units', 'embeddings', 'speak_logits', 'lm_logits', 'keys', 'values')
    }
    cache = engine.new_cache(_CAPACITY)

    def step(embeddings: torch.Tensor, positions: np.ndarray, **options: object) -> None:
        output = engine.step(embeddings, positions, cache, **options)  # type: ignore[arg-type]
        outputs['speak_logits'].append(output.speak_logits)
        outputs['lm_logits'].append(output.lm_logits)

    prompt = engine.embed(rng.integers(0, engine.vocab_size, 20).tolist())
    outputs['embeddings'].append(prompt)
    positions, start = text_positions(len(prompt), 0)
    step(prompt, positions)
    audio_tokens = num_audio_tokens(_MEL_FRAMES)
    # Grids of more than one attention window, whose last windows are not full.
    for grid in ((1, 10, 12), (1, 4, 18)):
        features = _random_features(rng, config, grid)
        unit = engine.encode(features)
        outputs['units'].append(unit)
        positions, start = unit_positions(grid, audio_tokens, start)
        # One more anchor, which sees neither the unit's own nor some of what was before.
        num_new = len(unit) + 1
        mask = torch.ones(num_new, cache.length + num_new, dtype=torch.bool)
        mask = mask.tril(cache.length)
        mask[-1, 5:15] = False
        mask[-1, -2] = False
        step(
            torch.cat([unit, unit[-1:]]),
            np.concatenate([positions, positions[:, -1:]], axis=1),
            mask=mask.to(engine.device),
            num_anchors=2,
        )
    positions, _ = text_positions(1, start)
    step(engine.embed([1]), positions)
    outputs['keys'].append(cache.key[:, :, : cache.length])
    outputs['values'].append(cache.value[:, :, : cache.length])
    return {name: [v.float().cpu() for v in values] for name, values in outputs.items()}


def _random_features(
    rng: np.random.Generator, config: RomaConfig, grid: tuple[int, int, int]
) -> UnitFeatures:
    processor = config.processor
    patch_values = 3 * processor.temporal_patch_size * processor.patch_size**2
    return UnitFeatures(
        rng.standard_normal((grid[1] * grid[2], patch_values), dtype=np.float32),
        grid,
        rng.standard_normal((processor.feature_size, _MEL_FRAMES), dtype=np.float32),
    )
