"""The engine on PyTorch: the network's weights over the static cache."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from ..model.masks import causal_mask
from ..model.processor import UnitFeatures
from ..model.thinker import RomaModel
from .engine import StepOutput
from .fused_decoder import FusedDecoder
from .kv_cache import KVCache
from .quantized import quantize_model


class TorchEngine:
    """
    Runs a :class:`RomaModel` eagerly, on the device and in the dtype of its weights.

    :param model: the network, in evaluation mode.
    :param quantize: weights in fewer bits: int8, int4, or empty for none; see
        :func:`quantize_model`, which takes the model's own layers from it.
    """

    name = 'torch'

    def __init__(self, model: RomaModel, *, quantize: str = '') -> None:
        self._model = model
        self._decoder = FusedDecoder(model)
        if quantize:
            quantize_model(model, self._decoder, quantize)
        self.device = model.device
        self.vocab_size: int = model.config.thinker.text_config.vocab_size

    def new_cache(self, capacity: int) -> KVCache:
        """Allocate an empty cache of ``capacity`` tokens."""
        return self._allocate(capacity)

    def _allocate(self, capacity: int, *, spare: int = 0) -> KVCache:
        config = self._model.config.thinker.text_config
        return KVCache(
            num_layers=config.num_hidden_layers,
            num_kv_heads=config.num_key_value_heads,
            capacity=capacity,
            head_dim=config.hidden_size // config.num_attention_heads,
            inv_freq=self._model.decoder.rotary_emb.inv_freq,
            dtype=self._model.dtype,
            device=self.device,
            spare=spare,
        )

    @torch.inference_mode()
    def encode(self, features: UnitFeatures, *, video: torch.Tensor | None = None) -> torch.Tensor:
        """Encode one unit to ``[n, C]``; see :meth:`Engine.encode`."""
        return self._model.encode(features, video=video)

    @torch.inference_mode()
    def embed(self, token_ids: Sequence[int]) -> torch.Tensor:
        """Look up the embeddings of text tokens, ``[n, C]``."""
        ids = torch.tensor(token_ids).to(self.device, non_blocking=True)
        return self._model.embed_tokens(ids)

    @torch.inference_mode()
    def step(
        self,
        embeddings: torch.Tensor,
        position_ids: npt.NDArray[np.int64],
        cache: KVCache,
        *,
        mask: torch.Tensor | None = None,
        num_anchors: int = 1,
    ) -> StepOutput:
        """Read ``n`` tokens and append them to the cache; see :meth:`Engine.step`."""
        num_tokens = len(embeddings)
        if mask is None and num_tokens > 1:
            mask = causal_mask(num_tokens, cache.length + num_tokens, device=self.device)[0, 0]
        output = self._decoder.forward(
            embeddings,
            torch.from_numpy(position_ids).to(self.device, non_blocking=True),
            cache,
            mask=mask,
            num_anchors=num_anchors,
        )
        cache.advance(num_tokens)
        return StepOutput(
            speak_logits=self._model.speak_logits(output.anchor_states)[0],
            lm_logits=self._model.lm_logits(output.last_hidden[0, -1]),
        )
