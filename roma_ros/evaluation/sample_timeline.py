"""One sample on a time axis: what was seen, scored, due and said."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..policy.triggers import PRESETS
from .inputs import Thumbnail, THUMBNAIL_WIDTH_PX
from .page import row
from .record import RecordedUtterance, Score, StreamRecord
from .report_tracks import draw_probabilities, draw_thumbnails, draw_truth, draw_utterances
from .results import Result, tracks_of
from .runner import Line
from .timeline import Span, Timeline, Track as DrawnTrack
from .truth import Condition, Event, Sound, Speech, Truth, TypedQuestion
from .words import KINDS

#: Time and picture, uint8 ``[H, W, 3]``, RGB.
Picture = tuple[float, npt.NDArray[np.uint8]]
_NS = 1_000_000_000


def draw_sample(
    line: Line, *, thresholds: Mapping[str, float], pictures: Sequence[Picture]
) -> str:
    """
    Return the rows of a sample's timeline, as HTML.

    :param line: of the sample.
    :param thresholds: of the triggers, by kind; where none is given, the preset's.
    :param pictures: of its video; may be empty.
    """
    axis = Timeline(0, round(line['seconds'] * _NS))
    record = _record(line, thresholds, pictures)
    drawn: list[DrawnTrack] = [axis.axis()]
    if record.thumbnails:
        drawn.append(draw_thumbnails(axis, record))
    if 'truth' in line:
        due = [
            Span(start, end, f'highlight {track.kind}', track.text)
            for track in tracks_of(line)
            for start, end in track.windows
        ]
        due.sort(key=lambda span: span.start_s)
        drawn.append(axis.lanes('Due', f'{len(due)} windows', due))
    else:
        drawn += draw_truth(axis, _tabletop_truth(line), 0.0)
    drawn += draw_probabilities(axis, record)
    drawn.append(draw_utterances(axis, record))
    return ''.join(row(track, axis.width) for track in drawn)


def pictures_of(result: Result, line: Line, *, data: Path | None = None) -> list[Picture]:
    """
    Return about a dozen pictures of a sample.

    :param result: what the line is of.
    :param line: of the sample; of the tabletop its seed is enough.
    :param data: the owner's files of a public benchmark; None: no pictures.
    :raises ValueError: when the sample is not in the data.
    """
    period = max(1, round(line['seconds'] / 12))
    if result.benchmark == 'tabletop':
        return list(_tabletop_pictures(line, period))
    return list(_recorded_pictures(result, line, data, period)) if data is not None else []


def _tabletop_pictures(line: Line, period: int) -> Iterator[Picture]:
    from .benchmarks.tabletop import make_tabletop_stream, TabletopSample

    stream = make_tabletop_stream(
        TabletopSample(split=line['split'], seed=line['seed'], seconds=line['seconds'])
    )
    for second in range(0, line['seconds'], period):
        yield float(second), stream.frame_at(float(second))


def _tabletop_truth(line: Line) -> Truth:
    """Return what a line says of its stream, alerts that were asked for aloud included."""
    answers = {q['time_s']: q['answer'] for q in line['questions'] if q['spoken']}
    return Truth(
        version=0,
        media='',
        duration_s=line['seconds'],
        clap_s=None,
        narrate=line['narrate'],
        events=tuple(Event(e['time_s'], e['text']) for e in line['events']),
        speech=tuple(
            Speech(
                s['start_s'],
                s['end_s'],
                'answer' if s['end_s'] in answers else 'alert',
                s['text'],
                answers.get(s['end_s'], ''),
            )
            for s in line['speech']
        ),
        sounds=tuple(Sound(s['start_s'], s['end_s'], s['name']) for s in line.get('sounds', ())),
        alerts=tuple(
            Condition(alert['text'], tuple((b, e) for b, e in alert['windows']))
            for alert in line['alerts']
        ),
        questions=tuple(
            TypedQuestion(q['time_s'], q['text'], q['answer'])
            for q in line['questions']
            if not q['spoken']
        ),
    )


def _recorded_pictures(result: Result, line: Line, data: Path, period: int) -> Iterator[Picture]:
    from .benchmarks.registry import BENCHMARKS
    from .benchmarks.sample_units import sample_units

    folder = data / result.benchmark if (data / result.benchmark).is_dir() else data
    samples = {sample.id: sample for sample in BENCHMARKS[result.benchmark].samples(folder)}
    if line['id'] not in samples:
        raise ValueError(f'there is no sample {line["id"]} of {result.title} in {folder}')
    silent = replace(samples[line['id']], spoken=())
    for unit in sample_units(silent, lambda text: np.zeros(0, np.float32)):
        if unit.index % period == 0 and len(unit.frames):
            yield float(unit.index), unit.frames[0]


def _record(
    line: Line, thresholds: Mapping[str, float], pictures: Sequence[Picture]
) -> StreamRecord:
    """Return a line as the record of a stream, which the tracks are drawn from."""
    record = StreamRecord(end_ns=round(line['seconds'] * _NS), num_frames=len(pictures))
    record.thumbnails = [Thumbnail(round(t * _NS), _jpeg(image)) for t, image in pictures]
    for place, track in enumerate(tracks_of(line)):
        name = f'{track.kind} {place + 1}'
        kind = KINDS[track.kind]
        record.instructions[name] = (int(kind), track.text)
        fired = set(track.fired_s)
        for index, probability in enumerate(track.probabilities):
            record.scores.append(
                Score(
                    unit_index=index,
                    start_ns=index * _NS,
                    end_ns=(index + 1) * _NS,
                    flags=0,
                    instruction_id=name,
                    kind=int(kind),
                    probability=probability,
                    threshold=thresholds.get(track.kind, PRESETS[kind].threshold),
                    triggered=index + 1.0 in fired,
                    compute_ms=0.0,
                    latency_ms=0.0,
                )
            )
    said = [_utterance(i, item) for i, item in enumerate(line['utterances'])]
    record.utterances = [item for item in said if item.text]
    return record


def _utterance(number: int, item: Mapping[str, Any]) -> RecordedUtterance:
    begin_ns = round(item['time_s'] * _NS)
    return RecordedUtterance(
        id=number,
        kind=int(KINDS.get(item['kind'], 0)),
        instruction_id=item['kind'],
        start_ns=begin_ns,
        end_ns=begin_ns + _NS,
        probability=item.get('probability', 0.0),
        latency_ms=0.0,
        text=item['text'],
        final=True,
    )


def _jpeg(image: npt.NDArray[np.uint8]) -> bytes:
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'thumbnails need OpenCV: pip install opencv-python-headless'
        ) from error
    height = max(1, round(THUMBNAIL_WIDTH_PX * image.shape[0] / image.shape[1]))
    size = (THUMBNAIL_WIDTH_PX, height)
    small = cv2.resize(image[..., ::-1], size, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode('.jpg', small, (cv2.IMWRITE_JPEG_QUALITY, 80))[1].tobytes())
