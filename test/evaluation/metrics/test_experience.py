from hypothesis import given, strategies as st
import numpy as np
import pytest

from roma_ros.evaluation.metrics.experience import (
    alert_experience,
    AlertLog,
    match_alerts,
    speech_experience,
    SpeechLog,
    Spoken,
)

windows = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 9)).map(lambda s: (float(s[0]), float(sum(s)))),
    max_size=5,
).map(tuple)
firings = st.lists(st.floats(0, 60), max_size=8).map(tuple)


def log(firings_s=(), windows=(), *, stream='a', duration_s=60.0):
    return AlertLog(stream=stream, duration_s=duration_s, windows=windows, firings_s=firings_s)


def test_a_window_is_hit_once_and_further_firings_in_it_are_neither():
    match = match_alerts(log((4.0, 5.0, 9.0, 12.5, 30.0), ((4.0, 6.0), (10.0, 12.0))))
    assert match.delays_s == (0.0, None)
    assert match.repeats_s == (5.0,)
    assert match.false_s == (9.0, 12.5, 30.0)


def test_tolerance_reaches_behind_a_window_and_never_before_it():
    match = match_alerts(log((9.9, 13.0), ((10.0, 12.0),)), tolerance_s=1.0)
    assert match.delays_s == (3.0,)
    assert match.false_s == (9.9,)
    with pytest.raises(ValueError, match='tolerance_s is -1'):
        match_alerts(log(), tolerance_s=-1)


@given(firings, windows, st.floats(0, 5))
def test_every_firing_is_one_thing(firings_s, windows, tolerance_s):
    match = match_alerts(log(firings_s, windows), tolerance_s=tolerance_s)
    hits = [delay for delay in match.delays_s if delay is not None]
    assert len(hits) + len(match.false_s) + len(match.repeats_s) == len(firings_s)
    assert all(delay >= 0 for delay in hits)


@given(firings, windows, st.floats(0, 5))
def test_more_tolerance_never_hurts(firings_s, windows, tolerance_s):
    strict = match_alerts(log(firings_s, windows))
    loose = match_alerts(log(firings_s, windows), tolerance_s=tolerance_s)
    assert loose.delays_s.count(None) <= strict.delays_s.count(None)
    assert len(loose.false_s) <= len(strict.false_s)


def test_figures_by_hand():
    figures = alert_experience(
        [
            log((5.0, 40.0), ((4.0, 8.0), (20.0, 22.0)), duration_s=1800.0),
            log((33.0, 34.0), ((30.0, 35.0),), stream='b', duration_s=1800.0),
        ]
    )
    values = {name: figure.value for name, figure in figures.items()}
    assert values == pytest.approx(
        {
            'false_alerts_per_hour': 1.0,
            'missed_rate': 1 / 3,
            'precision': 2 / 3,
            'recall': 2 / 3,
            'f1': 2 / 3,
            'repeats_per_hit': 0.5,
            'delay_median_s': 2.0,
            'delay_p90_s': 2.8,
        }
    )
    assert figures['false_alerts_per_hour'].low == 0
    assert figures['false_alerts_per_hour'].high == 2
    assert figures['delay_median_s'].count == 2


@given(st.lists(st.tuples(firings, windows), min_size=1, max_size=4), st.randoms())
def test_figures_do_not_depend_on_order(items, random):
    logs = [log(f, w, stream=str(i)) for i, (f, w) in enumerate(items)]
    shuffled = [
        log(tuple(random.sample(x.firings_s, len(x.firings_s))), x.windows, stream=x.stream)
        for x in random.sample(logs, len(logs))
    ]
    first, second = alert_experience(logs), alert_experience(shuffled)
    for name, figure in first.items():
        assert second[name].value == pytest.approx(figure.value)
        assert second[name].low == pytest.approx(figure.low)


@given(firings, windows, st.floats(0, 60))
def test_a_false_alert_more_never_raises_f1(firings_s, windows, time_s):
    before = alert_experience([log(firings_s, windows)])
    after = alert_experience([log((*firings_s, 100.0), windows)])
    rate = 'false_alerts_per_hour'
    assert after[rate].value == pytest.approx(before[rate].value + 60)
    assert after['missed_rate'] == before['missed_rate']
    assert after['f1'].value <= (before['f1'].value or 0)


