import math

from hypothesis import given, strategies as st
import pytest

from roma_ros.evaluation.metrics.videollm_online import mean_score, stream_score, Turn

HALF = math.log(0.5)


def turn(speaks, *, right=(True, True), logs=(HALF, HALF), after=(), num_frames=None):
    return Turn(
        token_log_probs=logs,
        token_right=right,
        speaks=speaks,
        speaks_after=after,
        num_frames=num_frames,
    )


def test_in_time_and_right_is_fluent():
    score = stream_score([turn([0, 0, 0, 1])], fps=2)
    assert (score.time_diff_s, score.fluency, score.lm_correctness) == (0, 1, 1)
    assert score.lm_ppl == pytest.approx(2)


def test_in_time_with_a_wrong_word():
    score = stream_score([turn([0, 1], right=(True, False))], fps=2)
    assert score.fluency == pytest.approx((2 + 1) / 4)
    assert score.lm_correctness == 0.5


def test_too_early():
    score = stream_score([turn([0, 1, 0, 1])], fps=2)
    assert score.time_diff_s == 2 / 2
    assert score.fluency == pytest.approx((4 - 2) / 6)


def test_too_late_is_shown_the_next_frames_and_capped():
    late = stream_score([turn([0, 0, 0], after=[0, 1, 1, 1])], fps=2)
    assert late.time_diff_s == 2 / 2
    assert late.fluency == pytest.approx((3 - 1) / 5)
    never = stream_score([turn([0, 0, 0], after=[0] * 9)], fps=2)
    assert never.time_diff_s == 2 / 2  # three frames, so two more are shown
    longer = stream_score([turn([0, 0, 0], after=[0] * 9, num_frames=6)], fps=2)
    assert longer.time_diff_s == 5 / 2


def test_never_in_the_last_turn_has_the_best_time():
    score = stream_score([turn([0, 0, 0])], fps=2)
    assert (score.time_diff_s, score.fluency) == (0, 1)


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.lists(st.booleans(), max_size=12))
def test_figures_are_in_range(speaks, after):
    score = stream_score([turn(speaks, after=after)], fps=1)
    assert 0 <= score.time_diff_s <= len(speaks) - 1
    assert 0 <= score.fluency <= 1


def test_means_are_over_turns_then_over_streams():
    sure = turn([1], logs=(0.0,), right=(True,))
    first = stream_score([sure, turn([1], logs=(math.log(0.25),), right=(False,))], fps=1)
    assert first.lm_ppl == pytest.approx((1 + 4) / 2)
    both = mean_score([first, stream_score([sure], fps=1)])
    assert both.lm_ppl == pytest.approx((2.5 + 1) / 2)
    with pytest.raises(ValueError, match='no streams'):
        mean_score([])


def test_turns_without_frames_or_words_count_where_they_can():
    assert stream_score([], fps=1) == stream_score([turn([], logs=(), right=())], fps=1)
    assert stream_score([turn([], logs=(HALF,), right=(True,))], fps=1).lm_ppl == pytest.approx(2)
    assert stream_score([turn([1, 0], logs=(), right=())], fps=1).time_diff_s == 1


def test_what_cannot_be_is_refused():
    for logs in ((0.5, HALF), (float('nan'), HALF), (HALF,)):
        with pytest.raises(ValueError, match='log probabilities'):
            stream_score([turn([1], logs=logs)], fps=1)
    with pytest.raises(ValueError, match='fps is 0'):
        stream_score([], fps=0)
