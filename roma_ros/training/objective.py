"""From a batch to the loss of a phase."""

from typing import NamedTuple

import torch
from torch import nn

from ..model.thinker import RomaModel
from .anchor_probe import AnchorProbe
from .curriculum import Phase
from .data import TrainingBatch
from .forward import BatchOutput, decode_batch, encode_audio, encode_video, TOWERS
from .losses import language_loss, silence_loss, speak_loss, speaking_logits
from .towers import tower_loss, TowerLogits, TowerProbes


class Outcome(NamedTuple):
    """
    What one batch gave.

    ``losses`` holds each part by name, unweighted; ``loss`` is what is made small. The logits are
    there for the metrics; None where the phase has none.
    """

    loss: torch.Tensor
    losses: dict[str, torch.Tensor]
    output: BatchOutput | None
    towers: TowerLogits | None


class Objective(nn.Module):
    """
    A network with the probes that teach its towers; its forward is a phase's loss.

    :param model: the network.
    """

    def __init__(self, model: RomaModel) -> None:
        super().__init__()
        self.model = model
        width = model.config.thinker.text_config.hidden_size
        self.probes = TowerProbes(width)
        self.anchor_probe = AnchorProbe(width)

    def forward(self, item: TrainingBatch, phase: Phase) -> Outcome:
        """Return the loss of a batch, and its parts."""
        device = self.model.device
        train_towers = phase.train == 'all'
        with torch.set_grad_enabled(train_towers and torch.is_grad_enabled()):
            video, audio = item.video, item.audio
            if video is None or audio is None:
                video = encode_video(self.model, item.batch)
                audio = encode_audio(self.model, item.batch)
        losses: dict[str, torch.Tensor] = {}
        logits, output = None, None
        total = torch.zeros((), device=device)
        if phase.objective == 'towers' or phase.tower_weight:
            if item.towers is None:
                raise ValueError(
                    f'phase {phase.name!r} teaches the towers exact labels, which these streams '
                    'do not have: leave it out, and set tower_weight to 0'
                )
            targets = item.towers.to(device)
            logits = self.probes(
                video.unflatten(0, (len(targets.counts), -1)),
                audio.unflatten(0, (len(targets.counts), -1)),
            )
            parts = tower_loss(logits, targets)
            losses |= parts
            weight = 1.0 if phase.objective == 'towers' else phase.tower_weight
            total = total + weight * torch.stack(list(parts.values())).sum()
        if phase.objective != 'towers':
            output = decode_batch(self.model, item.batch, video, audio)
            losses['words_said'] = language_loss(
                output.lm_logits, item.batch.lm_targets.to(device)
            )
            total = total + phase.language_weight * losses['words_said']
        if phase.objective == 'speak':
            assert output is not None
            labels = item.batch.speak_labels.to(device)
            if phase.decided_by == 'head':
                losses['when'] = speak_loss(
                    output.speak_logits, labels, positive_weight=phase.positive_weight
                )
            else:
                losses['when'], output = self._decide_by_token(output, labels, phase)
            total = total + losses['when']
            if phase.anchor_weight and item.towers is not None:
                losses['known'] = self.anchor_probe(
                    output.speak_states[0], item.batch, item.towers.to(device)
                )
                total = total + phase.anchor_weight * losses['known']
        return Outcome(total, losses, output, logits)

    def _decide_by_token(
        self, output: BatchOutput, labels: torch.Tensor, phase: Phase
    ) -> tuple[torch.Tensor, BatchOutput]:
        """Let the lm head decide; a token that no stream holds stands for silence."""
        names = self.model.token_ids
        logits = self.model.lm_logits(output.speak_states[-1])
        loss = silence_loss(
            logits,
            labels,
            silence=names.image,
            turn=names.im_end,
            positive_weight=phase.positive_weight,
        )
        return loss, output._replace(speak_logits=speaking_logits(logits, silence=names.image))


def trained_parameters(objective: Objective, phase: Phase) -> dict[str, nn.Parameter]:
    """
    Choose what a phase trains, and let nothing else want gradients.

    :param objective: the network with its probes.
    :param phase: what it trains.
    :return: parameters by name.
    """
    towers = tuple(f'model.{prefix}' for prefix in TOWERS)
    uses_probes = phase.objective == 'towers' or phase.tower_weight > 0
    chosen = {}
    for wrapped_name, parameter in objective.named_parameters():
        name = wrapped_name.replace('_checkpoint_wrapped_module.', '')
        if name.startswith('probes.'):
            wanted = uses_probes and phase.train == 'all'
        elif name.startswith('anchor_probe.'):
            wanted = phase.objective == 'speak' and phase.anchor_weight > 0
        elif phase.train in ('head', 'adapters'):
            wanted = name.startswith('model.speak_head.') or '.lora_' in name
        elif phase.objective == 'towers':
            wanted = name.startswith(towers)
        elif name.startswith('model.speak_head.'):
            wanted = phase.objective == 'speak' and phase.decided_by == 'head'
        else:
            wanted = phase.train == 'all' or not name.startswith(towers)
        # An embedding of its own, which no unit uses: each unit is wrapped in text tokens.
        wanted = wanted and not name.endswith('audio_bos_eos_token.weight')
        parameter.requires_grad_(wanted)
        if wanted:
            chosen[name] = parameter
    return chosen
