"""The unit: one second of the stream, complete in itself."""

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
import numpy.typing as npt

#: Length of a unit [ns] (paper §3.1: "all signals within each one-second interval").
UNIT_NS = 1_000_000_000
#: Sample rate of a unit's audio [Hz] (paper §3.2.3).
SAMPLE_RATE_HZ = 16_000
#: Frames on the 2 fps grid of a unit (paper §3.2.3).
FRAMES_PER_UNIT = 2


class UnitFlag(IntFlag):
    """What was missing or unusual in a unit; values are those of ``SpeakScore.msg``."""

    NONE = 0
    NO_VIDEO = 1  #: no usable frame in this second
    NO_AUDIO = 2  #: no sample in this second; the audio is silence
    LATE = 4  #: closed by patience before every input had passed its end
    REPEATED_FRAME = 8  #: one frame serves two grid times
    CLOCK_JUMP = 16  #: the first unit after a jump of the capture clock


@dataclass(frozen=True, eq=False)
class MultimodalUnit:
    """
    One second of synchronized audio and video.

    :param index: running number of the unit in its stream, from 0.
    :param start_ns: capture time of the unit's begin [ns].
    :param end_ns: ``start_ns`` + 1 s [ns].
    :param frames: uint8 ``[n, H, W, 3]``, RGB, n = 0..2, in time order.
    :param frame_stamps_ns: capture time of each frame [ns], equal to the source message's stamp.
    :param audio: float32 ``[16000]``, mono, -1..1; sample i is at ``start_ns + i / 16 kHz``.
    :param audio_gaps_ns: spans [ns] within the unit that no sample covers and that are silence.
    :param flags: what was missing or unusual.
    :raises ValueError: when a shape, dtype or span is not as above.
    """

    index: int
    start_ns: int
    end_ns: int
    frames: npt.NDArray[np.uint8]
    frame_stamps_ns: tuple[int, ...]
    audio: npt.NDArray[np.float32]
    audio_gaps_ns: tuple[tuple[int, int], ...] = ()
    flags: UnitFlag = UnitFlag.NONE

    def __post_init__(self) -> None:
        if self.end_ns - self.start_ns != UNIT_NS:
            raise ValueError(
                f'unit {self.index} spans {self.end_ns - self.start_ns} ns, expected {UNIT_NS} ns'
            )
        if self.audio.shape != (SAMPLE_RATE_HZ,) or self.audio.dtype != np.float32:
            raise ValueError(
                f'unit {self.index} has audio {self.audio.dtype} {list(self.audio.shape)}, '
                f'expected float32 [{SAMPLE_RATE_HZ}]; resample to {SAMPLE_RATE_HZ} Hz mono first'
            )
        if (
            self.frames.dtype != np.uint8
            or self.frames.ndim != 4
            or self.frames.shape[0] > FRAMES_PER_UNIT
            or self.frames.shape[3] != 3
        ):
            raise ValueError(
                f'unit {self.index} has frames {self.frames.dtype} {list(self.frames.shape)}, '
                f'expected uint8 [0..{FRAMES_PER_UNIT}, H, W, 3]'
            )
        if len(self.frame_stamps_ns) != self.frames.shape[0]:
            raise ValueError(
                f'unit {self.index} has {self.frames.shape[0]} frames '
                f'but {len(self.frame_stamps_ns)} frame stamps'
            )
