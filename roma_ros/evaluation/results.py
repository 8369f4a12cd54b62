"""Results of ``roma eval`` as they lie on disk: figures, and the line of each sample."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
import json
from pathlib import Path
from typing import Any

from .metrics.experience import alert_experience, AlertLog
from .metrics.intervals import Estimate
from .metrics.spans import Span
from .runner import Line
from .words import MAIN

#: How long after a window's end an alert still counts [s]: the unit that holds the end decides.
TOLERANCE_S = 1.0
#: Groups of the tabletop's figures.
_TABLETOP_GROUPS = ('alert', 'narration', 'questions', 'silent', 'speech')
#: Figures that stand in the report of every benchmark with alerts, as it names them.
_USER_FIGURES = {
    'false_alerts_per_hour': 'false alerts per hour',
    'missed_rate': 'missed rate',
    'delay_median_s': 'delay, median [s]',
    'delay_p90_s': 'delay, p90 [s]',
}

_TRAINED = {
    True: 'TRAINED ON IT',
    False: 'never saw it',
    None: 'not known whether it saw it',
}

#: A figure and its interval, where it has one.
Figure = tuple[float | None, tuple[float, float] | None]


@dataclass(frozen=True)
class Track:
    """
    One instruction on one sample: what the model scored, did, and should have done.

    :param kind: alert or narration.
    :param text: of the instruction.
    :param group: its sense, where it has one; else empty.
    :param probabilities: of each second; 0 before it stood.
    :param fired_s: when it spoke.
    :param windows: when it was due.
    :param stood_s: how long it stood.
    """

    kind: str
    text: str
    group: str
    probabilities: tuple[float, ...]
    fired_s: tuple[float, ...]
    windows: tuple[Span, ...]
    stood_s: float


@dataclass(frozen=True)
class Result:
    """
    One benchmark on one model.

    :param benchmark: its name in ``roma eval --list``.
    :param about: what stands under the model's name: how many samples, whether it saw the set.
    :param date: ISO 8601; empty: not known.
    :param figures: by their names.
    :param baselines: the same of what needs no model, by its name.
    :param published: what others published, as dictionaries of ``Published``.
    :param thresholds: of the triggers, by kind of instruction.
    :param lines: of the samples; none where they are not there.
    """

    benchmark: str
    title: str
    model: str
    about: tuple[str, ...]
    date: str
    figures: dict[str, Figure]
    baselines: dict[str, dict[str, Figure]] = field(default_factory=dict)
    published: tuple[Mapping[str, Any], ...] = ()
    thresholds: dict[str, float] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()


def read_results(path: Path, *, lines: Path | None = None) -> list[Result]:
    """
    Read what ``roma eval --json`` or ``roma human --json`` wrote, with the lines beside it.

    :param path: the JSON file.
    :param lines: folder of the lines; None: where ``roma eval`` leaves them.
    :raises ValueError: when it is not such a file, or the lines are of another model.
    """
    folder = lines or path.with_suffix('.lines')
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        items = content.get('results', [content])
        return [_result(item, folder) for item in items]
    except (AttributeError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f'not the result of an evaluation ({type(error).__name__}: {error}); expected what '
            f'`roma eval NAME --json FILE` writes: {path}'
        ) from error


def tracks_of(line: Line) -> Iterator[Track]:
    """Yield every alert and narration of a line, whatever benchmark it is of."""
    if 'alerts' in line:
        yield from _tabletop_tracks(line)
        return
    truth = line['truth']
    segments = _spans(truth.get('segments', ()))
    if segments:
        yield _track(line, MAIN, 'narration', 'narrate', segments)
        return
    for name in line['probabilities']:
        if name != MAIN:
            yield _track(line, name, 'alert', str(truth.get('text', name)), _windows(truth, line))


def seconds_due(track: Track) -> list[bool]:
    """Tell for each second of a track whether it was right to speak at its end."""
    return [
        any(start <= second + 1 <= end + TOLERANCE_S for start, end in track.windows)
        for second in range(len(track.probabilities))
    ]


def user_figures(lines: Sequence[Line]) -> dict[str, Figure]:
    """Return what a user feels of the alerts of any benchmark's lines; empty without alerts."""
    logs = [
        AlertLog(
            stream=str(line['id']),
            duration_s=track.stood_s,
            windows=track.windows,
            firings_s=track.fired_s,
        )
        for line in lines
        for track in tracks_of(line)
        if track.kind == 'alert' and track.stood_s
    ]
    if not logs:
        return {}
    figures = alert_experience(logs, tolerance_s=TOLERANCE_S)
    return {
        f'what a user feels: {words}': (figures[name].value, _interval(_ends(figures[name])))
        for name, words in _USER_FIGURES.items()
    }


def _ends(estimate: Estimate) -> tuple[float | None, float | None]:
    return estimate.low, estimate.high


