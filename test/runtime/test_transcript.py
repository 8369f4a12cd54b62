from hypothesis import given, strategies as st
import pytest

from roma_ros.runtime.transcript import SpanKind, Transcript, WindowConfig

UNIT_TOKENS = 30


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just(SpanKind.UNIT), st.integers(2, 40)),
            st.tuples(st.just(SpanKind.TEXT), st.integers(1, 64)),
        ),
        max_size=80,
    ),
    st.integers(2, 12),
    st.floats(0, 1),
    st.booleans(),
)
def test_any_stream_stays_within_its_budgets(spans, window_s, fraction, contiguous):
    config = WindowConfig(
        window_s=window_s, text_tokens=64, evict_fraction=fraction, contiguous=contiguous
    )
    transcript = Transcript(config, unit_tokens=UNIT_TOKENS)
    transcript.append(SpanKind.SINK, tokens=11, extent=11)
    # A shadow cache holds (serial number of the span, position of the token).
    cache = [(0, p) for p in range(11)]
    for serial, (kind, tokens) in enumerate(spans, start=1):
        ranges = transcript.make_room(kind, tokens)
        if ranges is not None:
            cache = [
                (cache[i][0], cache[i][1] - r.shift)
                for r in ranges
                for i in range(r.start, r.stop)
            ]
        start = transcript.next_position
        cache += [(serial, start + p) for p in range(tokens)]
        transcript.append(kind, tokens=tokens, extent=tokens)

        assert transcript.length == len(cache) <= 11 + transcript.max_tokens
        assert cache[:11] == [(0, p) for p in range(11)]  # the sink never goes
        units = [s for s in transcript.spans if s.kind is SpanKind.UNIT]
        texts = [s for s in transcript.spans if s.kind is SpanKind.TEXT]
        assert len(units) <= window_s
        assert sum(s.tokens for s in texts) <= 64
        serials = [n for n, _ in cache]
        assert serials == sorted(serials)  # order is kept
        if contiguous:
            assert [p for _, p in cache] == list(range(len(cache)))
        else:
            assert transcript.next_position == 11 + sum(t for _, t in spans[:serial])


def test_the_oldest_units_go_as_a_whole_and_text_stays():
    config = WindowConfig(window_s=4, text_tokens=64, evict_fraction=0.5)
    transcript = Transcript(config, unit_tokens=UNIT_TOKENS)
    transcript.append(SpanKind.SINK, tokens=5, extent=5)
    for _ in range(2):
        transcript.append(SpanKind.UNIT, tokens=29, extent=27)
    transcript.append(SpanKind.TEXT, tokens=7, extent=7)
    for _ in range(2):
        transcript.append(SpanKind.UNIT, tokens=29, extent=27)
    ranges = transcript.make_room(SpanKind.UNIT, 29)
    assert [(r.start, r.stop, r.shift) for r in ranges] == [(0, 5, 0), (63, 128, 54)]
    assert [s.kind.value for s in transcript.spans] == ['sink', 'text', 'unit', 'unit']
    assert transcript.next_position == 5 + 7 + 2 * 27


def test_a_span_that_never_fits_is_refused():
    transcript = Transcript(WindowConfig(window_s=1), unit_tokens=UNIT_TOKENS)
    with pytest.raises(ValueError, match='unit of 31 tokens does not fit into a window of 30'):
        transcript.make_room(SpanKind.UNIT, 31)


def test_bad_budgets_are_refused():
    with pytest.raises(ValueError, match='window_s is 0'):
        WindowConfig(window_s=0)
