from itertools import combinations

from hypothesis import given, settings, strategies as st
import pytest

from roma_ros.evaluation.metrics.captions import Caption, localization_f1, soda_c, word_f1
from roma_ros.evaluation.metrics.spans import iou

span = st.tuples(st.integers(0, 12), st.integers(1, 6)).map(lambda s: (float(s[0]), float(sum(s))))
caption = st.builds(Caption, span, st.sampled_from(['cut the onion', 'cut it', 'fry the egg']))


def test_localization_by_hand():
    result = localization_f1([(0, 10), (50, 60)], [(0, 8), (20, 30)])
    # 0.8 of overlap is above three of the four thresholds.
    assert result.recall == pytest.approx(0.5 * 3 / 4)
    assert result.precision == pytest.approx(0.5 * 3 / 4)
    assert result.f1 == pytest.approx(0.375)


def test_overlap_has_to_be_more_than_the_threshold():
    assert localization_f1([(0, 10)], [(0, 5)], thresholds=[0.5]).f1 == 0
    assert localization_f1([(0, 10)], [(0, 5)], thresholds=[0.49]).f1 == 1


def test_copies_cost_nothing():
    assert localization_f1([(0, 10)] * 7, [(0, 10)]).f1 == 1


@given(st.lists(span, max_size=6), st.lists(span, min_size=1, max_size=6))
def test_localization_agrees_with_plain_loops(predicted, true):
    precisions, recalls = [], []
    for threshold in (0.3, 0.5, 0.7, 0.9):
        good = [p for p in predicted if any(iou(p, t) > threshold for t in true)]
        found = [t for t in true if any(iou(p, t) > threshold for p in predicted)]
        precisions.append(len(good) / max(1, len(predicted)))
        recalls.append(len(found) / len(true))
    result = localization_f1(predicted, true)
    assert result.precision == pytest.approx(sum(precisions) / 4)
    assert result.recall == pytest.approx(sum(recalls) / 4)
    assert localization_f1(predicted[::-1], true[::-1]).f1 == pytest.approx(result.f1)


def test_degenerate_localization():
    assert localization_f1([], [(0, 1)]).f1 == 0
    with pytest.raises(ValueError, match='leave the video out'):
        localization_f1([(0, 1)], [])
    with pytest.raises(ValueError, match='the begin not after the end'):
        localization_f1([(2, 1)], [(0, 1)])


def best_alignment(predicted, true):
    """Try every alignment that keeps the order."""
    best = 0.0
    for count in range(1, min(len(predicted), len(true)) + 1):
        for said in combinations(predicted, count):
            for due in combinations(true, count):
                total = sum(
                    iou(a.span, b.span) * word_f1(a.text, b.text)
                    for a, b in zip(said, due, strict=True)
                )
                best = max(best, total)
    return best


@settings(max_examples=40)
@given(st.lists(caption, max_size=4), st.lists(caption, max_size=4))
def test_the_story_is_aligned_as_well_as_can_be(predicted, true):
    said, due = (sorted(c, key=lambda item: item.span) for c in (predicted, true))
    total = best_alignment(said, due)
    expected = 2 * total / (len(said) + len(due)) if said and due else 0.0
    assert soda_c(predicted, true) == pytest.approx(expected)
    assert soda_c(predicted[::-1], true[::-1]) <= 1


def test_a_story_out_of_order_is_worth_less():
    first, second = Caption((0, 10), 'cut the onion'), Caption((10, 20), 'fry the egg')
    assert soda_c([first, second], [first, second]) == 1
    swapped = [Caption((0, 10), 'fry the egg'), Caption((10, 20), 'cut the onion')]
    assert soda_c(swapped, [first, second]) < 0.5
    assert soda_c([], [first]) == soda_c([first], []) == 0


def test_the_similarity_can_be_another_one():
    said, true = [Caption((0, 1), 'a')], [Caption((0, 1), 'b')]
    assert soda_c(said, true) == 0
    assert soda_c(said, true, similarity=lambda predicted, true: 0.5) == 0.5


def test_words_in_common():
    assert word_f1('Cut the onion.', 'the onion, cut!') == 1
    assert word_f1('cut cut', 'cut') == pytest.approx(2 / 3)
    assert word_f1('', 'cut') == 0
    assert word_f1('', '!') == 1
