"""The frames of the stream on the 2 fps grid."""

from bisect import insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .unit import FRAMES_PER_UNIT, UNIT_NS

Image = npt.NDArray[np.uint8]
#: A frame, uint8 [H, W, 3] RGB, or what decodes it once it is chosen (ValueError = unusable).
FrameSource = Image | Callable[[], Image]

#: Distance of the grid's times [ns]: 0.0 s and 0.5 s of each unit.
GRID_NS = UNIT_NS // FRAMES_PER_UNIT
#: Frames kept for each grid time, the nearest; more than one, as some may turn out corrupt.
_KEPT_FRAMES = 4


@dataclass(eq=False, slots=True)
class _Frame:
    stamp_ns: int
    source_stamp_ns: int
    source: FrameSource | None  # None once it was decoded
    image: Image | None = None


@dataclass(frozen=True, eq=False)
class FrameChoice:
    """
    The frames of one unit.

    :param frames: uint8 ``[n, H, W, 3]``, n = 0 or 2.
    :param stamps_ns: stamp of each as its source gave it [ns].
    :param is_repeated: one frame serves two grid times, or served in the unit before.
    """

    frames: Image
    stamps_ns: tuple[int, ...]
    is_repeated: bool


class FrameGrid:
    """
    Choose the two frames of each unit: those nearest to 0.0 s and 0.5 s among its own.

    A frame belongs to the unit that its stamp lies in, so nobody sees the future of the sound.
    A unit without a frame of its own (a camera of one frame a second, with jitter) repeats the
    newest one before it, if that is within one grid step of the unit's begin. At any frame rate
    only the few frames next to the grid are kept, and only chosen ones are decoded.

    :param origin_ns: begin of any unit [ns].
    :param on_corrupt: called with the reason when a chosen frame cannot be decoded.
    """

    def __init__(self, origin_ns: int, *, on_corrupt: Callable[[str], None]) -> None:
        self._origin_ns = origin_ns
        self._on_corrupt = on_corrupt
        # Unit number to the nearest frames for each grid time, and for the unit's end.
        self._nearest: dict[int, list[list[tuple[int, int, int, _Frame]]]] = {}
        self._before: list[_Frame] = []  # the newest frames of the unit before
        self._num_frames = 0
        #: Stamp of the newest frame [ns].
        self.newest_ns: int | None = None

    def add(self, stamp_ns: int, frame: FrameSource, *, source_stamp_ns: int) -> None:
        """
        Take a frame.

        :param stamp_ns: capture time [ns].
        :param frame: uint8 ``[H, W, 3]`` RGB, or a function that returns it, or raises
            ValueError if the frame is unusable.
        :param source_stamp_ns: the stamp to report for it [ns].
        """
        self.newest_ns = stamp_ns if self.newest_ns is None else max(self.newest_ns, stamp_ns)
        number, phase_ns = divmod(stamp_ns - self._origin_ns, UNIT_NS)
        entry = _Frame(stamp_ns, source_stamp_ns, frame)
        self._num_frames += 1  # settles the order of frames with equal stamps
        kept = self._nearest.setdefault(number, [[] for _ in range(FRAMES_PER_UNIT + 1)])
        for step, nearest in enumerate(kept):
            distance_ns = abs(phase_ns - step * GRID_NS)
            insort(nearest, (distance_ns, stamp_ns, self._num_frames, entry))
            del nearest[_KEPT_FRAMES:]

    def has_passed(self, end_ns: int) -> bool:
        """Say whether no later frame can be nearer to the grid of the unit up to ``end_ns``."""
        return self.newest_ns is not None and self.newest_ns >= end_ns - GRID_NS

    def choose(self, start_ns: int) -> FrameChoice:
        """Return the frames of the unit at ``start_ns``, and forget those of older units."""
        number = (start_ns - self._origin_ns) // UNIT_NS
        kept = self._nearest.get(number, [[]])
        own = {order: frame for nearest in kept for _, _, order, frame in nearest}
        chosen = [
            self._nearest_sound(own.values(), start_ns + step * GRID_NS)
            for step in range(FRAMES_PER_UNIT)
        ]
        if chosen[0] is None:
            recent = [f for f in self._before if f.stamp_ns >= start_ns - GRID_NS]
            chosen = [self._nearest_sound(recent, start_ns)] * FRAMES_PER_UNIT
        self._before = [frame for *_, frame in kept[-1]]
        self._nearest = {n: kept for n, kept in self._nearest.items() if n > number}
        return _stack([frame for frame in chosen if frame is not None])

    def _nearest_sound(self, frames: Iterable[_Frame], time_ns: int) -> _Frame | None:
        """Return the nearest frame that can be decoded."""
        for frame in sorted(frames, key=lambda f: (abs(f.stamp_ns - time_ns), f.stamp_ns)):
            if frame.source is not None:
                try:
                    frame.image = _decode(frame.source)
                except ValueError as error:
                    self._on_corrupt(str(error))
                frame.source = None
            if frame.image is not None:
                return frame
        return None


def _decode(source: FrameSource) -> Image:
    image = source() if callable(source) else source
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f'frame is {image.dtype} {list(image.shape)}, expected uint8 [H, W, 3]')
    return image


def _stack(chosen: list[_Frame]) -> FrameChoice:
    if not chosen:
        return FrameChoice(np.zeros((0, 0, 0, 3), np.uint8), (), False)
    images = [frame.image for frame in chosen if frame.image is not None]
    if images[0].shape != images[-1].shape:  # the camera changed its resolution in between
        chosen, images = [chosen[-1]] * len(chosen), [images[-1]] * len(chosen)
    return FrameChoice(
        np.stack(images),
        tuple(frame.source_stamp_ns for frame in chosen),
        chosen[0] is chosen[-1],
    )
