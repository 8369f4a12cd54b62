"""The run on one page: ``report.html``, one file that needs no network."""

from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
import json
from pathlib import Path
from string import Template
from typing import Any

from .page import row, style, table
from .record import StreamRecord
from .report_tracks import draw_tracks, KINDS, LATENCY_LIMIT_MS
from .summary import SUMMARY_KEYS
from .timeline import clock, Timeline
from .truth import Truth


def write_report(
    path: Path, record: StreamRecord, summary: Mapping[str, Any], *, truth: Truth | None = None
) -> None:
    """
    Write the report of a record.

    :param path: the HTML file.
    :param record: what was recorded.
    :param summary: the keys of ``SUMMARY_KEYS``.
    :param truth: what is known to be in the recording that was played.
    """
    path.write_text(render_report(record, summary, truth=truth), encoding='utf-8')


def render_report(
    record: StreamRecord, summary: Mapping[str, Any], *, truth: Truth | None = None
) -> str:
    """Return the report as HTML; every text of the record in it is escaped."""
    line = Timeline(record.start_ns, record.end_ns)
    axis = line.axis()
    tracks = [axis, *draw_tracks(line, record, truth), axis]
    template = Template(files(__package__).joinpath('report.html').read_text(encoding='utf-8'))
    return template.substitute(
        style=style(),
        subtitle=escape(
            f'{Path(summary["model"] or "no model").name} · {summary["engine"]} · '
            f'{summary["device"]} · {summary["machine"]} · {summary["date"]}'
        ),
        tiles=''.join(_tiles(summary)),
        tracks=''.join(row(track, line.width) for track in tracks),
        plot_width=line.width,
        utterances=_utterance_table(record, line),
        highlights=_highlight_table(record, line),
        figures=_figure_table(summary),
        data=_readings(record, line),
    )


def _tiles(summary: Mapping[str, Any]) -> Iterable[str]:
    """Yield the figures that a reader looks for first; a bad one is marked."""

    def number(key: str, unit: str = '') -> str:
        value = summary[key]
        return '–' if value is None else f'{value:,.4g}{unit}' if value < 1e4 else f'{value:,}'

    dropped, published = summary['frames_dropped'], summary['frames_published']
    p95_ms = summary['unit_latency_p95_ms']
    offset_ms = summary['clap_offset_ms']
    share = f'{100 * dropped / published:.2f} %' if dropped is not None and published else '–'
    yield _tile('Stream', clock(summary['duration_s']), f'{number("units")} units')
    yield _tile(
        'Units dropped', number('units_dropped'), 'fell behind', bad=bool(summary['units_dropped'])
    )
    yield _tile(
        'Unit latency, p95',
        number('unit_latency_p95_ms', ' ms'),
        f'median {number("unit_latency_p50_ms", " ms")}',
        bad=p95_ms is not None and p95_ms >= LATENCY_LIMIT_MS,
    )
    yield _tile('Real-time factor', number('real_time_factor'), 'below 1 keeps up')
    yield _tile(
        'Frames dropped',
        share,
        f'{number("frames_received")} received',
        bad=dropped is not None and bool(published) and dropped > published / 100,
    )
    yield _tile(
        'Audio gaps',
        number('audio_gaps'),
        f'{number("audio_gap_ms", " ms")} in the record',
        bad=bool(summary['audio_gaps']),
    )
    yield _tile('Utterances', number('utterances'), f'highlights: {number("highlights")}')
    yield _tile(
        'Click minus flash',
        number('clap_offset_ms', ' ms'),
        'no clap found' if offset_ms is None else 'clap, as recorded',
    )


def _tile(name: str, value: str, note: str, *, bad: bool = False) -> str:
    return (
        f'<div class="tile{" bad" if bad else ""}"><span>{escape(name)}</span>'
        f'<b>{escape(value)}</b><small>{escape(note)}</small></div>'
    )


def _utterance_table(record: StreamRecord, line: Timeline) -> str:
    rows = [
        (
            f'{line.seconds(item.start_ns):.1f}',
            KINDS.get(item.kind, 'other'),
            item.instruction_id,
            item.text if item.final else item.text + ' …',
            f'{item.probability:.2f}',
            f'{item.latency_ms:.0f}',
        )
        for item in record.utterances
    ]
    head = ('at [s]', 'kind', 'instruction', 'text', 'probability', 'latency [ms]')
    return table(head, rows, empty='Nothing was said.')


def _highlight_table(record: StreamRecord, line: Timeline) -> str:
    rows = [
        (
            f'{line.seconds(item.start_ns):.1f}',
            f'{line.seconds(item.end_ns):.1f}',
            item.instruction_id,
            item.instruction,
            f'{item.score:.2f}',
        )
        for item in record.highlights
    ]
    head = ('from [s]', 'to [s]', 'instruction', 'wish', 'score')
    return table(head, rows, empty='No highlight.')


def _figure_table(summary: Mapping[str, Any]) -> str:
    rows = [
        (key, '–' if summary[key] is None else str(summary[key]), meaning)
        for key, meaning in SUMMARY_KEYS.items()
    ]
    return table(('figure', 'value', 'meaning'), rows, empty='')


def _readings(record: StreamRecord, line: Timeline) -> str:
    """Return what the pointer reads, as JSON that cannot end its script element."""
    units: dict[int, dict[str, Any]] = {}
    for score in record.scores:
        unit = units.setdefault(
            score.unit_index,
            {
                'unit': score.unit_index,
                'start': round(line.seconds(score.start_ns), 3),
                'end': round(line.seconds(score.end_ns), 3),
                'latency': round(score.latency_ms, 1),
                'compute': round(score.compute_ms, 1),
                'scores': [],
            },
        )
        unit['scores'].append(
            {
                'instruction': score.instruction_id,
                'kind': KINDS.get(score.kind, 'other'),
                'probability': round(score.probability, 4),
                'threshold': round(score.threshold, 4),
            }
        )
    data = {'pxPerS': line.px_per_s, 'durationS': line.duration_s, 'units': list(units.values())}
    return json.dumps(data, separators=(',', ':')).replace('<', '\\u003c')
