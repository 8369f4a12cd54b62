"""What a real camera adds: shake, drift of exposure and colour, blur and noise."""

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

_NUM_WAVES = 3
_NOISE_SPARE = 61  # rows and columns by which the noise is shifted


class Camera:
    """
    The faults of one stream's camera, as functions of time.

    :param rng: all of its chance.
    :param height_px: of the frames.
    """

    def __init__(self, rng: np.random.Generator, *, height_px: int) -> None:
        self._shake = float(rng.choice([0.0, 0.004, 0.012])) * rng.uniform(0.5, 1.0)
        self._rates_hz = rng.uniform(0.15, 1.5, (2, _NUM_WAVES))
        self._phases = rng.uniform(0, 2 * np.pi, (2, _NUM_WAVES))
        self._gain = float(rng.uniform(0.82, 1.12))
        self._gain_swing = float(rng.uniform(0.0, 0.1))
        self._gain_rate_hz = float(rng.uniform(0.03, 0.3))
        self._tint = rng.uniform(0.95, 1.05, 3)
        self._offset = float(rng.uniform(-8, 12))
        self._blur_px = float(rng.choice([0.0, 0.0, 0.5, 0.8])) * height_px / 120
        level = float(rng.choice([1.5, 4.0, 8.0])) * float(rng.uniform(0.6, 1.0))
        self._noise_seed = int(rng.integers(2**31))
        shape = (_NOISE_SPARE + height_px, _NOISE_SPARE + height_px * 4 // 3, 3)
        noise = rng.standard_normal(shape, np.float32) * np.float32(level)
        self._noise = np.clip(np.rint(noise), -40, 40).astype(np.int16)

    def offset(self, time_s: float) -> tuple[float, float]:
        """Return how far the picture is shifted, right and down [heights]."""
        waves = np.sin(2 * np.pi * self._rates_hz * time_s + self._phases).mean(axis=1)
        return self._shake * float(waves[0]), self._shake * float(waves[1])

    def take(self, image: Image, time_s: float) -> Image:
        """
        Return the picture as the camera gives it.

        :param image: uint8 ``[H, W, 3]``, RGB.
        :param time_s: when.
        """
        if self._blur_px > 0.3:
            image = cv2.GaussianBlur(image, (0, 0), self._blur_px)
        swing = self._gain_swing * np.sin(2 * np.pi * self._gain_rate_hz * time_s)
        ramp = np.arange(256)[:, None] * ((self._gain + swing) * self._tint) + self._offset
        table = np.clip(np.rint(ramp), 0, 255).astype(np.uint8)
        image = cv2.LUT(image, table[:, None, :])
        height, width = image.shape[:2]
        # One field of noise, shifted for each frame: new noise would cost more than drawing.
        moment = self._noise_seed + round(time_s * 1000)
        row, column = moment * 7919 % _NOISE_SPARE, moment * 104729 % _NOISE_SPARE
        height, width = image.shape[:2]
        noise = self._noise[row : row + height, column : column + width]
        return cv2.add(image, noise, dtype=cv2.CV_8U)
