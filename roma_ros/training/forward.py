"""One batch through the network: both towers over all units at once, then the decoder."""

from typing import NamedTuple

import torch

from ..model.thinker import RomaModel
from .attention import additive_mask, fast_attention
from .batching import Batch

#: Begins of the names of the towers' parameters.
TOWERS = ('thinker.model.visual.', 'thinker.model.audio_tower.')


class BatchOutput(NamedTuple):
    """
    What the decoder gives at the rows that have targets.

    ``lm_logits`` is ``[N, V]`` at ``lm_rows``, ``speak_logits`` ``[M]`` at ``speak_rows``, and
    ``speak_states`` ``[K, M, C]`` the states there that the speak head mixes; the lm head reads
    the last.
    """

    lm_logits: torch.Tensor
    speak_logits: torch.Tensor
    speak_states: torch.Tensor


def encode_video(model: RomaModel, batch: Batch) -> torch.Tensor:
    """Return the video tokens of all units, one after another: ``[tokens, C]``."""
    pixels, grid = batch.pixel_values, batch.grid_thw
    if pixels is None or grid is None:
        return torch.empty(0, model.config.thinker.text_config.hidden_size, device=model.device)
    with fast_attention(model):
        return model.thinker.model.visual(
            pixels.to(model.device, model.dtype), grid_thw=grid.to(model.device)
        ).pooler_output


def encode_audio(model: RomaModel, batch: Batch) -> torch.Tensor:
    """Return the audio tokens of all units, each heard alone: ``[tokens, C]``."""
    mel, lengths = batch.mel, batch.mel_lengths
    if mel is None or lengths is None:
        return torch.empty(0, model.config.thinker.text_config.hidden_size, device=model.device)
    with fast_attention(model):
        return model.thinker.model.audio_tower(
            mel.to(model.device, model.dtype), feature_lens=lengths.to(model.device)
        ).last_hidden_state


def embed_batch(
    model: RomaModel, batch: Batch, video: torch.Tensor, audio: torch.Tensor
) -> torch.Tensor:
    """
    Embed all tokens.

    :param video: of :func:`encode_video`.
    :param audio: of :func:`encode_audio`.
    :return: ``[B, T, C]``.
    """
    embeddings = model.embed_tokens(batch.token_ids)
    flat = embeddings.flatten(0, 1)
    for rows, content in ((batch.video_rows, video), (batch.audio_rows, audio)):
        flat = flat.index_copy(0, rows.to(flat.device), content.to(flat.dtype))
    return flat.view_as(embeddings)


def decode_batch(
    model: RomaModel, batch: Batch, video: torch.Tensor, audio: torch.Tensor
) -> BatchOutput:
    """
    Run the decoder over a batch.

    :param video: of :func:`encode_video`.
    :param audio: of :func:`encode_audio`.
    :return: logits at the rows that have targets.
    """
    embeddings = embed_batch(model, batch, video, audio)
    device, dtype = embeddings.device, embeddings.dtype
    if torch.is_autocast_enabled(device.type):
        dtype = torch.get_autocast_dtype(device.type)
    with fast_attention(model):
        output = model.forward_decoder(
            embeddings,
            batch.position_ids.to(device),
            mask=additive_mask(batch.mask.to(device), dtype),
            num_anchors=batch.token_ids.shape[1],
        )
    lm_hidden = output.last_hidden.flatten(0, 1)[batch.lm_rows.to(device)]
    states = output.anchor_states.flatten(1, 2)[:, batch.speak_rows.to(device)]
    return BatchOutput(model.lm_logits(lm_hidden).float(), model.speak_logits(states), states)


def forward_batch(model: RomaModel, batch: Batch) -> BatchOutput:
    """Run the whole network over a batch."""
    return decode_batch(model, batch, encode_video(model, batch), encode_audio(model, batch))
