"""Frames on the grid."""

import numpy as np
import pytest

from roma_ros.units.video import FrameGrid

MS = 1_000_000


@pytest.fixture
def reasons() -> list[str]:
    return []


@pytest.fixture
def grid(reasons: list[str]) -> FrameGrid:
    return FrameGrid(0, on_corrupt=reasons.append)


def picture(number: int) -> np.ndarray:
    return np.full((2, 3, 3), number, np.uint8)


def add(grid: FrameGrid, *times_ms: int) -> None:
    for time_ms in times_ms:
        grid.add(time_ms * MS, picture(time_ms % 250), source_stamp_ns=time_ms * MS + 5)


def test_the_nearest_to_both_grid_times(grid: FrameGrid) -> None:
    add(grid, 30, 10, 470, 520, 990, 1005)
    choice = grid.choose(0)

    assert choice.stamps_ns == (10 * MS + 5, 520 * MS + 5)
    assert choice.frames[:, 0, 0, 0].tolist() == [10, 20]
    assert not choice.is_repeated
    assert grid.choose(1000 * MS).stamps_ns == (1005 * MS + 5,) * 2


def test_a_tie_goes_to_the_earlier_frame(grid: FrameGrid) -> None:
    add(grid, 510, 490)
    assert grid.choose(0).stamps_ns[1] == 490 * MS + 5


def test_a_frame_stands_in_for_half_a_second(grid: FrameGrid) -> None:
    add(grid, 100, 500, 2100, 2499)
    assert grid.choose(0).stamps_ns == (100 * MS + 5, 500 * MS + 5)
    repeated = grid.choose(1000 * MS)  # 500 ms old at its begin
    assert repeated.stamps_ns == (500 * MS + 5,) * 2
    assert repeated.is_repeated
    grid.choose(2000 * MS)
    assert grid.choose(3000 * MS).stamps_ns == ()  # 501 ms old


def test_no_later_frame_can_change_what_is_passed(grid: FrameGrid) -> None:
    assert not grid.has_passed(1000 * MS)
    add(grid, 499)
    assert not grid.has_passed(1000 * MS)
    add(grid, 500, 20)
    assert grid.has_passed(1000 * MS)
    assert not grid.has_passed(2000 * MS)


def test_corrupt_frames_are_told_once(grid: FrameGrid, reasons: list[str]) -> None:
    def corrupt() -> np.ndarray:
        raise ValueError('no picture')

    grid.add(900 * MS, corrupt, source_stamp_ns=0)
    assert grid.choose(0).stamps_ns == ()
    assert grid.choose(1000 * MS).stamps_ns == ()  # where it would stand in
    assert reasons == ['no picture']


@pytest.mark.parametrize(
    'image',
    [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2, 3), np.uint16)],
)
def test_what_is_no_rgb_image_is_corrupt(
    grid: FrameGrid, reasons: list[str], image: np.ndarray
) -> None:
    grid.add(0, image, source_stamp_ns=0)
    assert len(grid.choose(0).frames) == 0
    assert f'frame is {image.dtype}' in reasons[0]
