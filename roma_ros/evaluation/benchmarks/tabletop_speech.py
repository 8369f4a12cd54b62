"""What the robot's own speech on a tabletop stream is like for a user."""

from collections.abc import Sequence
from typing import Any

from ..metrics.experience import speech_experience, SpeechLog, Spoken
from ..runner import Line


def speech_log(
    line: Line, *, alert_tolerance_s: float, narration_tolerance_s: float, answer_within_s: float
) -> SpeechLog:
    """
    Return all that was said in a stream, and when something was due.

    Said: narration, answers to spoken questions and alerts, typed ones among them. Answers to
    typed questions are left out: they are given at once, when asked. Due: windows of alerts, the
    seconds after a spoken question, and those after an event where the stream is narrated.
    Every utterance is a few words and counts the same. Trap: a false alert counts as due where
    anything else was.

    :param line: of :class:`.tabletop.TabletopWorker`, or of a person.
    :param alert_tolerance_s: how long after a window an alert still counts.
    :param narration_tolerance_s: how long after an event its narration does.
    :param answer_within_s: how long after a spoken question its answer does.
    """
    said = [(u['time_s'], u['text']) for u in line['utterances']]
    said += [(t, alert['text']) for alert in line['alerts'] for t in alert.get('fired_s', ())]
    asked_s = [q['time_s'] for q in line['questions'] if q['spoken']]
    events = line['events'] if line['narrate'] else ()
    return SpeechLog(
        stream=line['id'],
        duration_s=float(line['seconds']),
        utterances=tuple(Spoken(t, t, text) for t, text in sorted(said)),
        due=(
            *((b, e + alert_tolerance_s) for alert in line['alerts'] for b, e in alert['windows']),
            *((t, t + answer_within_s) for t in asked_s),
            *((e['time_s'], e['time_s'] + narration_tolerance_s) for e in events),
        ),
        questions_s=tuple(asked_s),
        human_speech=tuple((s['start_s'], s['end_s']) for s in line.get('speech', ())),
    )


def speech_figures(
    logs: Sequence[SpeechLog], *, reply_within_s: float, seed: int
) -> dict[str, Any]:
    """
    Return :func:`..metrics.experience.speech_experience` as JSON can hold it.

    :param logs: of all streams.
    :param reply_within_s: longest wait for a reply.
    :param seed: of the intervals.
    """
    figures = speech_experience(logs, reply_within_s=reply_within_s, seed=seed)
    intervals = {
        name: [_rounded(e.low), _rounded(e.high)]
        for name, e in figures.items()
        if e.low is not None
    }
    return {name: _rounded(e.value) for name, e in figures.items()} | {'intervals': intervals}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
