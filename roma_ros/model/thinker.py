"""The ROMA network: transformers' Qwen2.5-Omni thinker with a speak head beside its lm head."""

from typing import NamedTuple, Protocol

import torch
from torch import nn
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import (
    Qwen2_5OmniThinkerForConditionalGeneration,
    Qwen2_5OmniThinkerTextModel,
)

from .config import RomaConfig
from .processor import UnitFeatures
from .speak_head import SpeakHead


class KeyValueCache(Protocol):
    """What the decoder needs of a cache; transformers' ``DynamicCache`` has it, for one."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Store new keys (already rotated) and values of one layer.

        :param key_states: ``[B, K, T, D]``.
        :param value_states: ``[B, K, T, D]``.
        :param layer_idx: the layer.
        :return: all keys and values to attend to, ``[B, K, S, D]``.
        """


class DecoderOutput(NamedTuple):
    """
    What the decoder knows at the last A tokens of its input, the anchors.

    ``anchor_states`` is ``[K, B, A, C]``, the last K hidden states as the speak head reads them;
    ``last_hidden`` is ``[B, A, C]``, after the final norm, as the lm head reads it.
    """

    anchor_states: torch.Tensor
    last_hidden: torch.Tensor


class RomaModel(nn.Module):
    """
    Weights, and nothing of any stream: positions, cache and transcript belong to the session.

    :param config: all sizes.
    """

    def __init__(self, config: RomaConfig) -> None:
        super().__init__()
        self.config = config
        self.token_ids = config.token_ids
        self.thinker = Qwen2_5OmniThinkerForConditionalGeneration(config.thinker)
        self.speak_head = SpeakHead(config.speak_head)

    @property
    def decoder(self) -> Qwen2_5OmniThinkerTextModel:
        """The text decoder: ``embed_tokens``, ``layers``, ``norm`` and ``rotary_emb``."""
        return self.thinker.model.language_model

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.thinker.lm_head.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return self.thinker.lm_head.weight.dtype

    def embed_tokens(self, ids: torch.Tensor) -> torch.Tensor:
        """
        Embed token ids.

        :param ids: int64 ``[...]``.
        :return: ``[..., C]``.
        """
        return self.decoder.embed_tokens(ids.to(self.device))

    def encode(self, features: UnitFeatures, *, video: torch.Tensor | None = None) -> torch.Tensor:
        """
        Embed a whole unit: begin tokens, video, audio, end tokens.

        The audio tower sees this unit alone, so its convolutions and attention start anew each
        second, in training as at run time.

        :param features: of one unit.
        :param video: ``[V, C]``, its video tokens' embeddings where they are known already.
        :return: ``[T, C]``; the last token is the speak head's anchor.
        :raises ValueError: when the unit has neither video nor audio.
        """
        ids = self.token_ids
        begin, content, end = [], [], []
        if features.pixel_values is not None:
            begin, end = [ids.vision_bos], [ids.vision_eos]
            content.append(self._video_embeddings(features) if video is None else video)
        if features.mel is not None:
            begin, end = [*begin, ids.audio_bos], [ids.audio_eos, *end]
            content.append(self._audio_embeddings(features))
        if not content:
            raise ValueError('a unit needs video or audio, and this one has neither')
        wrappers = self.embed_tokens(torch.tensor(begin + end))
        return torch.cat([wrappers[: len(begin)], *content, wrappers[len(begin) :]])

    def forward_decoder(
        self,
        embeddings: torch.Tensor,
        position_ids: torch.Tensor,
        cache: KeyValueCache | None = None,
        *,
        mask: torch.Tensor | None = None,
        num_anchors: int = 1,
    ) -> DecoderOutput:
        """
        Run the decoder over new tokens, after those that the cache holds.

        Runs the stock layers one by one: the speak head needs four states of a few tokens, and
        the lm head one, so neither all hidden states nor all logits are ever made.

        :param embeddings: ``[B, T, C]``.
        :param position_ids: int64 ``[3, B, T]``; always explicit.
        :param cache: takes the new keys and values and returns all of them.
        :param mask: bool ``[B or 1, 1, T, S]``, true where a new token may see a cached or new
            one, for what ``cache.update`` returns; needed whenever T > 1 and S > T. Without one,
            a single token sees all S, and T > 1 tokens see those up to themselves.
        :param num_anchors: A, how many of the last tokens' states are returned.
        :return: the states at the anchors.
        """
        decoder = self.decoder
        num_mixed = self.config.speak_head.num_layers_mixed
        rotary = decoder.rotary_emb(embeddings, position_ids)
        hidden = embeddings
        states = []
        first_kept = len(decoder.layers) + 1 - num_mixed
        for index, layer in enumerate(decoder.layers):
            if index >= first_kept:
                states.append(hidden[:, -num_anchors:])
            hidden = layer(
                hidden,
                attention_mask=mask,
                position_embeddings=rotary,
                past_key_values=cache,
                use_cache=cache is not None,
            )
        last_hidden = decoder.norm(hidden[:, -num_anchors:])
        return DecoderOutput(torch.stack([*states, last_hidden]), last_hidden)

    def lm_logits(self, last_hidden: torch.Tensor) -> torch.Tensor:
        """
        Return next-token logits.

        :param last_hidden: ``[..., C]``, after the final norm.
        :return: ``[..., V]``.
        """
        return self.thinker.lm_head(last_hidden)

    def speak_logits(self, anchor_states: torch.Tensor) -> torch.Tensor:
        """
        Return the speak head's logits in float32.

        :param anchor_states: ``[K, ..., C]``.
        :return: float32 ``[...]``; the sigmoid is the speak probability.
        """
        return self.speak_head(anchor_states).float()

    def _video_embeddings(self, features: UnitFeatures) -> torch.Tensor:
        pixels = torch.from_numpy(features.pixel_values).to(self.device, self.dtype)
        grid = torch.tensor([features.grid_thw], device=self.device)
        return self.thinker.model.visual(pixels, grid_thw=grid).pooler_output

    def _audio_embeddings(self, features: UnitFeatures) -> torch.Tensor:
        assert features.mel is not None
        mel = torch.from_numpy(features.mel).to(self.device, self.dtype)
        lengths = torch.tensor([mel.shape[1]], device=self.device)
        return self.thinker.model.audio_tower(mel, feature_lens=lengths).last_hidden_state


def build_roma(config: RomaConfig, *, seed: int) -> RomaModel:
    """
    Build a network with random weights in float32 on the CPU, in evaluation mode.

    :param config: all sizes.
    :param seed: of torch's generator, whose state is restored afterwards.
    :return: the network; its parameters want gradients, as a trainer expects.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return RomaModel(config).eval()
