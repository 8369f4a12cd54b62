"""The figures of tabletop lines, by the metrics that robots are judged by as well."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...training.tabletop.language import COLORS, SHAPES, VERBS
from ..metrics.experience import alert_experience, AlertLog
from ..metrics.intervals import bootstrap, Estimate, rate_without_events_high
from ..metrics.narration import event_score, EventScore, NarratedEvent, TimeF1
from ..runner import Line
from .tabletop import plain_words
from .tabletop_speech import speech_figures, speech_log

#: How long after a window's end an alert still counts [s]: the unit that holds the end decides.
ALERT_TOLERANCE_S = 1.0
#: How long after an event its narration still counts [s]: the unit that holds it decides. With
#: two seconds, speaking every other second would be right most of the time: events are as near.
NARRATION_TOLERANCE_S = 1.0
#: A kinder one, reported beside it [s].
LATE_NARRATION_S = 2.0
#: How long after a spoken question its answer may begin [s].
ANSWER_WITHIN_S = 3.0
_SENSES = ('sight', 'sound', 'joint')


@dataclass
class Speech:
    """
    What a stream's own utterances were: answers to spoken questions, narration, spoken alerts.

    :param answers: by the place of the question in the line; None: silence.
    :param alerts: utterances in time for a spoken alert, by the place of the alert.
    :param rest: all others.
    """

    answers: dict[int, str | None] = field(default_factory=dict)
    alerts: dict[int, list[float]] = field(default_factory=dict)
    rest: list[dict[str, Any]] = field(default_factory=list)


def score_tabletop(lines: Sequence[Line], *, seed: int = 0) -> dict[str, Any]:
    """
    Return the figures of a run.

    ``alert``: typed alerts by :func:`..metrics.experience.alert_experience`; false alerts are
    per hour *and* alert, and per hour of stream with all its alerts beside it.
    ``alert.spoken_recall``: windows of alerts that the operator spoke in the stream, in which
    something was said. ``narration``: by :func:`..metrics.narration.event_score`, on narrated
    streams; ``slot_accuracy`` is over all events, silence counting as wrong,
    ``slot_accuracy_in_time`` over those that were narrated in time; ``time_f1_within_2_s`` lets
    narration be a second late.
    ``questions``: share with the right answer, word for word but for case and a leading article;
    silence is wrong. ``constant`` is the most frequent answer's share. ``silent``: typed alerts
    of which nothing happens in their stream, and speech on streams that are not narrated which
    answers no question. ``speech``: by :func:`.tabletop_speech.speech_log`.

    :param lines: of :class:`.tabletop.TabletopWorker`.
    :param seed: of the intervals.
    :return: what JSON can hold.
    """
    speech = [split_speech(line) for line in lines]
    return {
        'alert': _alert_figures(lines, speech, seed),
        'narration': _narration_figures(lines, speech, seed),
        'questions': _question_figures(lines, speech, seed),
        'silent': _silent_figures(lines, speech, seed),
        'speech': speech_figures(
            [
                speech_log(
                    line,
                    alert_tolerance_s=ALERT_TOLERANCE_S,
                    narration_tolerance_s=NARRATION_TOLERANCE_S,
                    answer_within_s=ANSWER_WITHIN_S,
                )
                for line in lines
            ],
            reply_within_s=ANSWER_WITHIN_S,
            seed=seed,
        ),
    }


def split_speech(line: Line) -> Speech:
    """
    Tell what each of a stream's own utterances was.

    The first one within ``ANSWER_WITHIN_S`` of a spoken question is its answer; while narrating,
    the first one without a verb. One within a spoken alert's window belongs to that. While
    narrating the rest is narration.
    """
    speech = Speech()
    left = list(line['utterances'])

    def is_narration(utterance: dict[str, Any]) -> bool:
        return bool(line['narrate']) and 'verb' in slots_of(utterance['text'])

    for place, question in enumerate(line['questions']):
        if not question['spoken']:
            continue
        begin_s = question['time_s']
        answer = next(
            (
                u
                for u in left
                if begin_s <= u['time_s'] <= begin_s + ANSWER_WITHIN_S and not is_narration(u)
            ),
            None,
        )
        if answer is not None:
            left.remove(answer)
        speech.answers[place] = None if answer is None else answer['text']
    for place, alert in enumerate(line['alerts']):
        if alert['spoken_at_s'] is None:
            continue
        inside = [
            u
            for u in left
            if not is_narration(u)
            and any(b <= u['time_s'] <= e + ALERT_TOLERANCE_S for b, e in alert['windows'])
        ]
        speech.alerts[place] = [u['time_s'] for u in inside]
        left = [u for u in left if u not in inside]
    speech.rest = left
    return speech


def slots_of(text: str) -> dict[str, str]:
    """
    Return what a narration names: ``what``, ``color`` and ``verb``, each where it is there.

    The first shape and the first colour count: they are those of the thing that acts.
    """
    words = plain_words(text).split()
    slots: dict[str, str] = {}
    for slot, names in (('what', SHAPES), ('color', COLORS)):
        found = next((word for word in words if word in names), None)
        if found is not None:
            slots[slot] = found
    verb = next((verb for verb in VERBS if verb.split()[-1] in words), None)
    if verb is not None:
        slots['verb'] = verb
    return slots


def alert_logs(line: Line) -> list[AlertLog]:
    """Return the typed alerts of a line."""
    return [
        AlertLog(
            stream=line['id'],
            duration_s=float(line['seconds']),
            windows=tuple((b, e) for b, e in alert['windows']),
            firings_s=tuple(alert['fired_s']),
        )
        for alert in line['alerts']
        if alert['spoken_at_s'] is None
    ]


def narration_score(
    line: Line,
    times_and_texts: Sequence[tuple[float, str]],
    *,
    tolerance_s: float = NARRATION_TOLERANCE_S,
) -> EventScore:
    """Return how well a line's events were narrated by these words at these times [s]."""
    true = [
        NarratedEvent(e['time_s'], {'what': e['shape'], 'color': e['color'], 'verb': e['verb']})
        for e in line['events']
    ]
    said = [NarratedEvent(time_s, slots_of(text)) for time_s, text in times_and_texts]
    return event_score(said, true, tolerance_s=tolerance_s)


