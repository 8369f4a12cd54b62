"""Thresholds from the validation split: never from the streams that the model is judged on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...policy.triggers import PRESETS, Trigger, TriggerConfig
from ..metrics.experience import match_alerts
from ..metrics.spans import match_times
from ..runner import Line
from ..words import KINDS
from .tabletop import Triggers, with_triggers
from .tabletop_score import (
    alert_logs,
    ALERT_TOLERANCE_S,
    ANSWER_WITHIN_S,
    NARRATION_TOLERANCE_S,
)

#: Where fitting begins: text that the model says enters its context, so the first pass has to
#: speak at some threshold.
FIRST_THRESHOLD = 0.5
_GRID = np.unique(
    np.concatenate([np.linspace(0.05, 0.95, 37), 1 - np.logspace(-3, -1.3, 12)])
).round(4)


@dataclass(frozen=True)
class Counts:
    """Windows that were hit, firings that were false, windows that were missed."""

    hits: int
    false: int
    missed: int
    hours: float

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where nothing was hit."""
        total = 2 * self.hits + self.false + self.missed
        return 2 * self.hits / total if total else 0.0

    @property
    def false_per_hour(self) -> float:
        """False firings per hour and alert."""
        return self.false / self.hours if self.hours else 0.0


def first_triggers() -> Triggers:
    """Return what the first validation pass speaks by."""
    return {name: PRESETS[kind].with_threshold(FIRST_THRESHOLD) for name, kind in KINDS.items()}


def alert_counts(lines: Sequence[Line]) -> Counts:
    """Count what became of the typed alerts of all lines."""
    hits = false = missed = 0
    hours = 0.0
    for line in lines:
        for log in alert_logs(line):
            match = match_alerts(log, tolerance_s=ALERT_TOLERANCE_S)
            num_hits = sum(delay is not None for delay in match.delays_s)
            hits += num_hits
            missed += len(match.delays_s) - num_hits
            false += len(match.false_s)
            hours += log.duration_s / 3600
    return Counts(hits, false, missed, hours)


def fit_triggers(lines: Sequence[Line], *, max_false_per_hour: float) -> Triggers:
    """
    Return the triggers that do best on these lines.

    Alerts: the threshold, the window of one or two units and the hysteresis with the best F1
    among those within ``max_false_per_hour``; where none is, the one with the fewest false
    alerts. Narration and answers: the threshold with the best F1 of the moments at which to
    speak, of events and of spoken questions.

    :param lines: of a run on the validation split.
    :param max_false_per_hour: false alerts per hour and alert that are let pass.
    """

    def alert_merit(trigger: TriggerConfig) -> tuple[float, float]:
        counts = alert_counts([with_triggers(line, {'alert': trigger}) for line in lines])
        within = counts.false_per_hour <= max_false_per_hour
        return (1.0, counts.f1) if within else (0.0, -counts.false_per_hour)

    def candidates(preset: TriggerConfig) -> list[TriggerConfig]:
        return [preset.with_threshold(float(t)) for t in _GRID]

    alert = PRESETS[KINDS['alert']]
    alerts = [
        trigger
        for window_units in (1, 2)
        for trigger in candidates(replace(alert, window_units=window_units))
    ]
    narrated = [line for line in lines if line['narrate']]
    others = [line for line in lines if not line['narrate']]
    return {
        'narration': _best(
            candidates(PRESETS[KINDS['narration']]), lambda t: _moments_f1(narrated, t)
        ),
        'alert': _best(alerts, alert_merit),
        'answer': _best(candidates(PRESETS[KINDS['answer']]), lambda t: _moments_f1(others, t)),
    }


def _best(
    candidates: Sequence[TriggerConfig],
    merit: Callable[[TriggerConfig], float | tuple[float, ...]],
) -> TriggerConfig:
    """Return the middle one of those that are equally good: it lies farthest from the edges."""
    merits = [merit(candidate) for candidate in candidates]
    best = [c for c, m in zip(candidates, merits, strict=True) if m == max(merits)]
    return best[len(best) // 2]


def _moments_f1(lines: Sequence[Line], config: TriggerConfig) -> float:
    """Return the F1 of when a stream would have spoken."""
    hits = spoken = due = 0
    for line in lines:
        trigger = Trigger(config)
        times_s = [float(i + 1) for i, p in enumerate(line['probabilities']) if trigger.update(p)]
        spans = [
            (q['time_s'], q['time_s'] + ANSWER_WITHIN_S) for q in line['questions'] if q['spoken']
        ]
        spans += [
            (b, e + ALERT_TOLERANCE_S)
            for alert in line['alerts']
            if alert['spoken_at_s'] is not None
            for b, e in alert['windows']
        ]
        if line['narrate']:
            spans += [(e['time_s'], e['time_s'] + NARRATION_TOLERANCE_S) for e in line['events']]
        hits += sum(index is not None for index in match_times(times_s, spans))
        spoken += len(times_s)
        due += len(spans)
    return 2 * hits / (spoken + due) if spoken + due else 0.0
