"""
From a labelled recording to the threshold that a user can judge: false alerts per hour.

Speak probabilities are not calibrated across tasks (the paper's own thresholds run from 0.2 to
0.975), so that no one threshold is right. Here the trigger itself is run over the recorded
probabilities at every threshold; the one is taken that misses least while the false ones stay
below the rate that is wanted, and what it would have done on data that it was not chosen on says
how far to believe it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
import math

import numpy as np
import numpy.typing as npt

from ..evaluation.metrics.calibration_error import expected_calibration_error
from ..evaluation.metrics.experience import AlertLog, match_alerts
from ..evaluation.metrics.intervals import poisson_high, rate_without_events_high
from ..evaluation.metrics.spans import contains
from .instructions import InstructionKind
from .scaling import fit_scaling, log_loss, Scaling
from .scored_instructions import Folds, ScoredInstruction
from .triggers import Trigger, TriggerConfig

_FloatArray = npt.NDArray[np.float64]

#: Range of the node's thresholds.
LOWEST, HIGHEST = 0.001, 0.999
_NUM_CANDIDATES = 120


class Verdict(Enum):
    """How far the rate that was asked for can be promised."""

    PROMISED = 'promised'
    LIKELY = 'likely'
    TOO_SHORT = 'recording too short'
    NOT_HELD = 'not held'
    OUT_OF_REACH = 'out of reach'


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """
    The threshold of one kind, and how sure it is.

    :param kind: narrate, alert or answer.
    :param trigger: with the threshold that was chosen on all data.
    :param target_per_hour: false ones that were asked for, per hour and instruction.
    :param verdict: how far that can be promised.
    :param hours: time that instructions of this kind were scored, added up.
    :param num_windows: how often one was due.
    :param false_per_hour: on the data that the threshold was chosen on: too good.
    :param recall: likewise; None without windows.
    :param held_out_false: false ones on data that the threshold was not chosen on.
    :param held_out_per_hour: their rate.
    :param held_out_per_hour_high: 95 % upper limit of that rate, exact (Poisson).
    :param held_out_recall: share of windows hit there; None without windows.
    :param fold_thresholds: what was chosen without each fold: how much the choice sways.
    :param needed_hours: from how many hours on the target could be promised if things go on like
        this; None where they are too bad for any length.
    :param scaling: makes the probability one that can be believed.
    :param log_loss: held out, before and after scaling; None where nothing could be held out.
    :param calibration_error: likewise, expected calibration error (15 bins).
    """

    kind: InstructionKind
    trigger: TriggerConfig
    target_per_hour: float
    verdict: Verdict
    hours: float
    num_windows: int
    false_per_hour: float
    recall: float | None
    held_out_false: int
    held_out_per_hour: float
    held_out_per_hour_high: float
    held_out_recall: float | None
    fold_thresholds: tuple[float, ...]
    needed_hours: float | None
    scaling: Scaling
    log_loss: tuple[float | None, float | None]
    calibration_error: tuple[float | None, float | None]


def calibrate(
    scored: Sequence[ScoredInstruction],
    *,
    trigger: TriggerConfig,
    false_per_hour: float,
    tolerance_s: float = 1.0,
    num_folds: int = 5,
) -> Calibration:
    """
    Choose the threshold of one kind of instruction.

    Thresholds are allowed whose false rate on the data is surely at most the target: the 95 %
    upper limit of the rate (Poisson), or, where the data are too short for that, the rate
    itself. Of these the one with the most hits is taken, of equals the one with the fewest false,
    of these the one in the middle (of logits). What is false and what is a hit is as in
    :func:`~roma_ros.evaluation.metrics.experience.match_alerts`.

    Cross-validation: recordings are the folds, or, where there are fewer than ``num_folds``,
    equal stretches of each; each fold is judged by the threshold chosen without it. Trap:
    stretches of one recording are alike, so another room may do worse than this promises.

    :param scored: instructions of one kind, on any number of recordings.
    :param trigger: all but the threshold.
    :param false_per_hour: target, per hour and instruction; more than 0.
    :param tolerance_s: how long after a window speaking still counts as due.
    :param num_folds: at least 2.
    :raises ValueError: when there is nothing, kinds are mixed, or there are fewer than two seconds
        for each fold.
    """
    kinds = {item.kind for item in scored}
    if len(kinds) != 1:
        raise ValueError(f'{len(kinds)} kinds of instruction were given, expected one at a time')
    if not false_per_hour > 0 or num_folds < 2:
        raise ValueError(
            f'false_per_hour is {false_per_hour} and num_folds {num_folds}; expected more than 0, '
            'and at least 2'
        )
    folds = Folds(scored, num_folds)
    thresholds = _candidates(scored, trigger.threshold)
    counts = _count(scored, thresholds, trigger, folds, tolerance_s)
    chosen, reached = counts.choose(np.ones(num_folds, bool), false_per_hour)
    in_folds = [
        counts.choose(np.arange(num_folds) != fold, false_per_hour)[0] for fold in range(num_folds)
    ]
    held_out_false = int(sum(counts.false[c, fold] for fold, c in enumerate(in_folds)))
    held_out_hits = int(sum(counts.hits[c, fold] for fold, c in enumerate(in_folds)))
    hours = float(folds.hours.sum())
    num_windows = int(counts.windows.sum())
    high = poisson_high(held_out_false) / hours
    scaling, losses, errors = _scale(scored, folds, tolerance_s)
    return Calibration(
        kind=scored[0].kind,
        trigger=trigger.with_threshold(float(thresholds[chosen])),
        target_per_hour=false_per_hour,
        verdict=_judge(reached, high, held_out_false / hours, hours, false_per_hour),
        hours=hours,
        num_windows=num_windows,
        false_per_hour=float(counts.false[chosen].sum() / hours),
        recall=float(counts.hits[chosen].sum() / num_windows) if num_windows else None,
        held_out_false=held_out_false,
        held_out_per_hour=held_out_false / hours,
        held_out_per_hour_high=high,
        held_out_recall=held_out_hits / num_windows if num_windows else None,
        fold_thresholds=tuple(float(thresholds[c]) for c in in_folds),
        needed_hours=_needed_hours(held_out_false / hours, false_per_hour),
        scaling=scaling,
        log_loss=losses,
        calibration_error=errors,
    )


@dataclass(frozen=True)
class _Counts:
    """What each threshold does in each fold: false ones and hits, ``[thresholds, folds]``."""

    thresholds: _FloatArray
    false: npt.NDArray[np.int64]
    hits: npt.NDArray[np.int64]
    windows: npt.NDArray[np.int64]
    hours: _FloatArray

    def choose(self, folds: npt.NDArray[np.bool_], target: float) -> tuple[int, bool]:
        """Return the best threshold's place on some folds, and whether it reaches the target."""
        hits = self.hits[:, folds].sum(1)
        # No lower threshold counts as better than a higher one: where everything is above it, the
        # trigger fires once and never rests, which looks like silence.
        false = np.maximum.accumulate(self.false[::-1, folds].sum(1))[::-1]
        most = target * float(self.hours[folds].sum())
        allowed = false <= _surely_at_most(most)
        if not allowed.any():
            allowed = false <= most
        if not allowed.any():
            return int(np.flatnonzero(false == false.min())[-1]), False
        best = allowed & (hits == hits[allowed].max())
        best &= false == false[best].min()
        places = np.flatnonzero(best)
        logits = np.log(self.thresholds[places] / (1 - self.thresholds[places]))
        middle = (logits[0] + logits[-1]) / 2
        return int(places[np.argmin(np.abs(logits - middle))]), True