def _alert_figures(lines: Sequence[Line], speech: Sequence[Speech], seed: int) -> dict[str, Any]:
    logs = [log for line in lines for log in alert_logs(line)]
    figures = alert_experience(logs, tolerance_s=ALERT_TOLERANCE_S, seed=seed)
    senses = {sense: _by_sense(lines, sense, seed) for sense in _SENSES}
    hours = sum(line['seconds'] for line in lines) / 3600
    alert_hours = sum(log.duration_s for log in logs) / 3600
    per_alert = figures['false_alerts_per_hour'].value
    spoken = [
        (alert, said)
        for line, part in zip(lines, speech, strict=True)
        for place, said in part.alerts.items()
        for alert in [line['alerts'][place]]
    ]
    due = sum(len(alert['windows']) for alert, _ in spoken)
    hit = sum(
        any(b <= t <= e + ALERT_TOLERANCE_S for t in said)
        for alert, said in spoken
        for b, e in alert['windows']
    )
    return {
        'f1': _rounded(figures['f1'].value),
        'precision': _rounded(figures['precision'].value),
        'recall': _rounded(figures['recall'].value),
        'delay_s_median': _rounded(figures['delay_median_s'].value),
        'delay_s_p90': _rounded(figures['delay_p90_s'].value),
        'false_alerts_per_hour': _rounded(per_alert),
        'false_alerts_per_hour_of_stream': _rounded(
            per_alert * alert_hours / hours if per_alert is not None and hours else None
        ),
        'by_sense': {sense: _rounded(f['f1'].value) for sense, f in senses.items()},
        'spoken_recall': _share(hit, due),
        'windows': sum(len(log.windows) for log in logs),
        'alert_hours': _rounded(alert_hours),
        'intervals': _intervals(
            f1=figures['f1'],
            delay_s_median=figures['delay_median_s'],
            false_alerts_per_hour=figures['false_alerts_per_hour'],
            **{sense: f['f1'] for sense, f in senses.items()},
        ),
    }


def _by_sense(lines: Sequence[Line], sense: str, seed: int) -> dict[str, Estimate]:
    part = [
        line | {'alerts': [alert for alert in line['alerts'] if alert['sense'] == sense]}
        for line in lines
    ]
    logs = [log for line in part for log in alert_logs(line)]
    return alert_experience(logs, tolerance_s=ALERT_TOLERANCE_S, seed=seed)


