"""
Tabletop streams as files in the released format: what a team's own recordings are made into.

The format has one task a record, so a stream becomes several: each typed alert, its narration,
its questions. It cannot say that a second teaches nothing; there it says silence.
"""

from collections.abc import Sequence
from pathlib import Path

from ..streams import ALERT, ALERT_TEXT, Answer, NARRATION, Query, QUESTION, StreamRecord
from ..supervision import supervise_tabletop, Supervision
from .clip import write_media
from .labels import TabletopStream


def write_tabletop_records(streams: Sequence[TabletopStream], folder: Path) -> list[StreamRecord]:
    """
    Write the media of streams, and return the records of what they teach.

    :param streams: which.
    :param folder: of the media; the records' paths are relative to it.
    :return: all records, for ``write_streams``.
    """
    records = []
    for stream in streams:
        name = f'{stream.split}-{stream.seed:06d}'
        write_media(stream, folder / f'{name}.mp4')
        records += records_of_tabletop(stream, f'{name}.mp4')
    return records


def records_of_tabletop(stream: TabletopStream, media: str) -> list[StreamRecord]:
    """
    Make records of a stream.

    :param stream: with its truth.
    :param media: the file that shows it.
    :return: one of each typed alert; one of what the stream itself says, where it narrates or
        somebody asks.
    """
    supervision = supervise_tabletop(stream)
    name = Path(media).stem
    records = [
        StreamRecord(
            f'{name}-alert-{number}',
            ALERT,
            (media,),
            (Query(watch.text),),
            tuple(Answer(ALERT_TEXT, u + 1.0) for u, label in enumerate(watch.labels) if label),
        )
        for number, watch in enumerate(supervision.watches)
    ]
    if supervision.narrate:
        # What is typed meanwhile is not to be heard: the narration is complete without it.
        own = tuple(
            Answer(turn.text, unit + 1.0)
            for unit, turn in sorted(supervision.turns.items())
            if not turn.question
        )
        records.append(StreamRecord(f'{name}-narration', NARRATION, (media,), (), own))
    elif supervision.turns:
        records.append(_questions(supervision, name, media))
    return records


def _questions(supervision: Supervision, name: str, media: str) -> StreamRecord:
    """Make the record of all questions; for what is asked aloud no query stands."""
    turns = sorted(supervision.turns.items())
    typed = tuple(Query(turn.question, unit + 0.5) for unit, turn in turns if turn.question)
    return StreamRecord(
        f'{name}-questions',
        QUESTION,
        (media,),
        typed or (Query(''),),
        tuple(Answer(turn.text, unit + 1.0) for unit, turn in turns),
    )
