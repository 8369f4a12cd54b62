from hypothesis import given, strategies as st
import numpy as np
import pytest

from roma_ros.evaluation.metrics.curves import average_precision
from roma_ros.evaluation.metrics.highlights import (
    clip_ratings,
    ClipQuery,
    interpolated_average_precision,
    official_score,
    ranked_average_precision,
    Rating,
    roma_score,
    SecondQuery,
    seconds_to_clips,
)

#: Labels and scores in 0..1, with ties.
labelled_scores = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 12).map(lambda i: i / 12)), min_size=1, max_size=40
).map(lambda pairs: tuple(zip(*pairs, strict=True)))


def official_queries(truth, scores_of):
    return [
        ClipQuery(
            clip_ratings(item['duration'], item['relevant_clip_ids'], item['saliency_scores']),
            scores_of(item),
        )
        for item in truth
    ]


@pytest.mark.parametrize(
    ('rating', 'mean_ap', 'hit1'),
    [
        (Rating.FAIR, '67.77', '66.45'),
        (Rating.GOOD, '58.09', '64.45'),
        (Rating.VERY_GOOD, '35.65', '55.55'),
    ],
)
def test_the_official_sample_has_the_official_figures(qvhighlights, rating, mean_ap, hit1):
    truth, predictions, brief = qvhighlights
    queries = official_queries(
        truth, lambda item: predictions[item['qid']]['pred_saliency_scores']
    )
    score = official_score(queries, rating)
    name = score.definition.removeprefix('official, ')
    assert f'{100 * score.mean_ap:.2f}' == mean_ap == str(brief[f'HL-min-{name}-mAP'])
    assert f'{100 * score.hit1:.2f}' == hit1 == str(brief[f'HL-min-{name}-Hit1'])
    assert score.count == 1550


@pytest.mark.parametrize(('smoothing', 'mean_ap', 'hit1'), [(0, 68.8, 68.8), (5, 71.2, 69.0)])
def test_the_same_predictions_look_much_better_by_the_other_definition(
    qvhighlights, smoothing, mean_ap, hit1
):
    truth, predictions, _ = qvhighlights
    score = roma_score(
        [
            SecondQuery(
                item['relevant_windows'],
                np.repeat(predictions[item['qid']]['pred_saliency_scores'], 2),
            )
            for item in truth
        ],
        smoothing=smoothing,
    )
    assert score.definition == f'ROMA, per second, smoothing {smoothing}'
    # Figures of the released script itself, run on the same predictions, to one decimal.
    assert 100 * score.mean_ap == pytest.approx(mean_ap, abs=0.15)
    assert 100 * score.hit1 == pytest.approx(hit1, abs=0.15)


def plain_official_precision(labels, scores):
    """Compute it from the words of the definition: all thresholds, all sets, no sorting."""
    if not any(labels):
        return 0.0
    if all(labels):
        return 1.0
    points = []
    for threshold in sorted(set(scores)):
        chosen = [label for label, score in zip(labels, scores, strict=True) if score >= threshold]
        points.append((sum(chosen) / sum(labels), sum(chosen) / len(chosen)))
    recalls = sorted({recall for recall, _ in points if recall > 0})
    return float(np.mean([max(p for r, p in points if r >= recall) for recall in recalls]))


@given(labelled_scores)
def test_official_precision_agrees_with_its_definition(pairs):
    labels, scores = pairs
    assert interpolated_average_precision(labels, scores) == pytest.approx(
        plain_official_precision(labels, scores)
    )


@given(labelled_scores)
def test_the_order_of_clips_does_not_count_officially(pairs):
    labels, scores = pairs
    assert interpolated_average_precision(labels[::-1], scores[::-1]) == pytest.approx(
        interpolated_average_precision(labels, scores)
    )


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.randoms())
def test_without_ties_romas_precision_is_that_without_interpolation(labels, random):
    scores = [float(i) for i in random.sample(range(len(labels)), len(labels))]
    expected = average_precision(labels, scores)
    assert ranked_average_precision(labels, scores) == pytest.approx(expected)


def test_ties_are_ranked_by_time_in_romas():
    assert ranked_average_precision([1, 0, 0, 0], [0.0] * 4) == 1
    assert ranked_average_precision([0, 0, 0, 1], [0.0] * 4) == 0.25
    assert ranked_average_precision([0, 0], [0.0, 1.0]) is None


def test_official_cases_by_hand():
    ratings = clip_ratings(8, [1, 2], [[4, 0, 0], [4, 4, 0]])
    score = official_score([ClipQuery(ratings, [0.0, 0.5, 0.9, 0.1])], Rating.VERY_GOOD)
    assert score.mean_ap == pytest.approx((1 + 1 + 0) / 3)  # nobody's highlight counts as 0
    assert (score.hit1, score.count) == (1, 1)
    assert score.definition == 'official, VeryGood'


def test_short_predictions_are_filled_with_zeros_and_long_ones_cut():
    ratings = clip_ratings(8, [3], [[4, 4, 4]])
    short = official_score([ClipQuery(ratings, [-1.0, -2.0])], Rating.GOOD)
    assert short.mean_ap == pytest.approx(1 / 2)  # two clips have the filled-up zero
    behind = official_score([ClipQuery(ratings, [0, 0, 0, 1, 9.0])], Rating.GOOD)
    assert (behind.mean_ap, behind.hit1) == (1, 0)


def test_ratings_have_to_fit_the_video():
    assert clip_ratings(151, [74], [[1, 2, 3]]).shape == (75, 3)
    with pytest.raises(ValueError, match='a video of 4 clips'):
        clip_ratings(8, [4], [[4, 4, 4]])
    with pytest.raises(ValueError, match='as many ratings as clips'):
        clip_ratings(8, [1, 2], [[4, 4, 4]])
    with pytest.raises(ValueError, match='0 to 4'):
        clip_ratings(8, [1], [[4, 5, 4]])


def test_nothing_to_judge_is_an_error():
    with pytest.raises(ValueError, match='no queries'):
        official_score([], Rating.FAIR)
    with pytest.raises(ValueError, match='no query has a positive second'):
        roma_score([SecondQuery([], [0.1, 0.2])])
    with pytest.raises(ValueError, match='1 of them not finite'):
        official_score([ClipQuery(clip_ratings(4, [], []), [float('nan'), 0])], Rating.FAIR)


def test_seconds_are_added_up_to_clips():
    assert seconds_to_clips([1, 2, 3, 4, 5]).tolist() == [3, 7, 5]


def test_roma_leaves_videos_without_positives_out():
    good = SecondQuery([(1, 1)], [0.0, 1.0, 0.0])
    assert roma_score([good, SecondQuery([], [0.5, 0.1, 0.2])], smoothing=0).count == 1
    assert roma_score([good], smoothing=0).mean_ap == 1
