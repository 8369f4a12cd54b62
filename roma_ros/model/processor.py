"""From a unit to the network's features: frames to patches, sound to a log-mel spectrogram."""

from dataclasses import dataclass
import math

import numpy as np
import numpy.typing as npt
import torch

from ..units.unit import MultimodalUnit
from .config import ProcessorConfig

#: Side ratios above this are refused, as Qwen2-VL does.
MAX_ASPECT_RATIO = 200
#: Multiplications of one product up to which OpenBLAS stays on the thread that asks for it.
_OWN_THREADS_FROM = 2**18


@dataclass(frozen=True, eq=False)
class UnitFeatures:
    """
    What the towers read of one unit.

    :param pixel_values: float32 ``[patches, channels * 2 * 14 * 14]``, normalised, patches in
        blocks of 2 x 2 that merge to one token; None without a frame.
    :param grid_thw: patches as (1, height, width); None without a frame.
    :param mel: float32 ``[bands, 100]`` log-mel spectrogram of the second; None without audio.
    """

    pixel_values: npt.NDArray[np.float32] | None
    grid_thw: tuple[int, int, int] | None
    mel: npt.NDArray[np.float32] | None


def num_audio_tokens(mel_length: int) -> int:
    """Return the audio tokens that the audio tower makes of so many mel frames."""
    if not mel_length:
        return 0
    return ((mel_length - 1) // 2 + 1 - 2) // 2 + 1


def num_video_tokens(grid_thw: tuple[int, int, int] | None, *, merge_size: int = 2) -> int:
    """Return the video tokens that the vision tower makes of a grid of patches."""
    return 0 if grid_thw is None else math.prod(grid_thw) // merge_size**2


def num_unit_tokens(features: UnitFeatures, *, merge_size: int = 2) -> int:
    """Return the tokens of a whole unit: special tokens, video and audio."""
    video = num_video_tokens(features.grid_thw, merge_size=merge_size)
    audio = 0 if features.mel is None else num_audio_tokens(features.mel.shape[1])
    return video + audio + 2 * (video > 0) + 2 * (audio > 0)


class UnitProcessor:
    """
    Makes features of units; holds tables, no stream state, and may serve several threads.

    :param config: sizes and limits; that of the checkpoint.
    """

    def __init__(self, config: ProcessorConfig | None = None) -> None:
        self.config = config or ProcessorConfig()
        self._mel_filters = _mel_filters(self.config).astype(np.float32)
        # Periodic Hann window.
        angles = 2 * np.pi * np.arange(self.config.n_fft) / self.config.n_fft
        self._window = 0.5 - 0.5 * np.cos(angles)
        mean = np.array(self.config.image_mean, dtype=np.float32)
        std = np.array(self.config.image_std, dtype=np.float32)
        # (x / 255 - mean) / std of each of the 256 values of a colour channel: ``[3, 256]``.
        levels = np.arange(256, dtype=np.float32) / np.float32(255)
        self._normalised = (levels - mean[:, None]) / std[:, None]

    def __call__(self, unit: MultimodalUnit) -> UnitFeatures:
        """
        Make the features of a unit.

        :param unit: any unit; without a frame the video part is left out.
        :return: the features.
        :raises ValueError: when a frame is empty or more than 200 times as long as wide.
        """
        pixel_values, grid_thw = None, None
        if len(unit.frames):
            pixel_values, grid_thw = self.patches(unit.frames)
        return UnitFeatures(pixel_values, grid_thw, self.log_mel(unit.audio))

    def target_size(self, height: int, width: int) -> tuple[int, int]:
        """
        Return the size in pixels (height, width) that a frame is brought to.

        :raises ValueError: when the frame is empty or its sides differ by more than 200 times.
        """
        return self._round_to_tokens(*self._cap_pixels(height, width))

    def patches(
        self, frames: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], tuple[int, int, int]]:
        """
        Resize the frames and cut them into one temporal grid of normalised patches.

        :param frames: uint8 ``[n, H, W, 3]``, RGB, n = 1 or 2; one frame serves twice.
        :return: float32 ``[patches, 3 * 2 * 14 * 14]`` and the grid (1, height, width).
        """
        config = self.config
        count, height, width = frames.shape[:3]
        capped = self._cap_pixels(height, width)
        rows, columns = self._round_to_tokens(*capped)
        resized = _resize(_resize(frames, *capped), rows, columns)
        repeats = config.temporal_patch_size - count
        if repeats > 0:
            resized = np.concatenate([resized, np.repeat(resized[-1:], repeats, axis=0)])
        patch, merge = config.patch_size, config.merge_size
        grid_rows, grid_columns = rows // patch, columns // patch
        blocks = resized.reshape(
            config.temporal_patch_size,
            grid_rows // merge,
            merge,
            patch,
            grid_columns // merge,
            merge,
            patch,
            3,
        )
        # To: block row, block column, row in block, column in block, channel, time, y, x.
        ordered = blocks.transpose(1, 4, 2, 5, 7, 0, 3, 6)
        flat = np.ascontiguousarray(ordered).reshape(grid_rows * grid_columns, 3, -1)
        values = np.empty(flat.shape, dtype=np.float32)
        for channel in range(3):
            np.take(self._normalised[channel], flat[:, channel], out=values[:, channel])
        return values.reshape(len(values), -1), (1, grid_rows, grid_columns)

    def log_mel(self, audio: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """
        Return the log-mel spectrogram of one second, as Whisper's extractor makes it.

        The spectrogram is cut 8 decades below its own maximum: loudness is relative to the
        second, as in ROMA, which calls the extractor once a second.

        :param audio: float32 ``[samples]``, mono, 16 kHz.
        :return: float32 ``[bands, samples / hop]``.
        """
        n_fft, hop = self.config.n_fft, self.config.hop_length
        half = n_fft // 2
        # Reflected at both ends. NumPy's own `pad` and `sliding_window_view` are so much Python
        # that they take a third of all this once a second.
        padded = np.concatenate(
            [audio[half:0:-1], audio, audio[-2 : -half - 2 : -1]], dtype=np.float64
        )
        # The extractor drops the last of the 101 frames.
        num_frames = (len(padded) - n_fft) // hop
        step = padded.itemsize
        frames = np.ndarray((num_frames, n_fft), padded.dtype, padded, strides=(hop * step, step))
        spectrum = np.fft.rfft(frames * self._window, axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        bands = _product(power.astype(np.float32), self._mel_filters)
        log_spec = np.log10(np.maximum(bands, np.float32(1e-10)))
        log_spec = np.maximum(log_spec, log_spec.max() - 8.0)
        return np.ascontiguousarray(((log_spec + 4.0) / 4.0).T, dtype=np.float32)

    def _cap_pixels(self, height: int, width: int) -> tuple[int, int]:
        """Bring the number of pixels between the video limits, as the release does first."""
        config = self.config
        if min(height, width) < 1 or max(height, width) > MAX_ASPECT_RATIO * min(height, width):
            raise ValueError(
                f'a frame of {width}x{height} pixels cannot be cut into patches: the longer side '
                f'may be at most {MAX_ASPECT_RATIO} times the shorter'
            )
        for limit, exceeded in (
            (config.video_max_pixels, int.__gt__),
            (config.video_min_pixels, int.__lt__),
        ):
            if exceeded(height * width, limit):
                factor = math.sqrt(limit / (width * height))
                height, width = int(height * factor), int(width * factor)
        shortest = config.patch_size * config.merge_size
        return max(height, shortest), max(width, shortest)

    def _round_to_tokens(self, height: int, width: int) -> tuple[int, int]:
        """Round both sides to whole tokens within the pixel limits, as Qwen2-VL does."""
        config = self.config
        side = config.patch_size * config.merge_size
        rows, columns = round(height / side) * side, round(width / side) * side
        if rows * columns > config.max_pixels:
            beta = math.sqrt(height * width / config.max_pixels)
            rows = max(side, math.floor(height / beta / side) * side)
            columns = max(side, math.floor(width / beta / side) * side)
        elif rows * columns < config.min_pixels:
            beta = math.sqrt(config.min_pixels / (height * width))
            rows = math.ceil(height * beta / side) * side
            columns = math.ceil(width * beta / side) * side
        return rows, columns


def _product(
    rows: npt.NDArray[np.float32], table: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """
    Multiply, on this thread alone.

    Above 2^18 multiplications OpenBLAS takes threads of its own, which go on waiting busily for
    milliseconds, on the core where frames are cut meanwhile (its interface/gemm.c).
    """
    result = np.empty((len(rows), table.shape[1]), dtype=np.float32)
    step = max(1, _OWN_THREADS_FROM // table.size)
    for first in range(0, len(rows), step):
        part = slice(first, first + step)
        np.matmul(rows[part], table, out=result[part])
    return result


def _resize(frames: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """
    Resize uint8 ``[n, H, W, 3]``, bicubic and antialiased.

    As Pillow, which the release uses, within a level or two of 255, at a tenth of the time.
    Neither defines which side is resized first, which noise at the ends of the range shows.
    """
    if frames.shape[1:3] == (height, width):
        return frames
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(
        pixels, (height, width), mode='bicubic', antialias=True
    )
    return resized.permute(0, 2, 3, 1).numpy()


def _mel_filters(config: ProcessorConfig) -> npt.NDArray[np.float64]:
    """
    Make the triangular filters of Slaney's auditory toolbox, each of unit area.

    Below 1 kHz the mel scale is linear with 200/3 Hz a mel, above it is logarithmic with
    27 mels to a factor of 6.4.

    :return: float64 ``[n_fft / 2 + 1, bands]``.
    """
    nyquist_hz = config.sampling_rate / 2
    log_step = math.log(6.4) / 27
    top_mel = 15 + math.log(nyquist_hz / 1000) / log_step
    mels = np.linspace(0.0, top_mel, config.feature_size + 2)
    edges_hz = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp(log_step * (mels - 15)))
    bins_hz = np.linspace(0.0, nyquist_hz, config.n_fft // 2 + 1)
    slopes = edges_hz - bins_hz[:, None]
    widths = np.diff(edges_hz)
    rising = -slopes[:, :-2] / widths[:-1]
    falling = slopes[:, 2:] / widths[1:]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return triangles * (2.0 / (edges_hz[2:] - edges_hz[:-2]))
