"""What the report draws of a record: one function a track."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

from ..units.unit import UnitFlag
from .inputs import WAVEFORM_BIN_NS
from .record import Score, StreamRecord
from .timeline import Span, Timeline, Track
from .truth import Truth

#: Names of the instruction kinds; numbers are those of ``Instruction.msg``.
KINDS = {1: 'narration', 2: 'alert', 3: 'answer'}

_THUMBNAIL_PX = (88, 66)
_PROBABILITY_PX, _LATENCY_PX, _WAVEFORM_PX, _UNITS_PX = 84, 64, 56, 18
#: How long what happens at an instant is drawn [s].
_EVENT_SHOWN_S = 1.0
# Flags of a unit that lacks something; the others only tell how it came about.
_MISSING = UnitFlag.NO_VIDEO | UnitFlag.NO_AUDIO | UnitFlag.CLOCK_JUMP
#: A unit whose score comes later than this falls behind [ms].
LATENCY_LIMIT_MS = 1000.0


def draw_tracks(line: Timeline, record: StreamRecord, truth: Truth | None) -> list[Track]:
    """Draw every track that the record has something for, from top to bottom."""
    tracks: list[Track] = []
    if record.thumbnails:
        tracks.append(draw_thumbnails(line, record))
    if record.waveform is not None:
        tracks.append(_waveform(line, record))
    if truth is not None:
        tracks += draw_truth(line, truth, truth_begin_s(line, record, truth))
    tracks += draw_probabilities(line, record)
    tracks += [draw_utterances(line, record), _highlights(line, record)]
    if record.scores:
        units = list({score.unit_index: score for score in record.scores}.values())
        tracks += [_units(line, units), _latency(line, units)]
    return tracks


def truth_begin_s(line: Timeline, record: StreamRecord, truth: Truth) -> float:
    """Return where the recording begins on the axis [s]: by the clap where there is one."""
    if record.clap is None or truth.clap_s is None:
        return 0.0
    return line.seconds(record.clap.flash_ns) - truth.clap_s


def draw_thumbnails(line: Timeline, record: StreamRecord) -> Track:
    """Draw the camera's pictures."""
    width, height = _THUMBNAIL_PX
    images, free_px = [], 0.0
    for item in record.thumbnails:
        seconds = line.seconds(item.stamp_ns)
        x = seconds * line.px_per_s
        # Those without room are kept for the reading at the pointer.
        shown = free_px <= x <= line.width - width / 2
        free_px = x + width + 2 if shown else free_px
        images.append(
            f'<image class="thumbnail{"" if shown else " spare"}" data-t="{seconds:.3f}" '
            f'x="{x:.1f}" width="{width}" height="{height}" '
            f'preserveAspectRatio="xMidYMid slice" '
            f'href="data:image/jpeg;base64,{b64encode(item.jpeg).decode()}"/>'
        )
    return Track('Camera', f'{record.num_frames} frames', height, ''.join(images))


