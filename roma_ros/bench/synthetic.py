"""A stream that costs nothing to make and never repeats a unit."""

import numpy as np
import numpy.typing as npt

from ..units.unit import FRAMES_PER_UNIT, MultimodalUnit, SAMPLE_RATE_HZ, UNIT_NS, UnitFlag

_HEIGHT, _WIDTH = 480, 640
#: One unit of each so many has no frame, one frame, or no sound, as on a robot.
_NO_VIDEO_EVERY, _ONE_FRAME_EVERY, _NO_AUDIO_EVERY = 53, 37, 29


class SyntheticStream:
    """
    Makes unit after unit from a small stock of pictures and sounds, each time put together anew.

    :param seed: another seed, another stream.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        rng = np.random.default_rng(seed)
        # Blocks of colour: edges at several scales, and cheap to make.
        self._pictures = [
            np.kron(
                rng.integers(0, 256, (_HEIGHT // block, _WIDTH // block, 3), dtype=np.uint8),
                np.ones((block, block, 1), np.uint8),
            )
            for block in (10, 20, 40, 80)
        ]
        time_s = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
        tones = [np.sin(2 * np.pi * f * time_s) for f in rng.uniform(80, 6000, 4)]
        noises = list(rng.standard_normal((4, SAMPLE_RATE_HZ)))
        self._sounds = np.array([*tones, *noises], np.float32)

    def unit(self, index: int) -> MultimodalUnit:
        """Return the unit of that number; the same at every call."""
        rng = np.random.default_rng((self._seed, index))
        num_frames = FRAMES_PER_UNIT
        flags = UnitFlag.NONE
        if index % _NO_VIDEO_EVERY == _NO_VIDEO_EVERY - 1:
            num_frames, flags = 0, flags | UnitFlag.NO_VIDEO
        elif index % _ONE_FRAME_EVERY == _ONE_FRAME_EVERY - 1:
            num_frames, flags = 1, flags | UnitFlag.REPEATED_FRAME
        audio = np.zeros(SAMPLE_RATE_HZ, np.float32)
        start_ns = index * UNIT_NS
        gaps: tuple[tuple[int, int], ...] = ()
        if index % _NO_AUDIO_EVERY == _NO_AUDIO_EVERY - 1:
            flags, gaps = flags | UnitFlag.NO_AUDIO, ((start_ns, start_ns + UNIT_NS),)
        else:
            audio = rng.uniform(0, 0.1, len(self._sounds)).astype(np.float32) @ self._sounds
        return MultimodalUnit(
            index=index,
            start_ns=start_ns,
            end_ns=start_ns + UNIT_NS,
            frames=self._frames(rng, num_frames),
            frame_stamps_ns=tuple(
                start_ns + i * UNIT_NS // FRAMES_PER_UNIT for i in range(num_frames)
            ),
            audio=audio,
            audio_gaps_ns=gaps,
            flags=flags,
        )

    def _frames(self, rng: np.random.Generator, count: int) -> npt.NDArray[np.uint8]:
        frames = np.empty((count, _HEIGHT, _WIDTH, 3), np.uint8)
        picture = self._pictures[rng.integers(len(self._pictures))]
        shift, drift = rng.integers(0, _WIDTH, 2)
        brightness = np.uint8(rng.integers(256))
        for i, frame in enumerate(frames):
            np.add(np.roll(picture, shift + i * drift % 8, axis=1), brightness, out=frame)
        return frames
