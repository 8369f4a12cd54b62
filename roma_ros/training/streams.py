"""
Labelled streams as files: the released JSON format, read, written and turned into lessons.

A file is a list of records. Each names its video (one file, or frames at 2 fps), what the
operator asks (``query``: text, and the sound of it with its time, where it is spoken) and what is
to be said when (``ans``: one ``alert`` for each second of a window, a narration at each
transition, an answer when it is due). A robot's recordings with labels become such records, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
import json
from pathlib import Path
from typing import Any

import numpy as np

from ..units.bag import units_from_bag
from ..units.media_file import units_from_media
from ..units.unit import FRAMES_PER_UNIT, MultimodalUnit, SAMPLE_RATE_HZ, UNIT_NS
from .supervision import Label, Supervision, Turn, unit_of, WatchLabels

NARRATION, ALERT, QUESTION = 'narration', 'proactive_gate', 'turn-taking'
#: What an alert says (release).
ALERT_TEXT = 'alert'
#: Where the release puts the video into a question's text; units are laid out without it.
_VIDEO_MARK = '<video>'


@dataclass(frozen=True)
class Query:
    """
    What the operator asks.

    :param text: the words.
    :param time_s: when.
    :param audio: sound file of the words; empty: they are typed.
    :param duration_s: its length.
    """

    text: str
    time_s: float = 0.0
    audio: str = ''
    duration_s: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What is to be said, and when."""

    text: str
    time_s: float