def _result(item: Mapping[str, Any], folder: Path) -> Result:
    if 'benchmark' not in item:
        return _person(item)
    name = item['benchmark']
    if name == 'tabletop':
        return _tabletop(item, folder)
    lines = _read_lines(folder / f'{name}.jsonl', item)
    return Result(
        benchmark=name,
        title=item['title'],
        model=item['model']['name'],
        about=(f'{item["samples"]} samples', _TRAINED[item['trained_on_it']]),
        date=item['date'],
        figures={key: (value, None) for key, value in item['figures'].items()}
        | user_figures(lines),
        published=tuple(item['published']),
        thresholds=_thresholds(item['settings']['triggers']),
        lines=lines,
    )


def _tabletop(item: Mapping[str, Any], folder: Path) -> Result:
    trained_on = item['trained_on']
    return Result(
        benchmark='tabletop',
        title=f'Tabletop, {item["split"]} split',
        model=item['model']['name'],
        about=(
            f'{item["seeds"]["count"]} streams',
            _TRAINED[None if trained_on is None else 'tabletop' in trained_on],
        ),
        date=item['date'],
        figures=_tabletop_figures(item),
        baselines={key: _tabletop_figures(row) for key, row in item['baselines'].items()},
        thresholds=_thresholds(item['thresholds']),
        lines=_read_lines(folder / f'{item["split"]}.jsonl', item),
    )


def _person(item: Mapping[str, Any]) -> Result:
    """Return what ``roma human`` wrote: alerts of a person, and of others on the same clips."""
    return Result(
        benchmark='tabletop',
        title='Alerts, against a person',
        model=item['model']['name'],
        about=('a person',),
        date='',
        figures=_tabletop_figures({'alert': item['alert']}),
        baselines={
            key: _tabletop_figures({'alert': row.get('alert', {})})
            for key, row in item['baselines'].items()
        },
    )


def _thresholds(triggers: Mapping[str, Any]) -> dict[str, float]:
    return {kind: t['threshold'] for kind, t in triggers.items() if isinstance(t, Mapping)}


def _read_lines(path: Path, item: Mapping[str, Any]) -> tuple[Line, ...]:
    if not path.is_file():
        return ()
    first, *rest = path.read_text(encoding='utf-8').splitlines()
    found = json.loads(first)['identity']['model']
    if found != item['model']:
        raise ValueError(
            f'the lines are of model {found["name"]} ({found["digest"]}), the figures of '
            f'{item["model"]["name"]} ({item["model"]["digest"]}): {path}'
        )
    return tuple(json.loads(line) for line in rest)


def _tabletop_figures(item: Mapping[str, Any]) -> dict[str, Figure]:
    """Lay the figures of the groups side by side; an interval stands with its figure."""
    figures: dict[str, Figure] = {}
    for group in _TABLETOP_GROUPS:
        part = item.get(group, {})
        intervals = part.get('intervals', {})
        for key, value in part.items():
            if isinstance(value, int | float) or value is None:
                figures[f'{group}: {key}'] = (value, _interval(intervals.get(key)))
            elif isinstance(value, Mapping) and key != 'intervals':
                of_sense = intervals if key == 'by_sense' else {}
                for sub, number in value.items():
                    figures[f'{group}: {key}, {sub}'] = (number, _interval(of_sense.get(sub)))
    return figures


def _interval(ends: Sequence[float | None] | None) -> tuple[float, float] | None:
    if ends is None or ends[0] is None or ends[1] is None:
        return None
    return ends[0], ends[1]


def _tabletop_tracks(line: Line) -> Iterator[Track]:
    for alert in line['alerts']:
        if 'probabilities' in alert:
            yield Track(
                kind='alert',
                text=alert['text'],
                group=alert['sense'],
                probabilities=tuple(alert['probabilities']),
                fired_s=tuple(alert['fired_s']),
                windows=_spans(alert['windows']),
                stood_s=float(line['seconds']),
            )
    if line['narrate']:
        yield Track(
            kind='narration',
            text='narrate',
            group='',
            probabilities=tuple(line['probabilities']),
            fired_s=tuple(line['fired_s']),
            windows=tuple((e['time_s'], e['time_s'] + TOLERANCE_S) for e in line['events']),
            stood_s=float(line['seconds']),
        )


def _track(line: Line, name: str, kind: str, text: str, windows: tuple[Span, ...]) -> Track:
    probabilities = line['probabilities'].get(name, ())
    return Track(
        kind=kind,
        text=text,
        group='',
        probabilities=tuple(p or 0.0 for p in probabilities),
        fired_s=tuple(line['fired_s'].get(name, ())),
        windows=windows,
        stood_s=float(sum(p is not None for p in probabilities)),
    )


def _windows(truth: Mapping[str, Any], line: Line) -> tuple[Span, ...]:
    """Return when the alert of a public benchmark was due, in the words of its annotation."""
    if 'relevant_windows' in truth:
        return _spans(truth['relevant_windows'])
    if 'span' in truth:
        return _spans([sorted(truth['span'])])
    if 'start_s' in truth:
        return _spans(zip(truth['start_s'], truth['end_s'], strict=True))
    if 'true_s' in truth:
        return ((truth['true_s'] - 2.0, truth['true_s'] + 2.0),)
    if 'clue_s' in truth:
        return ((truth['clue_s'], max(truth['clue_s'], float(line['seconds']))),)
    return ()


def _spans(pairs: Any) -> tuple[Span, ...]:
    return tuple((float(start), float(end)) for start, end in pairs)
