"""What the lines of an evaluation tell for calibration: scores and windows, both in one file."""

from collections.abc import Iterator
import json
from pathlib import Path

from ..policy.instructions import InstructionKind
from ..policy.scored_instructions import ScoredInstruction
from .results import tracks_of
from .runner import Line
from .words import KINDS

#: How long after a spoken question its answer may begin [s], before the tolerance.
_ANSWER_WITHIN_S = 2.0


def scored_lines(path: Path) -> list[ScoredInstruction]:
    """
    Read every scored alert, narration and spoken question of an evaluation's samples.

    Each sample is a recording of its own. A narrating stream tells nothing of answers.

    :param path: a ``.jsonl`` file of ``roma eval``.
    :raises ValueError: when it is none, or nothing in it was scored.
    """
    try:
        first, *rows = path.read_text(encoding='utf-8').splitlines()
        json.loads(first)['identity']
        scored = [item for row in rows for item in _scored(json.loads(row))]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'not the lines of an evaluation ({type(error).__name__}: {error}); expected a .jsonl '
            f'file that `roma eval` left: {path}'
        ) from error
    if not scored:
        raise ValueError(f'nothing was scored in these lines: {path}')
    return scored


def _scored(line: Line) -> Iterator[ScoredInstruction]:
    ends_s = tuple(float(second + 1) for second in range(line['seconds']))
    for track in tracks_of(line):
        if len(track.probabilities) == len(ends_s):
            yield ScoredInstruction(
                stream=str(line['id']),
                kind=KINDS[track.kind],
                ends_s=ends_s,
                probabilities=track.probabilities,
                windows=track.windows,
            )
    if 'questions' in line and not line['narrate']:
        spoken = [q['time_s'] for q in line['questions'] if q['spoken']]
        yield ScoredInstruction(
            stream=str(line['id']),
            kind=InstructionKind.ANSWER,
            ends_s=ends_s,
            probabilities=line['probabilities'],
            windows=tuple((time_s, time_s + _ANSWER_WITHIN_S) for time_s in spoken),
        )
