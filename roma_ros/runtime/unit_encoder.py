"""From a unit to embeddings: the part of a step that needs nothing of the stream."""

from dataclasses import dataclass
import time

import numpy as np
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
    :param encode_ms: the towers [ms].
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
    nor encoded again: their embeddings are the same to the bit. One thread at a time.

    :param engine: runs the towers.
    :param processor: units to features.
    """

    def __init__(self, engine: Engine, processor: UnitProcessor) -> None:
        self._engine = engine
        self._processor = processor
        self._last: EncodedUnit | None = None

    def __call__(self, unit: MultimodalUnit) -> EncodedUnit:
        """
        Encode a unit.

        :raises ValueError: when a frame is empty or more than 200 times as long as wide.
        """
        begin = time.perf_counter()
        last = self._last
        video = None
        if last is not None and len(unit.frames) and np.array_equal(last.unit.frames, unit.frames):
            of_last = last.features
            features = UnitFeatures(
                of_last.pixel_values, of_last.grid_thw, self._processor.log_mel(unit.audio)
            )
            merge_size = self._processor.config.merge_size
            num_tokens = num_video_tokens(of_last.grid_thw, merge_size=merge_size)
            video = last.embeddings[2 : 2 + num_tokens]  # after <|vision_bos|><|audio_bos|>
        else:
            features = self._processor(unit)
        processed = time.perf_counter()
        embeddings = self._engine.encode(features, video=video)
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
