from collections import Counter
from itertools import pairwise
import math

import pytest

from roma_ros.training.tabletop.language import VERBS

COMES = {'enters', 'falls', 'is uncovered'}
GOES = {'leaves', 'is covered'}


def things_after(stream, unit):
    """Replay the events: what is to be seen in the last frame of a unit."""
    seen = {(o.shape, o.color) for o in stream.objects_at(0.0) if o.visible > 0.5}
    for event in stream.events:
        if event.time_s < unit + 1:
            if event.verb in COMES:
                seen.add((event.shape, event.color))
            elif event.verb in GOES:
                seen.remove((event.shape, event.color))
    return seen


def test_last_frame_of_each_unit_shows_what_its_events_tell(streams):
    for stream in streams[:80]:
        for unit in range(stream.duration_s):
            shown = stream.objects_at(unit + 0.5)
            assert {(o.shape, o.color) for o in shown if o.visible > 0.5} == things_after(
                stream, unit
            ), (stream.seed, unit)


def test_an_event_is_complete_in_the_first_half_of_a_second(streams):
    for stream in streams:
        for event in stream.events:
            assert 0.05 <= math.modf(event.time_s)[0] <= 0.45
            assert 0 < event.time_s < stream.duration_s


def test_events_are_apart(streams):
    for stream in streams:
        times = [event.time_s for event in stream.events]
        assert all(b - a >= 1.5 for a, b in pairwise(times))
        units = [math.ceil(t) for t in times]
        assert len(set(units)) == len(units)


def test_every_kind_of_event_is_common(streams):
    counts = Counter(event.verb for stream in streams for event in stream.events)
    assert set(counts) == set(VERBS)
    assert min(counts.values()) > 0.07 * counts.total()
    assert 4 < counts.total() / len(streams) < 8


def test_text_names_who_does_what(streams):
    for stream in streams:
        for event in stream.events:
            assert event.text.startswith(f'the {event.color} {event.shape} {event.verb}')


def test_no_more_than_three_things_are_on_the_table(streams):
    most = max(len(s.objects_at(t)) for s in streams for t in range(s.duration_s))
    assert most == 3


@pytest.mark.parametrize('verb', ['rolls', 'hits'])
def test_what_rolls_or_hits_has_moved_when_the_event_is_complete(streams, verb):
    moves = []
    for stream in streams[:80]:
        for event in stream.events:
            if event.verb == verb:
                before, after = (
                    next(
                        (o.box[0] + o.box[2]) / 2
                        for o in stream.objects_at(t)
                        if (o.shape, o.color) == (event.shape, event.color)
                    )
                    for t in (event.time_s - 0.25, event.time_s)
                )
                moves.append(abs(after - before))
    assert len(moves) > 20
    assert min(moves) > 0.06


def test_things_that_hit_touch(streams):
    for stream in streams[:80]:
        for event in stream.events:
            if event.verb == 'hits':
                other = event.text.rsplit(' ', 2)[1:]
                boxes = {(o.color, o.shape): o.box for o in stream.objects_at(event.time_s)}
                one, two = sorted([boxes[event.color, event.shape], boxes[tuple(other)]])
                assert abs(two[0] - one[2]) < 0.02
