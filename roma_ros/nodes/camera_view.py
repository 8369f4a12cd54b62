"""What the network is shown of the cameras: upright, and several in one picture."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..units.pixels import Image
from .conversions import read_image


class CameraView:
    """
    Makes pictures of the main camera's messages and the newest ones of the other cameras.

    :param rotation_deg: by how much all are turned clockwise: 0, 90, 180 or 270.
    :param num_others: how many other cameras there are.
    """

    def __init__(self, *, rotation_deg: int = 0, num_others: int = 0) -> None:
        self._turns = -rotation_deg // 90  # numpy turns the other way round
        self._others: list[Any] = [None] * num_others

    def note_other(self, index: int, message: Any) -> None:
        """Keep the newest message of another camera."""
        self._others[index] = message

    def frame(self, message: Any) -> Callable[[], Image]:
        """
        Return what makes the picture of a message of the main camera, when it is wanted.

        The other cameras are shown as they are now. The function raises ValueError where the main
        image cannot be decoded; another camera that sends none, or a corrupt one, stays black.
        """
        others = tuple(self._others)
        return lambda: self._make(message, others)

    def _make(self, message: Any, others: Sequence[Any]) -> Image:
        main = self._read(message)
        if not others:
            return main
        return place_beside(main, [self._read_or_none(other) for other in others])

    def _read(self, message: Any) -> Image:
        try:
            return np.rot90(read_image(message), self._turns)
        except MemoryError as error:
            raise ValueError(f'no memory for an image of this size: {error}') from error

    def _read_or_none(self, message: Any) -> Image | None:
        try:
            return None if message is None else self._read(message)
        except ValueError:
            return None


def place_beside(main: Image, others: Sequence[Image | None]) -> Image:
    """
    Place pictures in a column of half the width beside the main one.

    :param main: uint8 ``[H, W, 3]``.
    :param others: of any size; each gets an equal part of the height and keeps its shape, with
        black around it. None is black.
    :return: uint8 ``[H, W + W // 2, 3]``.
    """
    height, width = main.shape[:2]
    column_width = max(1, width // 2)
    picture = np.zeros((height, width + column_width, 3), dtype=np.uint8)
    picture[:, :width] = main
    edges = np.linspace(0, height, len(others) + 1).round().astype(int)
    for other, top, bottom in zip(others, edges[:-1], edges[1:], strict=True):
        if other is None or bottom == top:
            continue
        scale = min((bottom - top) / other.shape[0], column_width / other.shape[1])
        rows, columns = (max(1, int(side * scale)) for side in other.shape[:2])
        ys = np.arange(rows) * other.shape[0] // rows
        xs = np.arange(columns) * other.shape[1] // columns
        picture[top : top + rows, width : width + columns] = other[ys[:, None], xs]
    return picture
