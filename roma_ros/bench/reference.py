"""
The loop that ours is measured against: the way the released demo runs.

Written here from its description (``gradio/narration_gradio.py`` of Eureka-Maggie/ROMA): the stock
feature extractor on each second of sound, the stock forward over each unit with all hidden states
and all logits, a cache that grows by concatenation, and ``generate`` for the words. It has the
same weights, the same frames and the same tokens as ours.
"""

import numpy as np
import torch
from transformers import DynamicCache, WhisperFeatureExtractor

from ..model.positions import unit_positions
from ..model.processor import num_audio_tokens, num_video_tokens, UnitProcessor
from ..model.prompts import MAX_SEGMENT_TOKENS, Protocol
from ..model.thinker import RomaModel
from ..units.unit import MultimodalUnit


class ReferenceLoop:
    """
    One stream in the released demo's way.

    :param model: the network, in evaluation mode.
    :param processor: cuts the frames; the stock video processor needs torchvision.
    :param protocol: token ids of the dialogue.
    """

    def __init__(self, model: RomaModel, processor: UnitProcessor, protocol: Protocol) -> None:
        self._model = model
        self._processor = processor
        self._protocol = protocol
        config = processor.config
        self._extractor = WhisperFeatureExtractor(
            feature_size=config.feature_size,
            sampling_rate=config.sampling_rate,
            hop_length=config.hop_length,
            n_fft=config.n_fft,
            chunk_length=1,
        )
        self._cache = DynamicCache(config=model.config.thinker.text_config)
        self._ids: list[int] = []
        self._next_position = 0
        self._read_text(protocol.stream_begin)

    @property
    def length(self) -> int:
        """Return the tokens in the cache."""
        return self._cache.get_seq_length()

    def step(self, unit: MultimodalUnit) -> float:
        """Read a unit that has frames and sound; return the speak probability, 0..1."""
        ids = self._model.token_ids
        mel = self._extractor(
            unit.audio,
            sampling_rate=self._processor.config.sampling_rate,
            return_tensors='pt',
            return_attention_mask=True,
            padding=False,
        )
        patches, grid = self._processor.patches(unit.frames)
        audio_tokens = num_audio_tokens(mel['input_features'].shape[-1])
        unit_ids = [
            ids.vision_bos,
            ids.audio_bos,
            *[ids.video] * num_video_tokens(grid),
            *[ids.audio] * audio_tokens,
            ids.audio_eos,
            ids.vision_eos,
        ]
        positions, stop = unit_positions(grid, audio_tokens, self._next_position)
        states = self._forward(
            unit_ids,
            positions,
            input_features=mel['input_features'].to(self._model.device, self._model.dtype),
            feature_attention_mask=mel['attention_mask'].to(self._model.device),
            pixel_values_videos=torch.from_numpy(patches).to(
                self._model.device, self._model.dtype
            ),
            video_grid_thw=torch.tensor([grid], device=self._model.device),
        )
        self._next_position = stop
        with torch.inference_mode():
            return float(torch.sigmoid(self._model.speak_logits(states[:, 0, -1])))

    def reply(self) -> list[int]:
        """
        Say a segment of 25 tokens by ``generate``, whatever the network would end it with.

        ``generate`` makes positions of its own, so the words are not those of our decoder; they
        cost the same.
        """
        thinker = self._model.thinker
        self._ids += self._protocol.assistant_begin
        ids = torch.tensor([self._ids], device=self._model.device)
        with torch.inference_mode():
            output = thinker.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                past_key_values=self._cache,
                max_new_tokens=MAX_SEGMENT_TOKENS,
                min_new_tokens=MAX_SEGMENT_TOKENS,
                do_sample=False,
                use_cache=True,
                eos_token_id=self._protocol.token_ids.im_end,
                pad_token_id=self._protocol.token_ids.endoftext,
            )
        said: list[int] = output[0, len(self._ids) :].tolist()
        # `generate` leaves its last token out of the cache.
        self._ids += said
        self._next_position += len(self._protocol.assistant_begin) + len(said) - 1
        self._read_text(
            [said[-1], *self._protocol.segment_unfinished, *self._protocol.user_begin], known=1
        )
        return said

    def age(self, num_tokens: int) -> None:
        """
        Grow the cache by so many tokens, as if the stream had gone on; what they hold is noise.

        A forward costs the same whatever the cache holds, and ten minutes are not waited for.
        """
        generator = torch.Generator().manual_seed(0)
        shape = (1, *self._cache.layers[0].keys.shape[1:])
        for index in range(len(self._cache.layers)):
            noise = torch.randn((2, *shape[:2], num_tokens, shape[3]), generator=generator)
            self._cache.update(*noise.to(self._model.device, self._model.dtype), index)
        self._ids += self._protocol.user_begin[:1] * num_tokens
        self._next_position += num_tokens

    def _read_text(self, token_ids: list[int], *, known: int = 0) -> None:
        """Read text, of which the first ``known`` ids are counted already."""
        stop = self._next_position + len(token_ids)
        positions = np.tile(np.arange(self._next_position, stop), (3, 1))
        self._forward(token_ids, positions, known=known)
        self._next_position = stop

    def _forward(
        self,
        token_ids: list[int],
        positions: np.ndarray,
        *,
        known: int = 0,
        **features: torch.Tensor,
    ) -> torch.Tensor:
        """Return the last K hidden states of all new tokens: ``[K, 1, T, C]``."""
        self._ids += token_ids[known:]
        model = self._model
        with torch.inference_mode():
            output = model.thinker(
                input_ids=torch.tensor([token_ids], device=model.device),
                position_ids=torch.from_numpy(positions)[:, None].to(model.device),
                attention_mask=torch.ones(
                    (1, self.length + len(token_ids)), dtype=torch.long, device=model.device
                ),
                past_key_values=self._cache,
                output_hidden_states=True,
                use_cache=True,
                **features,
            )
        return torch.stack(output.hidden_states[-model.config.speak_head.num_layers_mixed :])
