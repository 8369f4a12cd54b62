"""From a unit to embeddings: the part of a step that needs nothing of the stream."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
import os
import time

import numpy as np
import numpy.typing as npt
import torch

from ..model.processor import num_video_tokens, UnitFeatures, UnitProcessor
from ..units.unit import MultimodalUnit
from .engine import Engine


@dataclass(frozen=True, eq=False)
class EncodedUnit:
    """
    One unit as the language model reads it.

    :param embeddings: ``[n, C]``, begin and end tokens included.
    :param process_ms: frames to patches and audio to log-mel [ms].
    :param encode_ms: the towers [ms]; where sound is made ready beside the frames, the time that
        it takes longer than they do is counted here.
    """

    unit: MultimodalUnit
    features: UnitFeatures
    embeddings: torch.Tensor
    process_ms: float
    encode_ms: float


class UnitEncoder:
    """
    Encodes units, each by itself, so that the next may be encoded while the last is being read.

    Frames equal to those of the unit before, as of a camera that stands still, are neither cut
    nor encoded again: their embeddings are the same to the bit. Where a CPU has a second core for
    it, sound is encoded beside the frames. One thread at a time.

    :param engine: runs the towers.
    :param processor: units to features.
    :param side_by_side: whether sound is encoded on a thread of its own; None: on a CPU, where
        this process may use more than one core.
    """

    def __init__(
        self, engine: Engine, processor: UnitProcessor, *, side_by_side: bool | None = None
    ) -> None:
        if side_by_side is None:
            side_by_side = engine.device.type == 'cpu' and len(os.sched_getaffinity(0)) > 1
        self._engine = engine
        self._processor = processor
        self._second = ThreadPoolExecutor(1, 'roma-sound') if side_by_side else None
        self._last: EncodedUnit | None = None

    def __call__(self, unit: MultimodalUnit) -> EncodedUnit:
        """
        Encode a unit.

        :raises ValueError: when a frame is empty or more than 200 times as long as wide.
        """
        begin = time.perf_counter()
        last = self._last
        if last is not None and len(unit.frames) and _is_equal(last.unit.frames, unit.frames):
            of_last = last.features
            features = UnitFeatures(
                of_last.pixel_values, of_last.grid_thw, self._processor.log_mel(unit.audio)
            )
            merge_size = self._processor.config.merge_size
            num_tokens = num_video_tokens(of_last.grid_thw, merge_size=merge_size)
            video = last.embeddings[2 : 2 + num_tokens]  # after <|vision_bos|><|audio_bos|>
            processed = time.perf_counter()
            embeddings = self._engine.encode(features, video=video)
        elif self._second is not None and len(unit.frames):
            features, embeddings, processed = self._side_by_side(unit, self._second)
        else:
            features = self._processor(unit)
            processed = time.perf_counter()
            embeddings = self._engine.encode(features)
        encoded = EncodedUnit(
            unit=unit,
            features=features,
            embeddings=embeddings,
            process_ms=(processed - begin) * 1e3,
            encode_ms=(time.perf_counter() - processed) * 1e3,
        )
        self._last = encoded
        return encoded

    def forget(self) -> None:
        """Encode the next unit anew; any thread may call this."""
        self._last = None

    def _side_by_side(
        self, unit: MultimodalUnit, second: ThreadPoolExecutor
    ) -> tuple[UnitFeatures, torch.Tensor, float]:
        """Return features, embeddings, and when the frames were cut."""
        listen = partial(self._sound, unit.audio)
        sound = second.submit(listen)
        try:
            pixel_values, grid_thw = self._processor.patches(unit.frames)
            processed = time.perf_counter()
            seen = self._engine.encode(UnitFeatures(pixel_values, grid_thw, None))
        except BaseException:
            sound.cancel()
            raise
        # Where the other cores were too busy to begin with it, it is not waited for.
        mel, heard = listen() if sound.cancel() else sound.result()
        # Each is between its own begin and end token, and vision's are the outer ones.
        parts = seen[:1], heard[:1], seen[1:-1], heard[1:], seen[-1:]
        return UnitFeatures(pixel_values, grid_thw, mel), torch.cat(parts), processed

    def _sound(self, audio: npt.NDArray[np.float32]) -> tuple[npt.NDArray, torch.Tensor]:
        mel = self._processor.log_mel(audio)
        return mel, self._engine.encode(UnitFeatures(None, None, mel))


def _is_equal(frames: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8]) -> bool:
    """Compare frames: first a line of each, which tells nearly always that they differ."""
    if frames.shape != others.shape:
        return False
    line = frames.shape[1] // 2
    return np.array_equal(frames[:, line], others[:, line]) and np.array_equal(frames, others)