def test_nothing_due_and_nothing_fired_is_not_defined_but_has_a_bound():
    figures = alert_experience([log(duration_s=3600.0), log(stream='b', duration_s=3600.0)])
    assert figures['f1'].value is figures['missed_rate'].value is None
    assert figures['delay_median_s'].value is None
    rate = figures['false_alerts_per_hour']
    assert (rate.value, rate.low) == (0, 0)
    assert rate.high == pytest.approx(3 / 2, rel=0.01)
    empty = alert_experience([])
    assert all(figure.value is None for figure in empty.values())


def test_a_perfect_run_is_not_sure_of_itself():
    logs = [log((4.0,), ((4.0, 5.0),), stream=str(i)) for i in range(10)]
    missed = alert_experience(logs)['missed_rate']
    assert missed.value == 0
    assert missed.high == pytest.approx(0.26, abs=0.01)
    deaf = alert_experience([log((), ((4.0, 5.0),), stream=str(i)) for i in range(10)])
    assert deaf['missed_rate'].value == 1
    assert deaf['missed_rate'].low == pytest.approx(0.74, abs=0.01)


def test_delays_are_numpy_quantiles_and_intervals_hold_them():
    delays = np.random.default_rng(0).exponential(2, 60)
    logs = [
        log((float(a), float(30 + b)), ((0.0, 29.0), (30.0, 60.0)), stream=str(i))
        for i, (a, b) in enumerate(np.minimum(delays, 29).reshape(30, 2))
    ]
    figures = alert_experience(logs)
    for name, share in (('delay_median_s', 0.5), ('delay_p90_s', 0.9)):
        expected = np.quantile(np.minimum(delays, 29), share)
        assert figures[name].value == pytest.approx(expected)
        assert figures[name].low < expected < figures[name].high


def test_alerts_of_one_stream_are_resampled_together():
    one = [log((1.0,), ()), log((), ())]
    assert alert_experience(one)['false_alerts_per_hour'].low is None
    two = [log((1.0,), ()), log((), (), stream='b')]
    assert alert_experience(two)['false_alerts_per_hour'].low == 0


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'duration_s': 0.0}, 'lasts 0.0 s'),
        ({'duration_s': float('nan')}, 'lasts nan s'),
        ({'windows': ((3.0, 2.0),)}, 'the begin not after the end'),
        ({'firings_s': (float('nan'),)}, 'has the time nan'),
    ],
)
def test_what_cannot_be_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        log(**fields)


def test_speech_by_hand():
    figures = speech_experience(
        [
            SpeechLog(
                stream='a',
                duration_s=1800.0,
                utterances=(Spoken(12.0, 15.0), Spoken(31.0, 32.0), Spoken(50.0, 51.0)),
                due=((10.0, 20.0), (50.0, 60.0)),
                questions_s=(10.0, 30.0, 35.0),
                human_speech=((30.5, 31.0), (49.0, 50.5)),
            )
        ]
    )
    values = {name: figure.value for name, figure in figures.items()}
    assert values == pytest.approx(
        {
            'due_share': 4 / 5,
            'utterances_per_hour': 6.0,
            'interruptions_per_hour': 2.0,  # at 50 s; at 31 s the person had just ended
            'unanswered_rate': 1 / 3,  # 15 s are more than 10
            'first_word_median_s': 1.5,
            'first_word_p90_s': 1.9,
        }
    )


def test_a_reply_belongs_to_the_newest_question():
    speech = SpeechLog(
        stream='a', duration_s=60.0, utterances=(Spoken(6.0, 7.0),), questions_s=(3.0, 5.0)
    )
    figures = speech_experience([speech])
    assert figures['first_word_median_s'].value == 1.0
    assert figures['unanswered_rate'].value == 0.5


def test_silence_has_no_due_share():
    figures = speech_experience([SpeechLog(stream='a', duration_s=3600.0, utterances=())])
    assert figures['due_share'].value is None
    assert figures['utterances_per_hour'].value == 0
    assert figures['interruptions_per_hour'].high == pytest.approx(3, rel=0.01)
    assert all(figure.value is None for figure in speech_experience([]).values())
