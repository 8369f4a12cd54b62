from hypothesis import given, strategies as st
import pytest

from roma_ros.evaluation.metrics.spans import check_spans, check_times, iou, match_times

times = st.lists(st.integers(0, 12).map(float), max_size=7)
spans = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 6)).map(lambda s: (float(s[0]), float(sum(s)))),
    max_size=6,
)


def largest_matching(times_s, spans):
    """Return the size of the largest pairing, by augmenting paths."""
    owner = {}

    def serve(span, seen):
        for index, time_s in enumerate(times_s):
            if spans[span][0] <= time_s <= spans[span][1] and index not in seen:
                seen.add(index)
                if index not in owner or serve(owner[index], seen):
                    owner[index] = span
                    return True
        return False

    return sum(serve(span, set()) for span in range(len(spans)))


@given(times, spans)
def test_matching_is_valid_and_no_other_has_more_pairs(times_s, spans):
    pairs = match_times(times_s, spans)
    taken = [index for index in pairs if index is not None]
    assert len(set(taken)) == len(taken) == largest_matching(times_s, spans)
    for (start_s, end_s), index in zip(spans, pairs, strict=True):
        assert index is None or start_s <= times_s[index] <= end_s


@given(times, spans, st.randoms())
def test_matching_does_not_depend_on_order(times_s, spans, random):
    def served(times_s, spans):
        pairs = match_times(times_s, spans)
        return sorted(
            (span, None if index is None else times_s[index])
            for span, index in zip(spans, pairs, strict=True)
            if index is not None
        )

    shuffled = random.sample(times_s, len(times_s)), random.sample(spans, len(spans))
    assert served(*shuffled) == served(times_s, spans)


def test_a_span_is_served_by_the_first_moment_in_it():
    assert match_times([5.0, 2.0, 3.0], [(1.5, 6.0)]) == [1]


def test_iou_is_over_the_union_and_not_over_the_hull():
    assert iou((0, 4), (2, 6)) == pytest.approx(2 / 6)
    assert iou((0, 1), (9, 10)) == 0
    assert iou((3, 3), (3, 3)) == 0


def test_what_is_no_span_or_time_is_refused():
    with pytest.raises(ValueError, match=r'alert has the span \(2, 1\)'):
        check_spans([(0, 1), (2, 1)], what='alert')
    with pytest.raises(ValueError, match='finite'):
        check_spans([(0, float('nan'))], what='alert')
    with pytest.raises(ValueError, match='alert has the time nan'):
        check_times([float('nan')], what='alert')