@dataclass(frozen=True)
class StreamRecord:
    """
    One stream with one task.

    :param id: of the record.
    :param task: ``narration``, ``proactive_gate`` (an alert) or ``turn-taking`` (questions).
    :param videos: one media file or bag, or frames at 2 fps, relative to the data's folder.
    :param queries: what is asked.
    :param answers: what is to be said.
    :raises ValueError: when the task is not known, or nothing is to be seen.
    """

    id: str
    task: str
    videos: tuple[str, ...]
    queries: tuple[Query, ...] = ()
    answers: tuple[Answer, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.task not in (NARRATION, ALERT, QUESTION):
            raise ValueError(
                f'task of record {self.id!r} is {self.task!r}, expected {NARRATION}, {ALERT} or '
                f'{QUESTION}'
            )
        if not self.videos:
            raise ValueError(f'record {self.id!r} has no video')
        if self.task != NARRATION and not self.queries:
            raise ValueError(f'record {self.id!r} asks nothing: a {self.task} needs a query')


def read_streams(path: str | Path) -> list[StreamRecord]:
    """
    Read records.

    :param path: a JSON file in the released format.
    :return: the records in their order.
    :raises ValueError: when the file, or a record of it, is not of that form.
    """
    try:
        items = json.loads(Path(path).read_text(encoding='utf-8'))
        return [_from_json(item) for item in items]
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ValueError(
            f'not a file of streams ({type(error).__name__}: {error}); expected a list of '
            f'records with id, task, videos, query and ans: {path}'
        ) from error


def write_streams(records: Sequence[StreamRecord], path: str | Path) -> None:
    """Write records in the released format."""
    text = json.dumps([_to_json(r) for r in records], indent=1, ensure_ascii=False)
    Path(path).write_text(text + '\n', encoding='utf-8')


def load_units(record: StreamRecord, root: Path) -> list[MultimodalUnit]:
    """
    Read what a record shows, with what is asked aloud over its sound.

    :param record: which.
    :param root: folder that its paths are relative to.
    :return: units, as the live stream would have given them.
    :raises FileNotFoundError: when a file is not there.
    :raises ValueError: when one cannot be read.
    """
    paths = [root / video for video in record.videos]
    if len(paths) > 1:
        units = _units_of_frames(paths)
    elif paths[0].is_dir() or paths[0].suffix in ('.mcap', '.db3'):
        units = list(units_from_bag(paths[0]))
    else:
        units = list(units_from_media(paths[0]))
    for query in record.queries:
        if query.audio:
            units = _overlay(units, root / query.audio, query.time_s)
    return units


def supervise_record(
    record: StreamRecord, num_units: int, *, learn_narration: bool = False
) -> Supervision:
    """
    Make labels and turns of a record as published.

    Alerts and narrations teach when to speak, answers what to say.

    :param record: which.
    :param num_units: length of its stream.
    :param learn_narration: narrated words are targets of the language loss, too.
    :return: what it teaches.
    """
    due = {unit_of(a.time_s): a.text for a in record.answers if unit_of(a.time_s) < num_units}
    labels: tuple[Label, ...] = tuple(unit in due for unit in range(num_units))
    if record.task == ALERT:
        query = record.queries[0]
        if not query.audio:
            watch = WatchLabels(query.text, ALERT, labels)
            return Supervision(num_units, (watch,), labels=(None,) * num_units)
        # Nothing of an alert stays in the transcript: no turns (paper A.4).
        asked = unit_of(query.time_s + query.duration_s)
        return Supervision(
            num_units, labels=tuple(label and u >= asked for u, label in enumerate(labels))
        )
    if record.task == NARRATION:
        turns = {unit: Turn(text, NARRATION, learn=learn_narration) for unit, text in due.items()}
        return Supervision(num_units, turns=turns, labels=labels, narrate=True)
    return _supervise_questions(record, num_units, due)


def _supervise_questions(
    record: StreamRecord, num_units: int, due: Mapping[int, str]
) -> Supervision:
    """Of questions only the moments of the answers are labelled (release)."""
    labels: list[Label] = [None] * num_units
    turns: dict[int, Turn] = {}
    # One without words stands for what is asked aloud in the recording itself.
    typed = sorted((q for q in record.queries if q.text and not q.audio), key=lambda q: q.time_s)
    for unit, text in sorted(due.items()):
        # The question that an answer belongs to is the last one before it that has none yet.
        asked = [q for q in typed if unit_of(q.time_s) <= unit]
        question = asked[-1] if asked else None
        if question is not None:
            typed.remove(question)
        else:
            labels[unit] = True
        turns[unit] = Turn(text, QUESTION, question.text if question is not None else '')
    return Supervision(num_units, turns=turns, labels=tuple(labels))


def records_of_labels(recording: str, labels_path: Path) -> list[StreamRecord]:
    """
    Make records of a robot's recording and the labels that ``roma calibrate`` reads.

    Beside ``instruct`` and ``windows``, a label of ``narrate`` or ``answer`` may hold ``texts``,
    what is to be said in each window; without them it is left out, since there are no words.

    :param recording: a media file or bag, as records shall name it.
    :param labels_path: ``{"labels": [{"instruct": "alert: a bell", "windows": [[3.0, 4.5]]}]}``.
    :return: a record for each label.
    :raises ValueError: when the labels are not of that form.
    """
    from ..evaluation.score_files import load_labels
    from ..policy.instructions import InstructionKind

    labels = load_labels(labels_path)
    items = json.loads(labels_path.read_text(encoding='utf-8'))['labels']
    records = []
    for number, (label, item) in enumerate(zip(labels, items, strict=True)):
        name = f'{labels_path.stem}-{number}'
        if label.kind is InstructionKind.ALERT:
            seconds = [t for start, end in label.windows for t in _seconds(start, end)]
            answers = tuple(Answer(ALERT_TEXT, t) for t in seconds)
            records.append(StreamRecord(name, ALERT, (recording,), (Query(label.text),), answers))
            continue
        texts = item.get('texts')
        if texts is None:
            continue
        if len(texts) != len(label.windows):
            raise ValueError(
                f'label {label.instruct!r} has {len(texts)} texts and {len(label.windows)} '
                f'windows; each window needs one: {labels_path}'
            )
        answers = tuple(Answer(t, w[0]) for t, w in zip(texts, label.windows, strict=True))
        if label.kind is InstructionKind.NARRATION:
            records.append(StreamRecord(name, NARRATION, (recording,), (), answers))
        else:
            # Asked aloud in the recording itself: nothing is to be overlaid.
            records.append(StreamRecord(name, QUESTION, (recording,), (Query(''),), answers))
    return records


def _seconds(start_s: float, end_s: float) -> list[float]:
    """Return the end of every second that a window reaches into, one at least."""
    return [
        float(unit + 1) for unit in range(int(start_s), max(int(start_s) + 1, unit_of(end_s) + 1))
    ]


def _overlay(units: Sequence[MultimodalUnit], path: Path, time_s: float) -> list[MultimodalUnit]:
    """Add a sound file to the units' audio from a time on (paper A.4)."""
    spoken = np.concatenate([unit.audio for unit in units_from_media(path)])
    track = np.concatenate([unit.audio for unit in units])
    begin = round(time_s * SAMPLE_RATE_HZ)
    part = track[begin : begin + len(spoken)]
    part += spoken[: len(part)]
    np.clip(track, -1.0, 1.0, out=track)
    audio = track.reshape(len(units), SAMPLE_RATE_HZ)
    return [replace(unit, audio=audio[i]) for i, unit in enumerate(units)]


def _units_of_frames(paths: Sequence[Path]) -> list[MultimodalUnit]:
    """Make silent units of frames at 2 fps; an odd last frame serves twice, as in the release."""
    from PIL import Image

    frames = []
    missing = len(paths) % FRAMES_PER_UNIT
    for path in [*paths, *[paths[-1]] * missing]:
        with Image.open(path) as image:
            frames.append(np.asarray(image.convert('RGB')))
    return [
        MultimodalUnit(
            index=index,
            start_ns=index * UNIT_NS,
            end_ns=(index + 1) * UNIT_NS,
            frames=np.stack(frames[first : first + FRAMES_PER_UNIT]),
            frame_stamps_ns=(index * UNIT_NS, index * UNIT_NS + UNIT_NS // 2),
            audio=np.zeros(SAMPLE_RATE_HZ, dtype=np.float32),
        )
        for index, first in enumerate(range(0, len(frames), FRAMES_PER_UNIT))
    ]


def _from_json(item: Mapping[str, Any]) -> StreamRecord:
    return StreamRecord(
        id=str(item['id']),
        task=item['task'],
        videos=tuple(item['videos'][0]),
        queries=tuple(
            Query(
                text=query['text'].replace(_VIDEO_MARK, '').strip(),
                time_s=float(query.get('time') or 0.0),
                audio=query.get('audio') or '',
                duration_s=float(query.get('duration') or 0.0),
            )
            for query in item.get('query') or ()
        ),
        answers=tuple(Answer(a['text'], float(a['time'])) for a in item.get('ans') or ()),
    )


def _to_json(record: StreamRecord) -> dict[str, Any]:
    queries = [
        {
            'text': _VIDEO_MARK * (number == 0) + query.text,
            'time': query.time_s,
            'audio': query.audio,
            'duration': query.duration_s,
        }
        for number, query in enumerate(record.queries)
    ]
    return {
        'task': record.task,
        'id': record.id,
        'videos': [list(record.videos)],
        'images': [],
        'query': queries,
        'ans': [{'text': a.text, 'time': a.time_s} for a in record.answers],
    }