def _narration_figures(
    lines: Sequence[Line], speech: Sequence[Speech], seed: int
) -> dict[str, Any]:
    narrated = [
        (line, [(u['time_s'], u['text']) for u in part.rest])
        for line, part in zip(lines, speech, strict=True)
        if line['narrate']
    ]
    scores = [narration_score(line, said) for line, said in narrated]
    total = sum(scores, EventScore(TimeF1(0, 0, 0), {}, 0, {}))
    late = sum(
        (
            narration_score(line, said, tolerance_s=LATE_NARRATION_S).time
            for line, said in narrated
        ),
        TimeF1(0, 0, 0),
    )
    right, due = sum(total.slots_right.values()), sum(total.slots_due.values())
    in_time = 3 * total.time.num_right

    low, high = _ratio_interval(
        [2 * s.time.num_right for s in scores],
        [2 * s.time.num_right + s.time.num_wrong + s.time.num_missed for s in scores],
        seed,
    )
    return {
        'time_f1': _rounded(total.time.f1),
        'time_precision': _rounded(total.time.precision),
        'time_recall': _rounded(total.time.recall),
        'time_f1_within_2_s': _rounded(late.f1),
        'slot_accuracy': _share(right, due),
        'slot_accuracy_in_time': _share(right, in_time),
        'slots': {slot: _rounded(total.slot_accuracy(slot)) for slot in sorted(total.slots_due)},
        'event_accuracy': _rounded(total.event_accuracy),
        'events': total.time.num_right + total.time.num_missed,
        'streams': len(scores),
        'intervals': {'time_f1': [low, high]},
    }


def _question_figures(
    lines: Sequence[Line], speech: Sequence[Speech], seed: int
) -> dict[str, Any]:
    kinds: dict[str, list[list[bool]]] = {'spoken': [], 'typed': []}
    topics: dict[str, list[bool]] = {}
    answers: dict[str, int] = {}
    silent = 0
    for line, part in zip(lines, speech, strict=True):
        of_stream: dict[str, list[bool]] = {'spoken': [], 'typed': []}
        for place, question in enumerate(line['questions']):
            said = part.answers[place] if question['spoken'] else question['said']
            silent += question['spoken'] and said is None
            right = said is not None and plain_words(said) == plain_words(question['answer'])
            of_stream['spoken' if question['spoken'] else 'typed'].append(right)
            topics.setdefault(question['topic'], []).append(right)
            answer = plain_words(question['answer'])
            answers[answer] = answers.get(answer, 0) + 1
        for kind, results in of_stream.items():
            kinds[kind].append(results)
    figures: dict[str, Any] = {}
    intervals: dict[str, Any] = {}
    for kind, groups in kinds.items():
        flat = [right for group in groups for right in group]
        figures[kind] = _share(sum(flat), len(flat))
        intervals[kind] = list(
            _ratio_interval([sum(g) for g in groups], [len(g) for g in groups], seed)
        )
    total = sum(answers.values())
    return figures | {
        'constant': _share(max(answers.values(), default=0), total),
        'by_topic': {topic: _share(sum(r), len(r)) for topic, r in sorted(topics.items())},
        'spoken_unanswered': silent,
        'count': {kind: sum(map(len, groups)) for kind, groups in kinds.items()},
        'intervals': intervals,
    }


def _silent_figures(lines: Sequence[Line], speech: Sequence[Speech], seed: int) -> dict[str, Any]:
    logs = [log for line in lines for log in alert_logs(line) if not log.windows]
    figures = alert_experience(logs, tolerance_s=ALERT_TOLERANCE_S, seed=seed)
    quiet = [(i, part) for i, part in zip(lines, speech, strict=True) if not i['narrate']]
    hours = sum(line['seconds'] for line, _ in quiet) / 3600
    unasked = sum(len(part.rest) for _, part in quiet)
    return {
        'false_alerts_per_hour': _rounded(figures['false_alerts_per_hour'].value),
        'alert_hours': _rounded(sum(log.duration_s for log in logs) / 3600),
        'unasked_speech_per_hour': _rounded(unasked / hours) if hours else None,
        'unasked_speech_per_hour_high': (
            _rounded(rate_without_events_high(hours)) if hours and not unasked else None
        ),
        'stream_hours': _rounded(hours),
        'intervals': _intervals(false_alerts_per_hour=figures['false_alerts_per_hour']),
    }


def _ratio_interval(
    above: Sequence[int], below: Sequence[int], seed: int
) -> tuple[float | None, float | None]:
    """Return the interval of a ratio of sums over streams."""
    top, bottom = np.array(above, float), np.array(below, float)

    def figures(weights: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        whole = weights @ bottom
        return np.where(whole > 0, weights @ top / np.maximum(whole, 1), np.nan)

    low, high = bootstrap(figures, len(top), seed=seed)
    return _rounded(low), _rounded(high)


def _intervals(**estimates: Estimate) -> dict[str, list[float | None]]:
    return {name: [_rounded(e.low), _rounded(e.high)] for name, e in estimates.items()}


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
