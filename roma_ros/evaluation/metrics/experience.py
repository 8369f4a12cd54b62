"""
What a user feels: alerts that come late, never or for nothing, and speech that nobody wanted.

For any labelled stream; the definitions are this project's own. Times are seconds from the
stream's begin, at which the robot spoke: the end of the unit that decided, not the unit's begin.
Every figure comes with an interval over streams, see :func:`.intervals.bootstrap`; where nothing
was counted (no false alert, no miss) the interval is that of the rule of three.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
import math

import numpy as np
import numpy.typing as npt

from .intervals import (
    bounded,
    Estimate,
    quantile_estimates,
    rate_without_events_high,
    ratio_estimate,
    share_without_events_high,
)
from .spans import check_spans, check_times, contains, match_times, Span

_FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class AlertLog:
    """
    One alert over one stream: when it was due and when it fired.

    :param stream: name of the stream; alerts of one stream are resampled together.
    :param duration_s: how long the alert stood.
    :param windows: closed spans in which it holds; none: each firing is false.
    :param firings_s: when the robot gave it, in any order.
    :raises ValueError: when a number is not finite, a span is reversed, or there was no time.
    """

    stream: str
    duration_s: float
    windows: tuple[Span, ...]
    firings_s: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_duration(self.duration_s, what=f'the alert on {self.stream!r}')
        check_spans(self.windows, what=f'the alert on {self.stream!r}')
        check_times(self.firings_s, what=f'the alert on {self.stream!r}')


@dataclass(frozen=True)
class AlertMatch:
    """
    What became of one alert's windows and firings.

    :param delays_s: for each window the delay of its hit behind its begin [s]; None: missed.
    :param false_s: firings outside every window, in order.
    :param repeats_s: firings in a window that was hit already: neither right nor wrong.
    """

    delays_s: tuple[float | None, ...]
    false_s: tuple[float, ...]
    repeats_s: tuple[float, ...]


@dataclass(frozen=True)
class Spoken:
    """One utterance: when its first and its last segment were said [s], and its text."""

    start_s: float
    end_s: float
    text: str = ''


@dataclass(frozen=True, kw_only=True)
class SpeechLog:
    """
    All that the robot said in one stream, and when it was right to speak.

    :param stream: name of the stream.
    :param duration_s: its length.
    :param utterances: what the robot said.
    :param due: closed spans in which speech may begin: windows of alerts, the seconds after a
        question or after an event to narrate, tolerance included.
    :param questions_s: when each question had been asked.
    :param human_speech: spans in which a person spoke.
    :raises ValueError: when a number is not finite, a span is reversed, or there was no time.
    """

    stream: str
    duration_s: float
    utterances: tuple[Spoken, ...]
    due: tuple[Span, ...] = ()
    questions_s: tuple[float, ...] = ()
    human_speech: tuple[Span, ...] = ()

    def __post_init__(self) -> None:
        what = f'the speech on {self.stream!r}'
        _check_duration(self.duration_s, what=what)
        check_spans([(u.start_s, u.end_s) for u in self.utterances], what=what)
        check_spans(self.due, what=what)
        check_spans(self.human_speech, what=what)
        check_times(self.questions_s, what=what)


def match_alerts(log: AlertLog, *, tolerance_s: float = 0.0) -> AlertMatch:
    """
    Pair firings with windows.

    A firing within [begin, end + ``tolerance_s``] of a window hits it; each window is hit once,
    by the pairing of :func:`.spans.match_times`. Further firings inside hit windows are repeats.
    A firing before a window's begin is false, however close: nobody can know before.

    :param log: one alert on one stream.
    :param tolerance_s: how long after a window's end a firing still counts, at least 0.
    """
    if not tolerance_s >= 0:
        raise ValueError(f'tolerance_s is {tolerance_s}, expected at least 0')
    reach = [(start_s, end_s + tolerance_s) for start_s, end_s in log.windows]
    hits = match_times(log.firings_s, reach)
    delays = tuple(
        None if hit is None else log.firings_s[hit] - start_s
        for hit, (start_s, _) in zip(hits, reach, strict=True)
    )
    rest = sorted(log.firings_s[i] for i in range(len(log.firings_s)) if i not in set(hits))
    inside = [contains(reach, time_s) for time_s in rest]
    return AlertMatch(
        delays_s=delays,
        false_s=tuple(t for t, known in zip(rest, inside, strict=True) if not known),
        repeats_s=tuple(t for t, known in zip(rest, inside, strict=True) if known),
    )


def alert_experience(
    logs: Sequence[AlertLog], *, tolerance_s: float = 0.0, seed: int = 0
) -> dict[str, Estimate]:
    """
    Return what alerts are like for a user.

    ``false_alerts_per_hour``: false firings over the hours that alerts stood, summed over
    alerts: per hour *and instruction*; who has five alerts hears five times as many.
    ``missed_rate``: share of windows without a hit. ``delay_median_s`` and ``delay_p90_s``: hits
    alone, from the window's begin; trap: a system that misses what is hard looks fast, so read
    them beside the missed rate. ``precision``, ``recall`` and ``f1``: hits, false firings and
    missed windows summed over all logs first (micro); repeats are left out; F1 of nothing due
    and nothing fired is not defined. ``repeats_per_hit``: further firings inside a window.

    :param logs: every alert on every stream.
    :param tolerance_s: as in :func:`match_alerts`.
    :param seed: of the intervals.
    :return: the figures by these names.
    """
    names = sorted({log.stream for log in logs})
    group = {name: i for i, name in enumerate(names)}
    counts = np.zeros((len(names), 5))  # windows, hits, false, repeats, hours
    delays: list[list[float]] = [[] for _ in names]
    for log in logs:
        match = match_alerts(log, tolerance_s=tolerance_s)
        hits = [delay for delay in match.delays_s if delay is not None]
        delays[group[log.stream]] += hits
        counts[group[log.stream]] += (
            len(log.windows),
            len(hits),
            len(match.false_s),
            len(match.repeats_s),
            log.duration_s / 3600,
        )
    num_windows, num_hits, num_false, num_repeats, hours = counts.sum(0)
    missed, num_windows = int(num_windows - num_hits), int(num_windows)

    def ratio(above: Sequence[float], below: Sequence[float], count: float) -> Estimate:
        return ratio_estimate(counts @ np.array(above), counts @ np.array(below), int(count), seed)

    figures = {
        'false_alerts_per_hour': bounded(
            ratio((0, 0, 1, 0, 0), (0, 0, 0, 0, 1), num_false),
            high=rate_without_events_high(hours) if not num_false else None,
        ),
        'missed_rate': bounded(
            ratio((1, -1, 0, 0, 0), (1, 0, 0, 0, 0), num_windows),
            high=share_without_events_high(num_windows) if not missed else None,
            low=1 - share_without_events_high(num_windows) if not num_hits else None,
        ),
        'precision': ratio((0, 1, 0, 0, 0), (0, 1, 1, 0, 0), num_hits + num_false),
        'recall': ratio((0, 1, 0, 0, 0), (1, 0, 0, 0, 0), num_windows),
        'f1': ratio((0, 2, 0, 0, 0), (1, 1, 1, 0, 0), num_windows + num_false),
        'repeats_per_hit': ratio((0, 0, 0, 1, 0), (0, 1, 0, 0, 0), num_repeats),
    }
    return figures | quantile_estimates('delay', delays, seed)


def speech_experience(
    logs: Sequence[SpeechLog], *, reply_within_s: float = 10.0, seed: int = 0
) -> dict[str, Estimate]:
    """
    Return what the robot's speech is like for a user.

    ``due_share``: share of spoken seconds in utterances that began when speech was due; the rest
    of such an utterance is due as well: a sentence may be finished. An utterance without length
    counts as 0.1 s. ``utterances_per_hour``. ``interruptions_per_hour``: utterances that began
    while a person spoke, the last moment of the speech excluded. ``first_word_median_s`` and
    ``first_word_p90_s``: from a question to the begin of the first utterance after it, where
    that comes within ``reply_within_s`` and before the next question; ``unanswered_rate``:
    questions without one. Trap: any utterance counts as a reply here, what it says is judged
    elsewhere.

    :param logs: all streams.
    :param reply_within_s: longest wait for a reply.
    :param seed: of the intervals.
    :return: the figures by these names.
    """
    counts = np.zeros((len(logs), 7))
    delays: list[list[float]] = []
    for row, log in zip(counts, logs, strict=True):
        lengths = np.array([max(0.1, u.end_s - u.start_s) for u in log.utterances])
        due = np.array([contains(log.due, u.start_s) for u in log.utterances], bool)
        replies = _reply_delays(log, reply_within_s)
        delays.append([delay for delay in replies if delay is not None])
        row[:] = (
            lengths.sum(),
            lengths[due].sum(),
            len(log.utterances),
            _num_interruptions(log),
            log.duration_s / 3600,
            len(replies),
            len(replies) - len(delays[-1]),
        )
    spoken, due_s, utterances, interruptions, hours, questions, unanswered = counts.T
    total_hours = float(hours.sum())
    num_questions = int(questions.sum())
    figures = {
        'due_share': ratio_estimate(due_s, spoken, int(utterances.sum()), seed),
        'utterances_per_hour': bounded(
            ratio_estimate(utterances, hours, int(utterances.sum()), seed),
            high=rate_without_events_high(total_hours) if not utterances.sum() else None,
        ),
        'interruptions_per_hour': bounded(
            ratio_estimate(interruptions, hours, int(interruptions.sum()), seed),
            high=rate_without_events_high(total_hours) if not interruptions.sum() else None,
        ),
        'unanswered_rate': bounded(
            ratio_estimate(unanswered, questions, num_questions, seed),
            high=share_without_events_high(num_questions) if not unanswered.sum() else None,
        ),
    }
    return figures | quantile_estimates('first_word', delays, seed)


def _reply_delays(log: SpeechLog, within_s: float) -> list[float | None]:
    starts = sorted(u.start_s for u in log.utterances)
    delays: list[float | None] = []
    for question_s, next_s in pairwise([*sorted(log.questions_s), math.inf]):
        reply_s = next((s for s in starts if question_s <= s < next_s), math.inf)
        delays.append(reply_s - question_s if reply_s - question_s <= within_s else None)
    return delays


def _num_interruptions(log: SpeechLog) -> int:
    return sum(
        any(start_s <= u.start_s < end_s for start_s, end_s in log.human_speech)
        for u in log.utterances
    )


def _check_duration(duration_s: float, *, what: str) -> None:
    if not 0 < duration_s < math.inf:
        raise ValueError(f'{what} lasts {duration_s} s; expected more than 0')
