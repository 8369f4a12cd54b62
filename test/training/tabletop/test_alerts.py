from collections import Counter
import math

from roma_ros.training.tabletop.language import COLORS, joints_of, SHAPES, SOUND_CONDITIONS

FRAMES_S = 0.5
SOUND_OF = {text: name for name, texts in SOUND_CONDITIONS.items() for text in texts}


def holding_units(alert, duration_s):
    """Return the units at whose end an alert holds."""
    return {u for u in range(duration_s) if any(a <= u + 1 <= b for a, b in alert.windows)}


def asked_from(alert):
    return alert.speech.end_s if alert.speech else 0.0


def is_seen(stream, unit, text):
    """Tell from the last frame of a unit whether what a text names is in view."""
    words = text.split()
    shape = next((w for w in words if w in SHAPES), None)
    color = next((w for w in words if w in COLORS), None)
    shown = [o for o in stream.objects_at(unit + FRAMES_S) if o.visible > 0.5]
    if words[-1] == 'things':
        return len(shown) == ['', '', 'two', 'three'].index(words[2])
    return any(shape in (None, o.shape) and color in (None, o.color) for o in shown)


def sounding_units(stream, text):
    units = set()
    for sound in stream.sounds:
        if sound.name == SOUND_OF[text]:
            first = math.ceil(sound.start_s)
            units.update(range(first - 1, max(math.floor(sound.end_s), first)))
    return units


def test_a_sight_holds_as_long_as_the_last_frame_shows_it(streams):
    checked = Counter()
    for stream in streams[:80]:
        for alert in stream.alerts:
            if alert.sense == 'sight' and alert.text.startswith('you see'):
                truth = {
                    u
                    for u in range(stream.duration_s)
                    if u + 1 >= asked_from(alert) and is_seen(stream, u, alert.text)
                }
                assert holding_units(alert, stream.duration_s) == truth, (stream.seed, alert)
                checked[bool(truth)] += 1
    assert min(checked.values()) > 20


def test_an_event_holds_for_one_second(streams):
    checked = Counter()
    for stream in streams:
        for alert in stream.alerts:
            if alert.sense == 'sight' and not alert.text.startswith('you see'):
                who, _, what = alert.text.partition(' ')
                truth = []
                for event in stream.events:
                    is_meant = event.text == alert.text or (
                        who == 'something' and event.verb == what.replace(' something', '')
                    )
                    if is_meant and math.ceil(event.time_s) >= asked_from(alert):
                        truth.append(math.ceil(event.time_s) - 1)
                assert holding_units(alert, stream.duration_s) == set(truth), (stream.seed, alert)
                checked[bool(truth)] += 1
    assert min(checked.values()) > 50


def test_a_sound_holds_while_it_is_heard(streams):
    checked = Counter()
    for stream in streams:
        for alert in stream.alerts:
            if alert.sense == 'sound':
                truth = sounding_units(stream, alert.text)
                truth = {u for u in truth if u + 1 >= asked_from(alert)}
                assert holding_units(alert, stream.duration_s) == truth, (stream.seed, alert)
                checked[bool(truth)] += 1
    assert min(checked.values()) > 80


def test_a_joint_alert_holds_while_its_sound_and_its_thing_are_there(streams):
    checked, half_true = Counter(), 0
    for stream in streams:
        for alert in stream.alerts:
            if alert.sense == 'joint':
                sound, view = alert.text.split(' while ')
                heard = sounding_units(stream, sound)
                seen = {u for u in range(stream.duration_s) if is_seen(stream, u, view)}
                truth = {u for u in heard & seen if u + 1 >= asked_from(alert)}
                assert holding_units(alert, stream.duration_s) == truth, (stream.seed, alert)
                checked[bool(truth)] += 1
                half_true += not truth and bool(heard or seen)
    assert min(checked.values()) > 80
    assert half_true > 0.6 * checked[False]


def test_windows_are_in_order_and_within_the_stream(streams):
    for stream in streams:
        for alert in stream.alerts:
            edges = [edge for window in alert.windows for edge in window]
            assert edges == sorted(edges)
            assert all(asked_from(alert) <= edge <= stream.duration_s for edge in edges)
            # Each has a second at whose end it holds.
            assert all(max(math.ceil(a), 1) <= b for a, b in alert.windows)


def test_senses_and_answers_are_balanced(streams):
    alerts = [alert for stream in streams for alert in stream.alerts]
    assert 4 <= len(alerts) / len(streams) <= 6
    for sense in ('sight', 'sound', 'joint'):
        own = [alert for alert in alerts if alert.sense == sense]
        assert 0.29 < len(own) / len(alerts) < 0.38
        assert 0.42 < sum(bool(alert.windows) for alert in own) / len(own) < 0.58


def test_no_words_tell_by_themselves_whether_an_alert_holds(streams):
    holds = {}
    for stream in streams:
        for alert in stream.alerts:
            for word in alert.text.split():
                holds.setdefault(word, []).append(bool(alert.windows))
    for word, values in holds.items():
        if len(values) >= 40:
            assert 0.25 < sum(values) / len(values) < 0.75, word


def test_a_stream_asks_for_nothing_twice(streams):
    for stream in streams:
        texts = [alert.text for alert in stream.alerts]
        assert len(set(texts)) == len(texts)


def test_spoken_alerts_are_said_in_full_before_they_count(streams):
    spoken = [(s, a) for s in streams for a in s.alerts if a.speech]
    assert len(spoken) > 30
    for stream, alert in spoken:
        assert not stream.narrate
        assert alert.speech in stream.speech
        assert alert.speech.text.endswith(alert.text)
    assert all(sum(a.speech is not None for a in s.alerts) <= 1 for s in streams)


def test_held_out_pairs_of_sound_and_shape_are_named_in_the_test_only(streams, test_streams):
    def named(some):
        return {
            (SOUND_OF[a.text.split(' while ')[0]], shape)
            for s in some
            for a in s.alerts
            if a.sense == 'joint'
            for shape in SHAPES
            if shape in a.text.split()
        }

    held_out = set(joints_of('test')) - set(joints_of('train'))
    assert held_out
    assert not named(streams) & held_out
    assert named(test_streams) & held_out
