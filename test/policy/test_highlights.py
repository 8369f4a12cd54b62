from hypothesis import given, strategies as st
import pytest

from roma_ros.policy.highlights import HighlightState, HighlightTracker


def run(tracker: HighlightTracker, values):
    events = [tracker.update(i, i + 1, p) for i, p in enumerate(values)]
    return [e for e in [*events, tracker.finish()] if e is not None]


def test_reports_begin_update_and_end():
    events = run(HighlightTracker(0.5), [0.1, 0.6, 0.9, 0.2, 0.1, 0.7])
    told = [(e.number, e.state.name, e.start_ns, e.end_ns, e.score) for e in events]
    assert told == [
        (0, 'BEGIN', 1, 2, 0.6),
        (0, 'UPDATE', 1, 3, 0.9),
        (0, 'END', 1, 3, 0.9),
        (1, 'BEGIN', 5, 6, 0.7),
        (1, 'END', 5, 6, 0.7),
    ]


def test_patience_bridges_a_short_dip():
    events = run(HighlightTracker(0.5, patience_units=2), [0.6, 0.4, 0.8, 0.1, 0.1])
    ends = [(e.start_ns, e.end_ns) for e in events if e.state is HighlightState.END]
    assert ends == [(0, 3)]


@given(st.lists(st.floats(0, 1), max_size=50), st.integers(1, 4))
def test_highlights_hold_every_high_unit_once(values, patience):
    events = run(HighlightTracker(0.5, patience_units=patience), values)
    ended = [e for e in events if e.state is HighlightState.END]
    covered = [i for e in ended for i in range(e.start_ns, e.end_ns)]
    assert len(covered) == len(set(covered))
    assert {i for i, p in enumerate(values) if p >= 0.5} <= set(covered)
    assert all(values[e.start_ns] >= 0.5 <= values[e.end_ns - 1] for e in ended)
    assert all(e.score == max(values[e.start_ns : e.end_ns]) for e in ended)


def test_bad_values_are_refused():
    with pytest.raises(ValueError, match='threshold is 1'):
        HighlightTracker(1.0)
