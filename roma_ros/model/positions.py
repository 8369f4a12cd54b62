"""
Chunked TMRoPE: the three position ids (time, height, width) of every token of the stream.

A unit at position s has its two begin tokens at s, its content from s + 1, and its two end tokens
one after its last audio token; the next token follows one after those. With 25 audio tokens a
second that makes 27 positions a unit. Transformers' own ``get_rope_index`` gives the same ids for
a whole stream; here they are made unit by unit, because the session, not the model, holds them.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt


def unit_positions(
    grid_thw: tuple[int, int, int] | None,
    num_audio_tokens: int,
    start: int,
    *,
    merge_size: int = 2,
) -> tuple[npt.NDArray[np.int64], int]:
    """
    Position ids of one unit, special tokens included.

    :param grid_thw: patches of the unit's one temporal grid as (1, height, width), or None
        without video.
    :param num_audio_tokens: audio tokens, 0 without audio.
    :param start: first free position, one more than the last one used.
    :param merge_size: patches along one side that merge to one token.
    :return: int64 ``[3, T]`` in the order time, height, width, and the next free position.
    :raises ValueError: when the unit is empty, the grid has more than one temporal step, or its
        sides are not multiples of the merge size.
    """
    offsets, length = _unit_offsets(grid_thw, num_audio_tokens, merge_size)
    return offsets + start, start + length


@lru_cache(maxsize=8)
def _unit_offsets(
    grid_thw: tuple[int, int, int] | None, num_audio_tokens: int, merge_size: int
) -> tuple[npt.NDArray[np.int64], int]:
    """Return position ids of a unit that begins at 0, and the next free one."""
    if grid_thw is None and not num_audio_tokens:
        raise ValueError('a unit needs video or audio, and this one has neither')
    num_wrappers = (grid_thw is not None) + (num_audio_tokens > 0)
    parts = [np.zeros((3, num_wrappers), dtype=np.int64)]
    end = 1
    if grid_thw is not None:
        steps, patch_rows, patch_columns = grid_thw
        if steps != 1 or patch_rows % merge_size or patch_columns % merge_size:
            raise ValueError(
                f'grid {tuple(grid_thw)} must have one temporal step and sides that are '
                f'multiples of {merge_size}'
            )
        rows, columns = patch_rows // merge_size, patch_columns // merge_size
        offsets = np.indices((1, rows, columns)).reshape(3, -1)
        parts.append(1 + offsets)
        end = 1 + max(rows, columns)
    if num_audio_tokens:
        parts.append(1 + np.tile(np.arange(num_audio_tokens), (3, 1)))
        # The end tokens follow the sound even where a panorama is wider than 25 tokens: so does
        # get_rope_index, which takes the maximum of its last piece.
        end = 1 + num_audio_tokens
    parts.append(np.full((3, num_wrappers), end))
    return np.concatenate(parts, axis=1).astype(np.int64), end + 1


def text_positions(num_tokens: int, start: int) -> tuple[npt.NDArray[np.int64], int]:
    """
    Position ids of text: one step a token, equal in all three dimensions.

    :param num_tokens: how many tokens, 0 or more.
    :param start: first free position.
    :return: int64 ``[3, num_tokens]`` and the next free position.
    """
    ids = np.tile(np.arange(start, start + num_tokens, dtype=np.int64), (3, 1))
    return ids, start + num_tokens
