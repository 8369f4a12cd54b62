"""How much a network knows: speak scores by kind, answers by topic, and what the towers see."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch

from ..evaluation.metrics.calibration_error import expected_calibration_error
from .curriculum import Phase
from .data import TrainingBatch
from .objective import Objective
from .supervision import NARRATE, SPOKEN_ALERT
from .towers import TowerScores


@torch.no_grad()
def validate(
    objective: Objective, batches: Iterable[TrainingBatch], phase: Phase
) -> dict[str, float]:
    """
    Measure a network on labelled streams, with what was said before as it should have been.

    :param objective: the network with its probes.
    :param batches: of streams that training does not see.
    :param phase: decides what is measured.
    :return: means by name: ``loss/...``; ``ap/<kind>`` and ``f1/<kind>`` of speak scores by
        unit, F1 at its best threshold; ``calibration``: expected error of the probabilities of
        all; ``answer/<topic>``: share of texts right in every token, and ``answers`` of all that
        answer a question; ``towers/...``.
    """
    losses: dict[str, list[float]] = defaultdict(list)
    scores: dict[str, list[tuple[float, float]]] = defaultdict(list)
    answers: dict[str, list[bool]] = defaultdict(list)
    towers = TowerScores()
    has_towers = False
    for item in batches:
        outcome = objective(item, phase)
        for name, value in outcome.losses.items():
            losses[name].append(float(value))
        if outcome.towers is not None and item.towers is not None:
            has_towers = True
            towers.add(outcome.towers, item.towers.to(objective.model.device))
        if outcome.output is None:
            continue
        batch = item.batch
        right = outcome.output.lm_logits.argmax(dim=-1).cpu() == batch.lm_targets
        for topic, first, last in batch.lm_turns:
            answers[topic].append(bool(right[first:last].all()))
        if phase.objective == 'speak':
            logits = outcome.output.speak_logits.cpu()
            for name, logit, label in zip(
                batch.speak_names, logits.tolist(), batch.speak_labels.tolist(), strict=True
            ):
                scores[name].append((logit, label))
    result = {f'loss/{name}': float(np.mean(values)) for name, values in losses.items()}
    for name, pairs in sorted(scores.items()):
        values, labels = np.array(pairs).T
        result[f'ap/{name}'] = average_precision(values, labels > 0)
        result[f'f1/{name}'] = best_f1(values, labels > 0)
    if scores:
        values, labels = np.array([pair for pairs in scores.values() for pair in pairs]).T
        error = expected_calibration_error(labels > 0, 1 / (1 + np.exp(-values)))
        result['calibration'] = float('nan') if error is None else error
    for topic, rights in sorted(answers.items()):
        result[f'answer/{topic}'] = float(np.mean(rights))
    told = (NARRATE, SPOKEN_ALERT)
    asked = [right for topic, rights in answers.items() if topic not in told for right in rights]
    if asked:
        result['answers'] = float(np.mean(asked))
    if has_towers:
        result |= {f'towers/{name}': value for name, value in towers.result().items()}
    return result


def average_precision(scores: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_]) -> float:
    """Return the mean precision over the positives, best score first; NaN without a positive."""
    hits = positive[np.argsort(-scores, kind='stable')]
    if not hits.any():
        return float('nan')
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def best_f1(scores: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_]) -> float:
    """Return the largest F1 over all thresholds; NaN without a positive."""
    hits = positive[np.argsort(-scores, kind='stable')]
    if not hits.any():
        return float('nan')
    said = np.arange(1, len(hits) + 1)
    return float((2 * np.cumsum(hits) / (said + hits.sum())).max())
