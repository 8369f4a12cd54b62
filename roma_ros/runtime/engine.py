"""What runs the network: one protocol, several implementations, one behaviour."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from ..model.processor import UnitFeatures
from .kv_cache import KVCache


@dataclass(frozen=True, eq=False)
class StepOutput:
    """
    What the network says at the last tokens of a step, the anchors.

    :param speak_logits: float32 ``[A]``, the speak head's outputs before the sigmoid.
    :param lm_logits: ``[V]``, scores of the text token that follows the last one.
    """

    speak_logits: torch.Tensor
    lm_logits: torch.Tensor


class Engine(Protocol):
    """
    Runs the network; holds weights and no state of any stream.

    One thread owns an engine and calls all of its methods, except for :meth:`encode`. Nothing
    here returns before the work is at least enqueued on the device.
    """

    name: str  #: torch, torch-compiled, onnxruntime or tensorrt
    device: torch.device
    vocab_size: int  #: V

    def new_cache(self, capacity: int) -> KVCache:
        """Allocate an empty cache of ``capacity`` tokens."""
        ...

    def encode(self, features: UnitFeatures, *, video: torch.Tensor | None = None) -> torch.Tensor:
        """
        Encode one unit; any thread may call this, one at a time.

        :param features: of the unit.
        :param video: ``[V, C]``, the video tokens' embeddings where they are known already.
        :return: ``[n, C]``, begin and end tokens included.
        """
        ...

    def embed(self, token_ids: Sequence[int]) -> torch.Tensor:
        """Look up the embeddings of text tokens, ``[n, C]``."""
        ...

    def step(
        self,
        embeddings: torch.Tensor,
        position_ids: npt.NDArray[np.int64],
        cache: KVCache,
        *,
        mask: torch.Tensor | None = None,
        num_anchors: int = 1,
    ) -> StepOutput:
        """
        Read ``n`` tokens and append them to the cache.

        :param embeddings: ``[n, C]``.
        :param position_ids: int64 ``[3, n]``: temporal, height, width.
        :param cache: written at its length and advanced by n.
        :param mask: bool ``[n, length + n]``, which tokens each new one may see; None: all up to
            itself.
        :param num_anchors: A, for how many of the last tokens to run the speak head.
        :return: outputs at the anchors.
        """
        ...
