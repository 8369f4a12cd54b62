from roma_ros.evaluation.benchmarks.tabletop_verdicts import summary_of, Verdict, verdicts


def test_every_window_question_and_event_has_a_row(make_line):
    line = make_line(
        narrate=True,
        utterances=[
            {'time_s': 3.0, 'kind': 'narration', 'text': 'the red box enters'},
            {'time_s': 5.0, 'kind': 'answer', 'text': 'the ball'},
            {'time_s': 6.0, 'kind': 'narration', 'text': 'the blue cone leaves'},
        ],
    )
    line['alerts'][2]['fired_s'] = [2.0]
    line['alerts'][1]['fired_s'] = []

    found = verdicts(line)

    assert found == [
        Verdict(2.0, 'alert', '', 'alert: joint', right=False),
        Verdict(2.3, 'alert', 'sight (2.3 to 3.3 s)', 'alert at 3 s', right=True),
        Verdict(2.3, 'narration', 'the red ball enters', 'the red box enters', right=False),
        Verdict(3.4, 'typed question', '?? red', 'Red.', right=True),
        Verdict(4.0, 'alert', 'sound (4.0 to 4.6 s)', '', right=False),
        Verdict(4.0, 'spoken question', '?? a ball', 'the ball', right=True),
        Verdict(6.0, 'speech', '', 'the blue cone leaves', right=False),
    ]
    assert summary_of(found) == '3 of 5 right, 2 uncalled for'


def test_an_alert_that_was_asked_for_aloud_is_judged_by_what_is_said(make_line):
    line = make_line(questions=[], utterances=[{'time_s': 4.0, 'kind': 'answer', 'text': 'alert'}])
    line['alerts'] = [
        {'text': 'a bell', 'sense': 'sound', 'windows': [[3.2, 3.9]], 'spoken_at_s': 2.0},
        {'text': 'a horn', 'sense': 'sound', 'windows': [[5.2, 5.9]], 'spoken_at_s': 1.0},
    ]

    assert [(v.kind, v.came, v.right) for v in verdicts(line)] == [
        ('spoken alert', 'alert at 4 s', True),
        ('spoken alert', '', False),
    ]


def test_silence_is_a_wrong_answer(make_line):
    found = verdicts(make_line(alerts=[], utterances=[]))

    assert [(v.kind, v.came, v.right) for v in found] == [
        ('typed question', 'Red.', True),
        ('spoken question', '', False),
    ]
