"""Results on one page: figures beside those of others, curves, delays, samples."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path
import re
from string import Template
from typing import Any

import numpy as np

from .benchmarks.registry import BENCHMARKS
from .benchmarks.tabletop_verdicts import summary_of, Verdict, verdicts
from .canvas import PngCanvas, SvgCanvas
from .metrics.calibration_error import expected_calibration_error, reliability
from .metrics.curves import Curve, sweep_thresholds
from .metrics.experience import AlertLog, match_alerts
from .page import style, table
from .plots import delay_plot, Plot, precision_recall_plot, reliability_plot, roc_plot, SIZE
from .published import ABLATION_COLUMNS, ABLATIONS, PUBLISHED, SOURCE
from .result_baselines import baseline_figures
from .results import Figure, Result, seconds_due, TOLERANCE_S, Track, tracks_of
from .sample_timeline import draw_sample, pictures_of


def write_results_report(
    folder: Path, results: Sequence[Result], *, num_samples: int = 6, data: Path | None = None
) -> list[Path]:
    """
    Write ``report.html``, one file that needs no network, and each plot as PNG.

    :param folder: is made.
    :param results: of any benchmarks and models; those of one benchmark share a table.
    :param num_samples: samples of each result whose timelines are drawn, the first ones.
    :param data: the owners' files, for pictures of public benchmarks; None: without.
    :return: what was written, the page first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / 'report.html'
    written = [page]
    sections = []
    ordered = sorted(results, key=lambda r: (_place(r.benchmark), r.title))
    for _, group in groupby(ordered, key=lambda r: (r.benchmark, r.title)):
        of_benchmark = list(group)
        sections.append(_figures_section(of_benchmark))
        for result in of_benchmark:
            plots = list(plots_of(result))
            sections.append(_plots_section(result, plots))
            for plot in plots:
                canvas = PngCanvas(*SIZE)
                plot(canvas)
                canvas.save(folder / f'{plot.name}.png')
                written.append(folder / f'{plot.name}.png')
            sections.append(_samples_section(result, num_samples, data))
    page.write_text(_page(results, sections), encoding='utf-8')
    return written


def plots_of(result: Result) -> Iterator[Plot]:
    """
    Yield what can be drawn of a result's alerts.

    Precision over recall and recall over false positives, at all thresholds, by sense where there
    are senses, and calibration: by seconds, where a second is positive if it was right to speak
    at its end. Delays: of the firings. Nothing where there are no lines, or no alerts.
    """
    alerts = [t for line in result.lines for t in tracks_of(line) if t.kind == 'alert']
    alerts = [track for track in alerts if track.probabilities]
    if not alerts:
        return
    name = re.sub(r'[^A-Za-z0-9.-]+', '-', f'{result.benchmark}-{result.model}')
    groups = sorted({track.group for track in alerts})
    curves = {
        group or 'alerts': _curve([track for track in alerts if track.group == group])
        for group in groups
    }
    yield precision_recall_plot(f'{name}-precision-recall', curves)
    yield roc_plot(f'{name}-roc', curves)
    labels, scores = _seconds(alerts)
    yield reliability_plot(
        f'{name}-calibration',
        reliability(labels, scores),
        expected_calibration_error(labels, scores),
    )
    delays = [delay for track in alerts for delay in _delays(track)]
    hits = [delay for delay in delays if delay is not None]
    if hits:
        yield delay_plot(f'{name}-delays', hits, num_missed=len(delays) - len(hits))


def _place(benchmark: str) -> int:
    return [*BENCHMARKS].index(benchmark) if benchmark in BENCHMARKS else -1


def _seconds(tracks: Sequence[Track]) -> tuple[list[bool], list[float]]:
    labels = [due for track in tracks for due in seconds_due(track)]
    return labels, [p for track in tracks for p in track.probabilities]


def _curve(tracks: Sequence[Track]) -> Curve:
    labels, scores = _seconds(tracks)
    return sweep_thresholds(np.array(labels, bool), scores)


def _delays(track: Track) -> tuple[float | None, ...]:
    log = AlertLog(
        stream='',
        duration_s=float(len(track.probabilities)),
        windows=track.windows,
        firings_s=track.fired_s,
    )
    return match_alerts(log, tolerance_s=TOLERANCE_S).delays_s


def _figures_section(results: Sequence[Result]) -> str:
    """Return the table of one benchmark: ours, trivial ones, and those of others."""
    first = results[0]
    trivial = first.baselines
    if first.lines and first.benchmark in BENCHMARKS:
        trivial = baseline_figures(BENCHMARKS[first.benchmark], first.lines)
    systems = list(dict.fromkeys(item['system'] for item in first.published))
    names = list(dict.fromkeys(name for result in results for name in result.figures))
    head = ''.join(
        [
            '<th>figure</th>',
            *(_model_head(result) for result in results),
            *(
                f'<th>{escape(name.replace("_", " "))}<small>no model</small></th>'
                for name in trivial
            ),
            *(f'<th>{escape(system)}<small>published</small></th>' for system in systems),
        ]
    )
    body = []
    for name in names:
        cells = [f'<td>{escape(name)}</td>']
        cells += [_value(result.figures.get(name), 'ours') for result in results]
        cells += [_value(row.get(name), 'trivial') for row in trivial.values()]
        cells += [_published(first, system, name) for system in systems]
        body.append(f'<tr>{"".join(cells)}</tr>')
    return (
        f'<h2>{escape(first.title)}</h2>'
        f'<section class="card table figures"><table><thead><tr>{head}</tr></thead>'
        f'<tbody>{"".join(body)}</tbody></table>{_notes(first)}</section>'
    )


