from itertools import pairwise

from hypothesis import given, strategies as st
import pytest

from roma_ros.evaluation.metrics.narration import (
    event_score,
    NarratedEvent,
    segment_time_f1,
    TimeF1,
)

times = st.lists(st.integers(0, 30).map(float), max_size=10)
cuts = st.lists(st.integers(0, 30).map(float), min_size=2, max_size=6, unique=True).map(sorted)


def event(time_s, **slots):
    return NarratedEvent(time_s, slots)


def test_the_earliest_narration_of_a_segment_is_right_and_all_others_are_wrong():
    score = segment_time_f1([3.0, 1.0, 5.0, 20.0], [(0.0, 5.0), (5.0, 9.0), (9.0, 12.0)])
    assert score == TimeF1(num_right=2, num_wrong=2, num_missed=1)
    assert (score.precision, score.recall) == (0.5, pytest.approx(2 / 3))
    assert score.f1 == pytest.approx(4 / 7)


@given(times, cuts)
def test_time_f1_agrees_with_a_plain_count(times_s, cuts):
    segments = list(pairwise(cuts))
    score = segment_time_f1(times_s, segments)
    hit = sum(any(start <= t < end for t in times_s) for start, end in segments)
    assert score == TimeF1(hit, len(times_s) - hit, len(segments) - hit)


def test_once_in_each_segment_scores_full_marks_wherever_it_is():
    segments = [(float(i), i + 10.0) for i in range(0, 50, 10)]
    assert segment_time_f1([9.9, 10.0, 25.0, 33.0, 49.0], segments).f1 == 1


def test_degenerate_cases_of_time_f1():
    assert segment_time_f1([], []).f1 == 0
    assert segment_time_f1([], [(0.0, 1.0)]) == TimeF1(0, 0, 1)
    assert segment_time_f1([1.0], []) == TimeF1(0, 1, 0)
    assert segment_time_f1([1.0], [(0.0, 1.0)]).num_right == 0  # half-open
    with pytest.raises(ValueError, match='nan'):
        segment_time_f1([float('nan')], [])


def test_f1_of_several_videos_is_micro_averaged():
    assert (TimeF1(1, 0, 0) + TimeF1(0, 3, 1)).f1 == pytest.approx(2 / 6)


def test_events_are_judged_in_time_and_in_words():
    true = [
        event(2.0, what='ball', color='red', verb='enters'),
        event(6.0, what='box', color='blue', verb='leaves'),
        event(9.0, what='cone', verb='falls'),
    ]
    said = [
        event(3.0, what='ball', color='red', verb='enters'),
        event(7.0, what='box', color='green'),
        event(8.9, what='cone', verb='falls'),
    ]
    score = event_score(said, true, tolerance_s=2.0)
    assert score.time == TimeF1(2, 1, 1)
    assert score.slot_accuracy('what') == pytest.approx(2 / 3)
    assert score.slot_accuracy('color') == pytest.approx(1 / 2)
    assert score.slot_accuracy('verb') == pytest.approx(1 / 3)
    assert score.event_accuracy == pytest.approx(1 / 3)


def test_words_cannot_choose_their_event():
    true = [event(2.0, what='ball'), event(3.0, what='box')]
    score = event_score([event(3.0, what='box')], true, tolerance_s=2.0)
    assert score.time == TimeF1(1, 0, 1)
    assert score.all_right == 0


@given(times, times, st.floats(0, 5))
def test_perfect_words_are_right_as_often_as_their_times(said, true, tolerance_s):
    score = event_score(
        [event(t, what='ball') for t in said],
        [event(t, what='ball') for t in true],
        tolerance_s=tolerance_s,
    )
    assert score.all_right == score.time.num_right
    assert score.time.num_right + score.time.num_missed == len(true)
    assert score.time.num_right + score.time.num_wrong == len(said)


def test_scores_of_streams_add_up():
    first = event_score([event(1.0, what='a')], [event(1.0, what='a')], tolerance_s=1.0)
    second = event_score([], [event(1.0, verb='falls')], tolerance_s=1.0)
    both = first + second
    assert both.time == TimeF1(1, 0, 1)
    assert both.slot_accuracy('what') == 1
    assert both.slot_accuracy('verb') == 0
    assert both.event_accuracy == 0.5
