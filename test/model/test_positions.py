from collections.abc import Callable

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest
import torch
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import (
    Qwen2_5OmniThinkerForConditionalGeneration,
)

from roma_ros.model.config import make_thinker_config, TokenIds
from roma_ros.model.positions import text_positions, unit_positions

IDS = TokenIds(*range(100, 110))
TEXT = 7

grids = st.builds(
    lambda rows, columns: (1, 2 * rows, 2 * columns), st.integers(1, 30), st.integers(1, 60)
)


@pytest.fixture(scope='module')
def stock() -> Callable[..., np.ndarray]:
    """Transformers' own ids of a whole sequence; its function reads no weight."""
    config = make_thinker_config(
        IDS,
        text_config={'num_hidden_layers': 1},
        vision_config={'depth': 1},
        audio_config={'encoder_layers': 1},
    )
    with torch.device('meta'):
        thinker = Qwen2_5OmniThinkerForConditionalGeneration(config)

    def positions(ids: list[int], grids: list, *, num_audio: int) -> np.ndarray:
        position_ids, _ = thinker.get_rope_index(
            torch.tensor([ids]),
            video_grid_thw=torch.tensor(grids) if grids else None,
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            use_audio_in_video=num_audio > 0,
            audio_seqlens=torch.full((num_audio,), 100),
            second_per_grids=torch.ones(len(grids)),
        )
        return position_ids[:, 0].numpy()

    return positions


def unit_ids(grid: tuple[int, int, int] | None, num_audio_tokens: int) -> list[int]:
    ids = []
    if grid is not None:
        ids += [IDS.video] * (grid[1] * grid[2] // 4)
    if num_audio_tokens:
        ids = [IDS.audio_bos, *ids, *[IDS.audio] * num_audio_tokens, IDS.audio_eos]
    return [IDS.vision_bos, *ids, IDS.vision_eos] if grid is not None else ids


def test_equals_the_published_figure():
    first, start = unit_positions((1, 4, 6), 25, 0)
    second, end = unit_positions((1, 4, 6), 25, start)

    for ids, s in ((first, 0), (second, 27)):
        assert ids[:, :2].tolist() == [[s, s]] * 3
        video = [[s + 1, s + 1 + r, s + 1 + c] for r in range(2) for c in range(3)]
        assert ids[:, 2:8].T.tolist() == video
        assert ids[:, 8:33].tolist() == [list(range(s + 1, s + 26))] * 3
        assert ids[:, 33:].tolist() == [[s + 26, s + 26]] * 3
        assert ids.dtype == np.int64
    assert (start, end) == (27, 54)


@settings(deadline=None, max_examples=60)
@given(
    prefix=st.integers(0, 20),
    units=st.lists(st.one_of(st.none(), grids), min_size=1, max_size=6),
    between=st.integers(0, 4),
    suffix=st.integers(0, 5),
)
def test_equals_get_rope_index_over_whole_streams(stock, prefix, units, between, suffix):
    """Audio-only units, panoramas and text between units included."""
    ids = [TEXT] * prefix
    ours, start = text_positions(prefix, 0)
    parts = [ours]
    for grid in units:
        ids += [*unit_ids(grid, 25), *[TEXT] * between]
        unit, start = unit_positions(grid, 25, start)
        text, start = text_positions(between, start)
        parts += [unit, text]
    ids += [TEXT] * suffix
    parts.append(text_positions(suffix, start)[0])

    expected = stock(ids, [g for g in units if g is not None], num_audio=len(units))

    np.testing.assert_array_equal(np.concatenate(parts, axis=1), expected)


@given(prefix=st.integers(0, 9), units=st.lists(grids, min_size=1, max_size=4))
@settings(deadline=None, max_examples=25)
def test_equals_get_rope_index_without_audio(stock, prefix, units):
    ids = [TEXT] * prefix
    ours, start = text_positions(prefix, 0)
    parts = [ours]
    for grid in units:
        ids += unit_ids(grid, 0)
        unit, start = unit_positions(grid, 0, start)
        parts.append(unit)

    np.testing.assert_array_equal(np.concatenate(parts, axis=1), stock(ids, units, num_audio=0))


def test_a_unit_without_video_takes_as_many_positions():
    ids, end = unit_positions(None, 25, 10)

    assert ids.tolist() == [list(range(10, 37))] * 3
    assert end == 37


def test_rejects_an_empty_unit():
    with pytest.raises(ValueError, match='needs video or audio'):
        unit_positions(None, 0, 0)


@pytest.mark.parametrize('grid', [(2, 4, 4), (1, 3, 4), (1, 4, 5)])
def test_rejects_grids_that_are_no_unit(grid):
    with pytest.raises(ValueError, match='one temporal step and sides that are multiples of 2'):
        unit_positions(grid, 25, 0)
