"""What the line of a sample says; needs numpy alone, as all that reads lines."""

from ..runner import Line
from ..words import MAIN

#: Id of the alert of that place in the sample, and of the narration.
ALERT_ID = 'alert-{}'
NARRATION_ID = 'narration'


def alert_scores(line: Line, place: int = 0) -> list[float]:
    """Return an alert's probability of each second; 0 before it stood."""
    scores = line['probabilities'].get(ALERT_ID.format(place), [])
    return [0.0 if score is None or score != score else score for score in scores]


def narrations(line: Line) -> list[tuple[float, str]]:
    """Return when something was narrated, and its words."""
    said = [u for u in line['utterances'] if u['id'] == NARRATION_ID]
    return [(u['time_s'], u['text']) for u in said]


def spoken_reply(line: Line, place: int = 0) -> str | None:
    """
    Return what the stream itself said first once a spoken sentence was over; None: nothing.

    What it says while it is spoken to is no reply.
    """
    _, end_s = line['spoken_s'][place]
    said = [u for u in line['utterances'] if u['id'] == MAIN and u['time_s'] >= end_s]
    return said[0]['text'] if said else None