def _model_head(result: Result) -> str:
    about = ''.join(f'<small>{escape(words)}</small>' for words in result.about)
    return f'<th>{escape(result.model)}{about}</th>'


def _value(figure: Figure | None, css: str) -> str:
    value, interval = figure or (None, None)
    if value is None:
        return f'<td class="{css}">–</td>'
    ends = ''
    if interval is not None and css == 'ours':
        ends = f'<small>{interval[0]:.3g} to {interval[1]:.3g}</small>'
    return f'<td class="{css}">{_number(value)}{ends}</td>'


def _number(value: float) -> str:
    return f'{value:.0f}' if abs(value) >= 1000 else f'{value:.4g}'


def _published(result: Result, system: str, figure: str) -> str:
    for item in result.published:
        if (item['system'], item['figure']) == (system, figure):
            title = escape(f'{_comparable(item)}: {item["note"]}', quote=True)
            value = _number(item['value'])
            if item['comparable']:
                return f'<td title="{title}">{value}</td>'
            return f'<td class="apart" title="{title}">{value}&nbsp;*</td>'
    return '<td></td>'


def _comparable(item: Mapping[str, Any]) -> str:
    return 'comparable' if item['comparable'] else '* not comparable'


def _notes(result: Result) -> str:
    """Return for each published system whether its figures are comparable, and why."""
    lines = dict.fromkeys(
        f'{item["system"]}: {_comparable(item)}, {item["note"]}.' for item in result.published
    )
    if not lines:
        return ''
    return f'<ul class="notes">{"".join(f"<li>{escape(line)}</li>" for line in lines)}</ul>'


def _plots_section(result: Result, plots: Sequence[Plot]) -> str:
    if not plots:
        reason = 'it has no alerts' if result.lines else 'the lines of its samples are not there'
        return f'<p class="note">{escape(result.model)}: no plots, since {reason}.</p>'
    cards = []
    for plot in plots:
        canvas = SvgCanvas(*SIZE)
        plot(canvas)
        cards.append(f'<div class="card">{canvas.render()}</div>')
    return f'<p class="note">{escape(result.model)}</p><div class="plots">{"".join(cards)}</div>'


def _samples_section(result: Result, count: int, data: Path | None) -> str:
    parts = []
    for line in result.lines[:count]:
        pictures = pictures_of(result, line, data=data)
        rows = draw_sample(line, thresholds=result.thresholds, pictures=pictures)
        found = verdicts(line) if result.benchmark == 'tabletop' else []
        summary = ': '.join([str(line['id']), *([summary_of(found)] if found else [])])
        parts.append(
            f'<details><summary>{escape(summary)}</summary>'
            f'<div class="scroll"><div class="rows">{rows}</div></div>'
            f'{_verdict_table(found) if found else ""}</details>'
        )
    if not parts:
        return ''
    head = f'<p class="note">{escape(result.model)}: the first {len(parts)} samples</p>'
    return f'{head}<section class="card">{"".join(parts)}</section>'


def _verdict_table(found: Sequence[Verdict]) -> str:
    rows = [
        (f'{v.at_s:.1f}', v.kind, v.due or '–', v.came or '–', 'right' if v.right else 'WRONG')
        for v in found
    ]
    head = ('at [s]', 'what', 'true', 'what came', '')
    return f'<div class="table">{table(head, rows, empty="")}</div>'


def _page(results: Sequence[Result], sections: Sequence[str]) -> str:
    template = Template(
        files(__package__).joinpath('results_report.html').read_text(encoding='utf-8')
    )
    models = ', '.join(dict.fromkeys(result.model for result in results))
    dates = sorted({result.date[:10] for result in results if result.date})
    days = ' to '.join(dates[:1] + dates[1:][-1:])
    rows = [
        (
            item.benchmark,
            item.figure,
            item.system,
            f'{item.value:g}',
            item.why_apart or 'no: the same definition',
        )
        for item in PUBLISHED
    ]
    ablations = [
        (name, *('–' if value is None else f'{value:g}' for value in values))
        for name, values in ABLATIONS.items()
    ]
    return template.substitute(
        style=style(),
        subtitle=escape(f'{models} · {days}'),
        sections='\n'.join(sections),
        source=escape(SOURCE),
        published=table(
            ('benchmark', 'figure', 'system', 'value', 'kept apart from ours?'), rows, empty=''
        ),
        ablations=table(('ROMA', *ABLATION_COLUMNS), ablations, empty=''),
    )
