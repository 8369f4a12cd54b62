from roma_ros.training.supervision import (
    supervise_tabletop,
    unit_of,
    window_labels,
)
from roma_ros.training.tabletop.labels import Alert, Event, Question, Sound


def test_what_is_known_at_a_time_is_said_after_the_unit_that_ends_then_or_later():
    assert [unit_of(t) for t in (0.0, 0.2, 1.0, 1.01, 3.5)] == [0, 0, 0, 1, 3]


def test_seen_windows_count_where_a_frame_shows_them():
    # From 1.3: the frame at 1.5 shows it; until 3.2: the frame at 3.0 shows it.
    assert window_labels([(1.3, 3.2)], 5, seen=True) == (False, True, True, True, False)
    # Between two frames nothing is seen, and nothing is taught.
    assert window_labels([(2.1, 2.4)], 4, seen=True) == (False, False, None, False)


def test_heard_windows_count_where_a_quarter_second_is_heard():
    assert window_labels([(0.9, 2.3)], 4, seen=False) == (None, True, True, False)
    # Less in each of two units: the larger part counts.
    assert window_labels([(0.85, 1.2)], 3, seen=False) == (None, True, False)


def test_windows_of_one_unit_do_not_undo_each_other():
    assert window_labels([(0.2, 0.8), (0.9, 1.5)], 2, seen=False) == (True, True)


def test_typed_questions_are_answered_in_order_one_a_unit(make_stream):
    questions = (
        Question('where is the red ball', 1.6, 'where', 'left'),
        Question('how many things are there', 1.2, 'count', 'one'),
    )
    supervision = supervise_tabletop(make_stream(questions=questions))

    assert {u: t.text for u, t in supervision.turns.items()} == {1: 'one', 2: 'left'}
    assert supervision.turns[1].question == 'how many things are there'
    # Whether it would have spoken of itself there does not matter.
    assert supervision.labels == (False, None, None, False, False)


def test_spoken_questions_are_answered_at_their_end(make_stream, speech):
    asked = speech('what color is the ball', 2.4)
    question = Question(asked.text, asked.end_s, 'color', 'red', asked)
    supervision = supervise_tabletop(make_stream(questions=(question,), speech=(asked,)))

    assert supervision.turns[2].text == 'red'
    assert supervision.turns[2].question == ''
    assert supervision.labels == (False, False, True, False, False)
    assert supervision.name == 'listen'


def test_narration_is_at_the_events_and_gives_way_to_answers(make_stream):
    events = (
        Event(1.3, 'enters', 'ball', 'red', 'the red ball enters'),
        Event(3.2, 'leaves', 'ball', 'red', 'the red ball leaves'),
    )
    question = Question('how many things are there', 3.1, 'count', 'one')
    stream = make_stream(events=events, questions=(question,), narrate=True)
    supervision = supervise_tabletop(stream)

    assert supervision.labels == (False, True, False, None, False)
    assert {u: t.text for u, t in supervision.turns.items()} == {
        1: 'the red ball enters',
        3: 'one',
    }
    silent = supervise_tabletop(make_stream(events=events))
    assert not any(silent.labels)
    assert not silent.turns


def test_spoken_alerts_hold_from_the_speech_on_and_are_said_once_a_window(make_stream, speech):
    told = speech('tell me when the bell rings', 1.8, start_s=0.2)
    alert = Alert('the bell rings', 'sound', ((0.0, 1.0), (2.5, 4.1)), told)
    supervision = supervise_tabletop(
        make_stream(
            alerts=(alert,),
            speech=(told,),
            sounds=(Sound('bell', 0.0, 1.0), Sound('bell', 2.5, 4.1)),
        )
    )

    assert supervision.watches == ()
    assert supervision.labels == (False, False, True, True, None)
    assert {u: t.text for u, t in supervision.turns.items()} == {2: 'alert'}


def test_an_event_is_said_by_the_unit_that_shows_it():
    # Complete at 1.3, and true for a second: the frame at 2.0 lies in the window, too.
    assert window_labels([(1.3, 2.3)], 4, seen=True) == (False, True, None, False)


def test_silence_in_the_window_of_a_short_sound_teaches_nothing(make_stream):
    alert = Alert('someone knocks', 'sound', ((1.5, 2.5),))
    stream = make_stream(alerts=(alert,), sounds=(Sound('knock', 1.5, 1.9),))

    (watch,) = supervise_tabletop(stream).watches

    assert watch.labels == (False, True, None, False, False)
