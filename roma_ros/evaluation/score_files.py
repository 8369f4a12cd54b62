"""Labels of a recording, and what a model scored on it: files to calibrate from."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
import json
from pathlib import Path
from typing import Any

from ..policy.instructions import InstructionKind, parse_instruction
from ..policy.scored_instructions import ScoredInstruction
from .metrics.spans import check_spans, Span
from .record import read_record

#: How a label names spontaneous answers, for which no instruction stands.
ANSWER = 'answer'


@dataclass(frozen=True)
class Label:
    """
    One instruction, and when it was due.

    :param instruct: ``narrate``, ``alert: <condition>`` as on the command line, or ``answer``:
        answers to what is asked aloud.
    :param windows: closed spans in which the robot should have spoken, from the recording's
        begin [s]; none: never.
    """

    instruct: str
    windows: tuple[Span, ...]

    @property
    def kind(self) -> InstructionKind:
        """Return the kind of the instruction."""
        if self.instruct == ANSWER:
            return InstructionKind.ANSWER
        return parse_instruction(self.instruct, id='label').kind

    @property
    def text(self) -> str:
        """Return the words of the instruction."""
        return '' if self.instruct == ANSWER else parse_instruction(self.instruct, id='label').text


@dataclass(frozen=True)
class Scores:
    """
    Speak probabilities of one instruction on one recording.

    :param instruct: as in :class:`Label`.
    :param ends_s: end of each unit, from the recording's begin.
    :param probabilities: one a unit; NaN: not scored.
    """

    instruct: str
    ends_s: tuple[float, ...]
    probabilities: tuple[float, ...]


def load_labels(path: Path) -> tuple[Label, ...]:
    """
    Read labels: ``{"labels": [{"instruct": "alert: a bell", "windows": [[3.0, 4.5]]}]}``.

    :param path: a JSON file.
    :raises ValueError: when it is not of this form, names no instruction, or one twice.
    """
    try:
        items = json.loads(path.read_text(encoding='utf-8'))['labels']
        labels = tuple(
            Label(item['instruct'], tuple((float(a), float(b)) for a, b in item['windows']))
            for item in items
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'not a file of labels ({type(error).__name__}: {error}); expected {{"labels": '
            f'[{{"instruct": "alert: a bell", "windows": [[3.0, 4.5]]}}]}}: {path}'
        ) from error
    if not labels or len({(label.kind, label.text) for label in labels}) < len(labels):
        raise ValueError(f'{len(labels)} labels, each instruction is to stand once: {path}')
    for label in labels:
        check_spans(label.windows, what=f'the label {label.instruct!r}')
    return labels


def save_scores(path: Path, scores: Iterable[Scores]) -> None:
    """
    Write scores, one instruction a line.

    :param path: a ``.jsonl`` file; its folder is made.
    :param scores: of one recording.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # NaN is written as Python writes it: null would be read back as None.
    lines = [json.dumps(asdict(item)) for item in scores]
    path.write_text('\n'.join(lines) + '\n', encoding='utf-8')


def load_scores(path: Path) -> tuple[Scores, ...]:
    """
    Read the scores of one recording.

    :param path: what :func:`save_scores` wrote, or a recorder's ``.mcap`` with speak scores.
    :raises ValueError: when it is neither, or holds no scores.
    """
    if path.suffix == '.mcap':
        return _recorded(path)
    try:
        rows = [json.loads(line) for line in path.read_text(encoding='utf-8').splitlines()]
        scores = tuple(
            Scores(row['instruct'], tuple(row['ends_s']), tuple(row['probabilities']))
            for row in rows
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'not a file of scores ({type(error).__name__}: {error}); expected what `roma '
            f'calibrate --save-scores` wrote, or a .mcap of the recorder: {path}'
        ) from error
    if not scores:
        raise ValueError(f'no scores in the file: {path}')
    return scores


def join_labels(
    stream: str, labels: Sequence[Label], scores: Sequence[Scores]
) -> list[ScoredInstruction]:
    """
    Put labels and scores of one recording together.

    :param stream: name of the recording.
    :param labels: every one of them needs its scores.
    :param scores: those without a label are left out.
    :raises ValueError: when a label's instruction was not scored.
    """
    found = {
        (Label(item.instruct, ()).kind, Label(item.instruct, ()).text): item for item in scores
    }
    joined = []
    for label in labels:
        item = found.get((label.kind, label.text))
        if item is None:
            raise ValueError(
                f'{stream}: {label.instruct!r} was not scored; scored were: '
                + ', '.join(repr(item.instruct) for item in scores)
            )
        joined.append(
            ScoredInstruction(
                stream=stream,
                kind=label.kind,
                ends_s=item.ends_s,
                probabilities=item.probabilities,
                windows=label.windows,
            )
        )
    return joined


def _recorded(path: Path) -> tuple[Scores, ...]:
    record = read_record(path)
    rows: dict[str, dict[int, Any]] = {}
    for score in record.scores:
        rows.setdefault(score.instruction_id, {})[score.unit_index] = score
    if not rows:
        raise ValueError(f'no speak scores in the record: {path}')
    scores = []
    for identity, by_unit in rows.items():
        units = [by_unit[index] for index in sorted(by_unit)]
        kind, text = record.instructions.get(identity, (units[0].kind, ''))
        if kind == InstructionKind.ALERT:
            instruct = f'alert: {text}'
        elif kind == InstructionKind.NARRATION:
            instruct = f'narrate: {text}' if text else 'narrate'
        else:
            instruct = ANSWER
        scores.append(
            Scores(
                instruct,
                tuple((unit.end_ns - record.start_ns) / 1e9 for unit in units),
                tuple(unit.probability for unit in units),
            )
        )
    return tuple(scores)
