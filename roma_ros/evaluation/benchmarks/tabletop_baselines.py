"""What needs no network, under the same metrics: a model has to be better than all of these."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..metrics.narration import TimeF1
from ..runner import Line
from .tabletop import plain_words
from .tabletop_score import narration_score, score_tabletop

#: Says of each second of a line whether to speak.
_Rule = Callable[[Line], list[bool]]


def baseline_figures(lines: Sequence[Line]) -> dict[str, Any]:
    """
    Return the figures of every trivial baseline on the same streams.

    ``always``, ``never``; ``every_k_seconds``; ``motion`` and ``loudness``: speak at each second
    whose largest change from frame to frame, or whose sound level, is above a threshold. Period
    and threshold are the best ones in hindsight, on these very streams, for alerts and for
    narration each: a favour that the model does not get. ``most_frequent_answer`` answers every
    question with one sentence, ``most_frequent_answer_by_topic`` knows what is asked about; both
    at the right moment. All narrate with the most frequent sentence.

    :param lines: of a run; only the truth and the signals in them are read.
    """
    rules = _blind_rules() | {
        'motion': _thresholds(lines, 'motion'),
        'loudness': _thresholds(lines, 'loudness_db'),
    }
    sentence = _most_frequent(e['text'] for line in lines for e in line['events'])
    figures: dict[str, Any] = {}
    for name, candidates in rules.items():
        alert, alert_rule = max(candidates, key=lambda c: _alert_f1(lines, c[1]))
        narration, narration_rule = max(candidates, key=lambda c: _time_f1(lines, c[1]))
        played = [_speak(line, alert_rule, narration_rule, sentence) for line in lines]
        scored = score_tabletop(played)
        figures[name] = {
            'alert': _without_intervals(scored['alert']),
            'narration': _without_intervals(scored['narration']),
            'silent': _without_intervals(scored['silent']),
            'speech': _without_intervals(scored['speech']),
        }
        if alert is not None:
            figures[name]['setting'] = {'alert': alert, 'narration': narration}
    figures['most_frequent_answer'] = {'questions': _answers(lines, by_topic=False)}
    figures['most_frequent_answer_by_topic'] = {'questions': _answers(lines, by_topic=True)}
    return figures


def alert_baselines(lines: Sequence[Line]) -> dict[str, Any]:
    """
    Return the figures of the baselines that neither see nor hear, on alerts alone.

    :param lines: with alerts; nothing else of them is read.
    """
    figures: dict[str, Any] = {}
    for name, candidates in _blind_rules().items():
        _, rule = max(candidates, key=lambda c: _alert_f1(lines, c[1]))
        scored = score_tabletop([_speak(line, rule, rule, '') for line in lines])
        figures[name] = {
            'alert': _without_intervals(scored['alert']),
            'silent': _without_intervals(scored['silent']),
        }
    return figures


def _blind_rules() -> dict[str, list[tuple[Any, _Rule]]]:
    return {
        'always': [(None, lambda line: [True] * int(line['seconds']))],
        'never': [(None, lambda line: [False] * int(line['seconds']))],
        'every_k_seconds': [(k, _every(k)) for k in range(2, 9)],
    }


def _every(k: int) -> _Rule:
    return lambda line: [(i + 1) % k == 0 for i in range(int(line['seconds']))]


def _above(name: str, threshold: float) -> _Rule:
    return lambda line: [value >= threshold for value in line[name]]


def _thresholds(lines: Sequence[Line], name: str) -> list[tuple[Any, _Rule]]:
    values = np.concatenate([line[name] for line in lines])
    levels = sorted({round(float(v), 3) for v in np.quantile(values, np.linspace(0.05, 0.98, 20))})
    return [(level, _above(name, level)) for level in levels]


def _fired(line: Line, rule: _Rule) -> list[float]:
    return [float(i + 1) for i, speaks in enumerate(rule(line)) if speaks]


def _speak(line: Line, alert: _Rule, narration: _Rule, sentence: str) -> Line:
    fired = _fired(line, alert)
    alerts = [
        entry if entry['spoken_at_s'] is not None else entry | {'fired_s': fired}
        for entry in line['alerts']
    ]
    said = [
        {'time_s': t, 'kind': 'narration', 'text': sentence}
        for t in (_fired(line, narration) if line['narrate'] else ())
    ]
    questions = [q if q['spoken'] else q | {'said': None} for q in line['questions']]
    return line | {'alerts': alerts, 'utterances': said, 'questions': questions}


def _alert_f1(lines: Sequence[Line], rule: _Rule) -> float:
    from .tabletop_thresholds import alert_counts

    return alert_counts([_speak(line, rule, rule, '') for line in lines]).f1


def _time_f1(lines: Sequence[Line], rule: _Rule) -> float:
    total = TimeF1(0, 0, 0)
    for line in lines:
        if line['narrate']:
            total += narration_score(line, [(t, '') for t in _fired(line, rule)]).time
    return total.f1


def _answers(lines: Sequence[Line], *, by_topic: bool) -> dict[str, Any]:
    questions = [question for line in lines for question in line['questions']]
    of_topic: dict[str, list[str]] = {}
    for question in questions:
        topic = question['topic'] if by_topic else ''
        of_topic.setdefault(topic, []).append(plain_words(question['answer']))
    best = {topic: _most_frequent(answers) for topic, answers in of_topic.items()}
    figures: dict[str, Any] = {}
    for kind, spoken in (('spoken', True), ('typed', False)):
        part = [q for q in questions if q['spoken'] is spoken]
        right = sum(plain_words(q['answer']) == best[q['topic'] if by_topic else ''] for q in part)
        figures[kind] = round(right / len(part), 4) if part else None
    return figures


def _most_frequent(values: Any) -> str:
    counts = Counter(values)
    # The first in the alphabet of those that are equally frequent: the same at every call.
    return min(counts, key=lambda v: (-counts[v], v), default='')


def _without_intervals(figures: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in figures.items() if key != 'intervals'}