def _waveform(line: Timeline, record: StreamRecord) -> Track:
    wave = record.waveform
    assert wave is not None
    height, middle = _WAVEFORM_PX, _WAVEFORM_PX / 2
    # One column a pixel at most.
    fold = max(1, int(1e9 / line.px_per_s / WAVEFORM_BIN_NS))
    num_columns = -(-len(wave.low) // fold)
    padding = (0, num_columns * fold - len(wave.low))
    low, high = (
        np.pad(side, padding, constant_values=np.nan).reshape(num_columns, fold)
        for side in (wave.low, wave.high)
    )
    present = np.flatnonzero(~np.isnan(low).all(1))
    # Quiet sound stays visible: the axis is the square root of the amplitude.
    top = middle - np.sqrt(np.clip(np.nanmax(high[present], 1), 0, 1)) * (middle - 1)
    bottom = middle + np.sqrt(np.clip(-np.nanmin(low[present], 1), 0, 1)) * (middle - 1)
    column_s = fold * WAVEFORM_BIN_NS / 1e9
    at_s = line.seconds(wave.start_ns) + present * column_s
    width = f'{column_s * line.px_per_s:.1f}'
    columns = ''.join(
        f'M{line.x(t)} {y0:.1f}h{width}V{y1:.1f}h-{width}z'
        for t, y0, y1 in zip(at_s.tolist(), top.tolist(), bottom.tolist(), strict=True)
    )
    gaps = [
        Span(line.seconds(start), line.seconds(end), 'gap', 'no sound')
        for start, end in record.audio_gaps_ns
    ]
    bars = ''.join(line.bar(gap, 0, height) for gap in gaps)
    svg = f'{line.grid(height)}<path class="wave" d="{columns}"/>{bars}'
    return Track('Sound', f'{len(gaps)} gap{"" if len(gaps) == 1 else "s"}', height, svg)


def draw_truth(line: Timeline, truth: Truth, begin_s: float) -> Iterable[Track]:
    """Draw what is known to be in a recording that begins at a place of the axis [s]."""

    def span(start_s: float, end_s: float, css: str, text: str) -> Span:
        return Span(begin_s + start_s, begin_s + end_s, css, text)

    events = [span(e.time_s, e.time_s + _EVENT_SHOWN_S, 'event', e.text) for e in truth.events]
    yield line.lanes('True events', f'{len(events)}', events)
    heard = [
        *(
            span(s.start_s, s.end_s, f'speech {s.kind}', f'{s.text} → {s.answer}'.rstrip(' →'))
            for s in truth.speech
        ),
        *(
            span(q.time_s, q.time_s + _EVENT_SHOWN_S, 'speech answer', f'⌨ {q.text} → {q.answer}')
            for q in truth.questions
        ),
        *(span(s.start_s, s.end_s, 'sound', s.what) for s in truth.sounds),
    ]
    heard.sort(key=lambda each: each.start_s)
    note = f'{len(truth.speech)} times speech, {len(truth.sounds)} sounds'
    if truth.questions:
        note += f', {len(truth.questions)} typed questions'
    yield line.lanes('True speech and sounds', note, heard)
    windows = [
        span(start_s, end_s, 'window', alert.text)
        for alert in truth.alerts
        for start_s, end_s in alert.windows
    ]
    windows.sort(key=lambda each: each.start_s)
    never = sum(not alert.windows for alert in truth.alerts)
    yield line.lanes('True alerts', f'{len(windows)}; {never} never come', windows)


def draw_probabilities(line: Timeline, record: StreamRecord) -> Iterable[Track]:
    """Draw the speak probability of each instruction, with its threshold and triggers."""
    ordered = sorted(record.scores, key=lambda score: (score.instruction_id, score.end_ns))
    for identity, group in groupby(ordered, key=lambda score: score.instruction_id):
        scores = list(group)
        kind = KINDS.get(scores[0].kind, 'other')
        text = record.instructions.get(identity, (0, ''))[1]
        svg = line.grid(_PROBABILITY_PX) + _probability(line, scores, kind)
        note = f'{kind}: {text}' if text else kind
        yield Track(f'Speak probability, {identity}', note, _PROBABILITY_PX, svg)


def _probability(line: Timeline, scores: Sequence[Score], kind: str) -> str:
    def y(probability: float) -> str:
        return f'{4 + (_PROBABILITY_PX - 8) * (1 - min(max(probability, 0), 1)):.1f}'

    levels = ''.join(
        f'<path class="level" d="M0 {y(level)}H{line.width}"/>'
        f'<text class="tick" x="3" y="{float(y(level)) + shift:.1f}">{level:g}</text>'
        for level, shift in ((0.0, -2), (0.5, -2), (1.0, 9))
    )
    places = [(line.x(line.seconds(s.end_ns)), y(s.probability)) for s in scores]
    curve = 'M' + 'L'.join(f'{px} {py}' for px, py in places)
    area = f'{curve}V{y(0)}H{places[0][0]}z'
    threshold = 'M' + 'L'.join(
        f'{line.x(line.seconds(stamp_ns))} {y(score.threshold)}'
        for score in scores
        for stamp_ns in (score.start_ns, score.end_ns)
    )
    points = ''.join(
        (f'<path class="trigger" d="M{px} 0V{_PROBABILITY_PX}"/>' if score.triggered else '')
        + f'<circle class="point{" triggered" if score.triggered else ""}" '
        f'cx="{px}" cy="{py}" r="{4.5 if score.triggered else 2.2}"/>'
        for (px, py), score in zip(places, scores, strict=True)
    )
    return (
        f'<g class="{kind}"><path class="area" d="{area}"/>'
        f'<path class="threshold" d="{threshold}"/>{levels}<path class="line" d="{curve}"/>'
        f'{points}</g>'
    )


def draw_utterances(line: Timeline, record: StreamRecord) -> Track:
    """Draw what was said."""
    spans = [
        Span(
            line.seconds(item.start_ns),
            line.seconds(item.end_ns),
            f'utterance {KINDS.get(item.kind, "other")}',
            item.text,
        )
        for item in record.utterances
    ]
    return line.lanes('Utterances', f'{len(spans)}' if spans else 'nothing was said', spans)


def _highlights(line: Timeline, record: StreamRecord) -> Track:
    kinds = {identity: KINDS.get(kind) for identity, (kind, _) in record.instructions.items()}
    spans = [
        Span(
            line.seconds(item.start_ns),
            line.seconds(item.end_ns),
            f'highlight {kinds.get(item.instruction_id) or "other"}',
            f'{item.instruction or item.instruction_id} ({item.score:.2f})',
        )
        for item in record.highlights
    ]
    return line.lanes('Highlights', f'{len(spans)}' if spans else 'none', spans)


def _units(line: Timeline, units: Sequence[Score]) -> Track:
    cells = []
    for unit in units:
        flags = UnitFlag(unit.flags)
        name = f'unit {unit.unit_index}: {flags.name}' if flags else f'unit {unit.unit_index}'
        span = Span(
            line.seconds(unit.start_ns) + 0.02,
            line.seconds(unit.end_ns) - 0.02,
            'unit missing' if flags & _MISSING else 'unit noted' if flags else 'unit',
            name,
        )
        cells.append(line.bar(span, 2, _UNITS_PX - 4))
    num_flagged = sum(bool(unit.flags) for unit in units)
    return Track('Units', f'{len(units)}, {num_flagged} flagged', _UNITS_PX, ''.join(cells))


def _latency(line: Timeline, units: Sequence[Score]) -> Track:
    ceiling_ms = max(LATENCY_LIMIT_MS, *(unit.latency_ms for unit in units)) * 1.3

    def y(milliseconds: float) -> float:
        return _LATENCY_PX * (1 - max(milliseconds, 0) / ceiling_ms)

    bars = [line.grid(_LATENCY_PX)]
    for unit in units:
        start_s, end_s = line.seconds(unit.start_ns) + 0.1, line.seconds(unit.end_ns) - 0.1
        late = ' over' if unit.latency_ms > LATENCY_LIMIT_MS else ''
        for value_ms, css in ((unit.latency_ms, 'latency' + late), (unit.compute_ms, 'compute')):
            top = y(value_ms)
            bars.append(line.bar(Span(start_s, end_s, css, ''), top, _LATENCY_PX - top))
    limit = (
        f'<path class="limit" d="M0 {y(LATENCY_LIMIT_MS):.1f}H{line.width}"/>'
        f'<text class="tick" x="{line.width - 3}" y="{y(LATENCY_LIMIT_MS) - 3:.1f}" '
        f'text-anchor="end">{LATENCY_LIMIT_MS:.0f} ms</text>'
    )
    return Track('Latency', 'inner bar: compute', _LATENCY_PX, ''.join(bars) + limit)
