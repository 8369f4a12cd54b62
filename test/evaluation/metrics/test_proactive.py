from hypothesis import given, strategies as st
import pytest

from roma_ros.evaluation.metrics.proactive import (
    alerting_score,
    interval_accuracy,
    interval_outcome,
    Outcome,
    po_accuracy,
    ProactiveOutput,
    triggers_in_a_row,
)


def test_triggers_end_windows():
    assert triggers_in_a_row([0, 1, 1, 1, 0, 1, 1], threshold=0.5, window=2) == [2, 3, 6]
    assert triggers_in_a_row([0.5, float('nan'), 0.5], threshold=0.5, window=1) == [0, 2]
    assert triggers_in_a_row([], threshold=0.5, window=1) == []
    with pytest.raises(ValueError, match='window is 0'):
        triggers_in_a_row([1.0], threshold=0.5, window=0)


@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0, 1), st.integers(1, 6))
def test_triggers_agree_with_slices(probabilities, threshold, window):
    expected = [
        end
        for end in range(window - 1, len(probabilities))
        if all(p >= threshold for p in probabilities[end - window + 1 : end + 1])
    ]
    found = triggers_in_a_row(probabilities, threshold=threshold, window=window)
    assert found == expected


@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0, 0.9), st.integers(1, 5))
def test_a_higher_threshold_or_window_never_triggers_earlier(probabilities, threshold, window):
    found = set(triggers_in_a_row(probabilities, threshold=threshold, window=window))
    for more in ((threshold + 0.1, window), (threshold, window + 1)):
        strict = triggers_in_a_row(probabilities, threshold=more[0], window=more[1])
        assert set(strict) <= found


@pytest.mark.parametrize(
    ('first_s', 'outcome'),
    [
        (None, Outcome.MISSED),
        (3.9, Outcome.EARLY),
        (4, Outcome.CORRECT),
        (8, Outcome.CORRECT),
        (8.1, Outcome.LATE),
    ],
)
def test_the_first_time_is_judged(first_s, outcome):
    assert interval_outcome(first_s, (4, 8)) is outcome


def test_interval_accuracy_by_hand():
    samples = [
        ([0, 0, 1, 1, 0, 0], (2, 4)),  # correct, at 3
        ([1, 1, 0, 0, 1, 1], (4, 5)),  # early, at 1, and again
        ([0, 0, 0, 0, 1, 1], (1, 2)),  # late
        ([1, 0, 1, 0, 1, 0], (1, 2)),  # never two in a row
    ]
    shares = interval_accuracy(samples, threshold=0.5, window=2)
    assert (shares.accuracy, shares.early, shares.late, shares.missed) == (0.25,) * 4
    assert (shares.repeated, shares.count) == (0.25, 4)
    assert interval_accuracy(samples[::-1], threshold=0.5, window=2) == shares


def test_official_output_is_in_time_within_two_seconds_both_ways():
    def output(time_s, text='5'):
        return ProactiveOutput(time_s, text, 10.0, '5')

    outputs = [output(8), output(12), output(7.9), output(12.1), output(None), output(10, '4')]
    accuracy = po_accuracy(outputs)
    assert accuracy.time == pytest.approx(3 / 6)
    assert accuracy.answer == pytest.approx(2 / 6)
    assert output(10, 'It is 15.').correct  # the substring trap


def test_official_alerting_by_hand():
    score = alerting_score(
        [
            ([4.0, 6.0, 12.0], (3.0, 8.0)),  # right; two of three inside; 4 of 9 s overlap
            ([2.0, 5.0], (3.0, 8.0)),  # early; one of two inside; 2 of 6 s overlap
            ([0.5, 5.0], (3.0, 8.0)),  # what comes before second 1 is dropped; one response
            ([], (3.0, 8.0)),
        ]
    )
    assert score.accuracy == pytest.approx(2 / 4)
    assert score.precision == pytest.approx((2 / 3 + 1 / 2 + 1) / 4)
    assert score.mean_iou == pytest.approx((4 / 9 + 2 / 6 + 0) / 4)
    assert alerting_score([([5.0], (5.0, 5.0))]).mean_iou == 0
    with pytest.raises(ValueError, match='no samples'):
        alerting_score([])
    with pytest.raises(ValueError, match='nan'):
        alerting_score([([float('nan')], (1.0, 2.0))])


def test_nothing_to_judge_is_an_error():
    with pytest.raises(ValueError, match='no samples'):
        po_accuracy([])
    with pytest.raises(ValueError, match='no samples'):
        interval_accuracy([], threshold=0.5, window=1)
    with pytest.raises(ValueError, match='the begin not after the end'):
        interval_outcome(1.0, (3, 2))
