"""What an engine of separate graphs needs around its towers."""

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from ..model.config import TokenIds
from ..model.processor import num_audio_tokens, num_video_tokens, UnitFeatures

#: Takes a graph's name, its inputs, the name of its output and how many tokens that has.
RunGraph = Callable[[str, Mapping[str, torch.Tensor], str, int], torch.Tensor]


def wrapper_ids(ids: TokenIds) -> list[int]:
    """Return the special tokens around a unit that :func:`wrap_unit` wants embedded."""
    return [ids.vision_bos, ids.audio_bos, ids.audio_eos, ids.vision_eos]


def wrap_unit(
    wrappers: torch.Tensor, video: torch.Tensor | None, audio: torch.Tensor | None
) -> torch.Tensor:
    """
    Put a unit together: begin tokens, video, audio, end tokens.

    :param wrappers: ``[4, C]``, of :func:`wrapper_ids`.
    :param video: ``[V, C]``, or None.
    :param audio: ``[A, C]``, or None.
    :return: ``[n, C]``.
    :raises ValueError: when there is neither.
    """
    if video is None and audio is None:
        raise ValueError('a unit needs video or audio, and this one has neither')
    present = [value for value in (video, audio) if value is not None]
    # Vision's wrappers are the outer ones.
    begin = 0 if video is not None else 1
    end = 2 if audio is not None else 1
    return torch.cat([wrappers[begin:end], *present, wrappers[4 - end : 4 - begin]])


@lru_cache(maxsize=8)
def patch_geometry(
    grid_thw: tuple[int, int, int], *, merge_size: int, window_patches: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """
    Tell where the patches of a unit are, in the order in which the processor cuts them.

    :param grid_thw: patches as (1, height, width).
    :param merge_size: patches along one side that merge to one token.
    :param window_patches: patches along one side of an attention window.
    :return: int64 ``[2, P]``, row and column of each patch; int64 ``[P]``, its window.
    """
    _, height, width = grid_thw
    grid = np.indices((height, width)).reshape(
        2, height // merge_size, merge_size, width // merge_size, merge_size
    )
    coordinates = np.ascontiguousarray(grid.transpose(0, 1, 3, 2, 4)).reshape(2, -1)
    rows, columns = coordinates // window_patches
    return coordinates, rows * (columns.max() + 1) + columns


def encode_unit(
    run: RunGraph,
    wrappers: torch.Tensor,
    features: UnitFeatures,
    *,
    merge_size: int,
    window_patches: int,
    video: torch.Tensor | None = None,
) -> torch.Tensor:
    """
    Encode a unit by the graphs of the towers; see :meth:`Engine.encode`.

    :param run: runs one graph.
    :param wrappers: ``[4, C]``, of :func:`wrapper_ids`.
    :param features: of the unit.
    :param merge_size: patches along one side that merge to one token.
    :param window_patches: patches along one side of an attention window.
    :param video: ``[V, C]``, where it is known already.
    :return: ``[n, C]``.
    :raises ValueError: when the unit has neither video nor audio.
    """
    audio = None
    if features.pixel_values is not None and video is None:
        assert features.grid_thw is not None
        coordinates, windows = patch_geometry(
            features.grid_thw, merge_size=merge_size, window_patches=window_patches
        )
        inputs = {
            'patches': torch.from_numpy(features.pixel_values),
            'coordinates': torch.from_numpy(coordinates),
            'windows': torch.from_numpy(windows),
        }
        num_tokens = num_video_tokens(features.grid_thw, merge_size=merge_size)
        video = run('vision', inputs, 'video', num_tokens)
    if features.mel is not None:
        num_tokens = num_audio_tokens(features.mel.shape[1])
        audio = run('audio', {'mel': torch.from_numpy(features.mel)}, 'audio', num_tokens)
    return wrap_unit(wrappers, video, audio)
