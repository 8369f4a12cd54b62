"""What a tabletop stream called for beside what came of it, one row each; nothing is left out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..metrics.experience import match_alerts
from ..metrics.spans import match_times
from ..runner import Line
from .tabletop import plain_words
from .tabletop_score import (
    alert_logs,
    ALERT_TOLERANCE_S,
    NARRATION_TOLERANCE_S,
    slots_of,
    split_speech,
)


@dataclass(frozen=True)
class Verdict:
    """
    One thing that was due, or that came uncalled for.

    :param at_s: when.
    :param kind: alert, spoken alert, narration, typed question, spoken question, or speech.
    :param due: what was true, or asked; empty: nothing was due.
    :param came: what came, and when; empty: nothing.
    :param right: whether that was right, by the definitions of the figures.
    """

    at_s: float
    kind: str
    due: str
    came: str
    right: bool


def verdicts(line: Line) -> list[Verdict]:
    """Return all verdicts on a line, in the order of time."""
    found = [*_alerts(line), *_speech(line), *_typed(line)]
    return sorted(found, key=lambda verdict: verdict.at_s)


def summary_of(found: Sequence[Verdict]) -> str:
    """Return the verdicts in a few words."""
    due = [verdict for verdict in found if verdict.due]
    right = sum(verdict.right for verdict in due)
    return f'{right} of {len(due)} right, {len(found) - len(due)} uncalled for'


def _alerts(line: Line) -> Iterator[Verdict]:
    typed = [alert for alert in line['alerts'] if alert['spoken_at_s'] is None]
    for alert, log in zip(typed, alert_logs(line), strict=True):
        match = match_alerts(log, tolerance_s=ALERT_TOLERANCE_S)
        for (begin_s, end_s), delay_s in zip(log.windows, match.delays_s, strict=True):
            due = f'{alert["text"]} ({begin_s:.1f} to {end_s:.1f} s)'
            came = '' if delay_s is None else f'alert at {begin_s + delay_s:.0f} s'
            yield Verdict(begin_s, 'alert', due, came, delay_s is not None)
        for time_s in match.false_s:
            yield Verdict(time_s, 'alert', '', f'alert: {alert["text"]}', right=False)


def _speech(line: Line) -> Iterator[Verdict]:
    """Judge what the stream itself said: answers, spoken alerts, narration, and the rest."""
    speech = split_speech(line)
    for place, said in speech.answers.items():
        question = line['questions'][place]
        yield _answer(question, 'spoken question', said)
    for place, times_s in speech.alerts.items():
        alert = line['alerts'][place]
        for begin_s, end_s in alert['windows']:
            hits = [t for t in times_s if begin_s <= t <= end_s + ALERT_TOLERANCE_S]
            due = f'{alert["text"]} ({begin_s:.1f} to {end_s:.1f} s)'
            came = f'alert at {hits[0]:.0f} s' if hits else ''
            yield Verdict(begin_s, 'spoken alert', due, came, bool(hits))
    rest = speech.rest
    events = line['events'] if line['narrate'] else []
    spans = [(e['time_s'], e['time_s'] + NARRATION_TOLERANCE_S) for e in events]
    hits_of = match_times([u['time_s'] for u in rest], spans)
    for event, hit in zip(events, hits_of, strict=True):
        said = '' if hit is None else rest[hit]['text']
        true = {'what': event['shape'], 'color': event['color'], 'verb': event['verb']}
        yield Verdict(event['time_s'], 'narration', event['text'], said, slots_of(said) == true)
    for place, utterance in enumerate(rest):
        if place not in hits_of:
            yield Verdict(utterance['time_s'], 'speech', '', utterance['text'], right=False)


def _typed(line: Line) -> Iterator[Verdict]:
    for question in line['questions']:
        if not question['spoken']:
            yield _answer(question, 'typed question', question['said'])


def _answer(question: Line, kind: str, said: str | None) -> Verdict:
    answer = question['answer']
    right = said is not None and plain_words(said) == plain_words(answer)
    return Verdict(
        question['time_s'], kind, f'{question["text"]}? {answer}', (said or '').strip(), right
    )
