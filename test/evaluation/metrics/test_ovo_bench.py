from hypothesis import given, strategies as st
import pytest

from roma_ros.evaluation.metrics.ovo_bench import (
    choice_right,
    count_right,
    crr_right,
    probe_right,
    rec_hits,
    strict_choice_right,
    task_means,
)


@pytest.mark.parametrize(
    ('response', 'official', 'strict'),
    [
        ('C', True, True),
        ('The answer is C.', True, True),
        ('(C) a red ball', True, True),
        ('Choice: B', True, False),  # a C anywhere is right, officially
        ('A, B, C or D', True, False),
        ('c', False, False),
        ('', False, False),
        (None, False, False),
    ],
)
def test_choices(response, official, strict):
    assert choice_right(response, 'C') is official
    assert strict_choice_right(response, 'C') is strict


def test_counts_are_all_digits_in_a_row():
    assert count_right('They did it 12 times.', 12)
    assert count_right('between 1 and 2', 12)  # the trap
    assert not count_right('twelve', 12)
    assert not count_right(None, 0)


@pytest.mark.parametrize(
    ('response', 'positive', 'right'),
    [
        ('Yes', True, True),
        ('Y', True, True),
        ('Yes.', False, False),
        ('No', False, True),
        ('N', False, True),
        ('Now they do', False, True),  # the trap
        ('yes', True, False),
        (None, False, False),
    ],
)
def test_probes(response, positive, right):
    assert probe_right(response, positive=positive) is right


def test_means_are_over_tasks_and_then_over_modes():
    means = task_means(
        {
            'EPM': [True, False],
            'ASI': [True] * 100,
            'OCR': [False],
            'REC': [True, True, False, False],
        }
    )
    assert means['backward'] == pytest.approx(0.75)  # not weighted by samples
    assert (means['realtime'], means['forward']) == (0, 0.5)
    assert means['total'] == pytest.approx((0.75 + 0 + 0.5) / 3)
    assert 'HLD' not in means


def test_a_total_needs_all_modes_and_tasks_have_to_be_known():
    assert 'total' not in task_means({'EPM': [True]})
    assert task_means({}) == task_means({'EPM': []}) == {}
    with pytest.raises(ValueError, match=r"no tasks \['XYZ'\]"):
        task_means({'XYZ': [True]})


def test_repetitions_are_hit_by_any_response_inside():
    assert rec_hits([5.0, 9.0, 30.0], [(5, 8), (8, 9), (10, 12)]) == [True, True, False]
    assert rec_hits([], [(1, 2)]) == [False]
    assert rec_hits([1.0], []) == []


@given(st.lists(st.floats(0, 60), max_size=8), st.floats(0, 60))
def test_responding_more_never_hurts_rec(responses_s, more_s):
    intervals = [(3.0, 9.0), (20.0, 22.0), (40.0, 55.0)]
    before, after = rec_hits(responses_s, intervals), rec_hits([*responses_s, more_s], intervals)
    assert all(b >= a for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ('responses_s', 'right'),
    [
        ([], False),
        ([20.5], True),
        ([15.0, 25.0], False),
        ([9.0, 10.0, 25.0], True),  # before being asked, and at the moment of it
        ([20.0], False),
        ([9999.0], True),  # no upper bound: the trap
    ],
)
def test_the_first_response_after_being_asked_has_to_come_after_the_clue(responses_s, right):
    assert crr_right(responses_s, ask_time_s=10.0, clue_time_s=20.0) is right
    assert crr_right(responses_s[::-1], ask_time_s=10.0, clue_time_s=20.0) is right


def test_times_that_are_none_are_refused():
    with pytest.raises(ValueError, match='nan'):
        crr_right([float('nan')], ask_time_s=1.0, clue_time_s=2.0)
    with pytest.raises(ValueError, match='nan'):
        rec_hits([float('nan')], [])