def _surely_at_most(limit: float) -> int:
    """Return the most events whose 95 % upper limit is below a limit; -1: not even none."""
    low, high = -1, math.ceil(limit)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if poisson_high(middle) <= limit else (low, middle - 1)
    return low


def _candidates(scored: Sequence[ScoredInstruction], preset: float) -> _FloatArray:
    """Return thresholds between the probabilities that there are, and some in wide gaps."""
    given = np.concatenate([item.arrays()[1] for item in scored])
    given = np.unique(given[~np.isnan(given)])
    # Denser among the high ones: moments to speak are rare.
    tail = 1 - np.geomspace(1, 0.5 / len(given), _NUM_CANDIDATES // 3)
    shares = np.concatenate([np.linspace(0, 1, _NUM_CANDIDATES // 3), tail])
    places = np.unique(np.round(shares * (len(given) - 1)).astype(int))
    low, high = given[places], given[np.minimum(places + 1, len(given) - 1)]
    gaps = 1 / (1 + np.exp(-np.linspace(-7, 7, _NUM_CANDIDATES // 3)))
    levels = np.concatenate([(low + high) / 2, gaps, [preset, HIGHEST]])
    return np.unique(np.round(np.clip(levels, LOWEST, HIGHEST), 4))


def _count(
    scored: Sequence[ScoredInstruction],
    thresholds: _FloatArray,
    trigger: TriggerConfig,
    folds: Folds,
    tolerance_s: float,
) -> _Counts:
    false = np.zeros((len(thresholds), folds.num_folds), np.int64)
    hits, windows = np.zeros_like(false), np.zeros(folds.num_folds, np.int64)
    for item in scored:
        ends, probabilities = item.arrays()
        of_windows = folds.of(item.stream, [start for start, _ in item.windows])
        np.add.at(windows, of_windows, 1)
        for place, threshold in enumerate(thresholds.tolist()):
            decide = Trigger(trigger.with_threshold(threshold)).update
            fired = tuple(
                end
                for end, p in zip(ends.tolist(), probabilities.tolist(), strict=True)
                if decide(p)
            )
            log = AlertLog(
                stream=item.stream,
                duration_s=float(ends[-1]),
                windows=item.windows,
                firings_s=fired,
            )
            match = match_alerts(log, tolerance_s=tolerance_s)
            np.add.at(false[place], folds.of(item.stream, match.false_s), 1)
            hit = np.array([delay is not None for delay in match.delays_s], bool)
            np.add.at(hits[place], of_windows[hit], 1)
    return _Counts(thresholds, false, hits, windows, folds.hours)


def _judge(reached: bool, high: float, rate: float, hours: float, target: float) -> Verdict:
    if not reached:
        return Verdict.OUT_OF_REACH
    if high <= target:
        return Verdict.PROMISED
    if rate_without_events_high(hours) > target:
        return Verdict.TOO_SHORT
    return Verdict.LIKELY if rate <= target else Verdict.NOT_HELD


def _needed_hours(rate: float, target: float) -> float | None:
    """Return from how many hours on the upper limit of this rate is below the target."""
    if rate >= target:
        return None
    hours = rate_without_events_high(1.0) / target
    while poisson_high(math.ceil(rate * hours)) > target * hours * (1 + 1e-9):
        hours *= 1.1
        if hours > 1e5:
            return None
    return hours


def _scale(
    scored: Sequence[ScoredInstruction], folds: Folds, tolerance_s: float
) -> tuple[Scaling, tuple[float | None, float | None], tuple[float | None, float | None]]:
    """Fit the scaling on all units, and judge it on units that it was not fitted on."""
    labels, given, fold = [], [], []
    for item in scored:
        ends, probabilities = item.arrays()
        known = ~np.isnan(probabilities)
        due = [(start, end + tolerance_s) for start, end in item.windows]
        labels.append(np.array([contains(due, end) for end in ends[known].tolist()], bool))
        given.append(probabilities[known])
        fold.append(folds.of(item.stream, ends[known]))
    truth, raw, of = np.concatenate(labels), np.concatenate(given), np.concatenate(fold)
    scaled = np.empty_like(raw)
    for index in range(folds.num_folds):
        inside = of == index
        scaled[inside] = fit_scaling(truth[~inside], raw[~inside])(raw[inside])
    return (
        fit_scaling(truth, raw),
        (log_loss(truth, raw), log_loss(truth, scaled)),
        (expected_calibration_error(truth, raw), expected_calibration_error(truth, scaled)),
    )
