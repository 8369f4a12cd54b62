import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from roma_ros.msg import Instruction, SpeakScore, Status, Utterance

from roma_ros.nodes.watching import MAX_UNITS, MAX_UTTERANCES, Notes


def view(notes, now_s=0.0, present=True):
    return notes.view('/roma', present=present, others=(), now_s=now_s)


def score(unit, name='bell', probability=0.5, **fields):
    return SpeakScore(
        unit_index=unit, instruction_id=name, probability=probability, threshold=0.6, **fields
    )


def diagnostics(*names, level=DiagnosticStatus.OK):
    return DiagnosticArray(
        status=[
            DiagnosticStatus(
                name=n, level=level, message='m', values=[KeyValue(key='k', value='v')]
            )
            for n in names
        ]
    )


def test_scores_are_kept_by_instruction_with_its_words():
    notes = Notes()
    notes.add_status(
        Status(state=Status.STATE_ACTIVE, instructions=[Instruction(id='bell', text='it rings')]),
        0.0,
    )
    notes.add_score(score(3, kind=2, probability=0.25, latency_ms=80.0))
    notes.add_score(score(3, 'listen', kind=3, triggered=True))
    bell, listen = view(notes).series
    assert (bell.instruction_id, bell.kind, bell.text) == ('bell', 'alert', 'it rings')
    assert bell.points[0].unit_index == 3
    assert bell.points[0].probability == 0.25
    assert bell.points[0].threshold == pytest.approx(0.6)
    assert (listen.kind, listen.text, listen.points[0].triggered) == ('answer', '', True)
    assert view(notes).state == 'active'


def test_only_the_newest_units_are_kept_and_removed_instructions_go():
    notes = Notes()
    notes.add_score(score(0, 'gone'))
    for unit in range(MAX_UNITS + 50):
        notes.add_score(score(unit))
    (series,) = view(notes).series
    assert [p.unit_index for p in series.points] == list(range(50, MAX_UNITS + 50))


def test_a_new_stream_begins_anew():
    notes = Notes()
    for unit in (7, 8, 0):
        notes.add_score(score(unit))
    (series,) = view(notes).series
    assert [p.unit_index for p in series.points] == [0]


def test_names_without_end_do_not_fill_the_memory():
    notes = Notes()
    for number in range(1000):
        notes.add_score(score(1, f'instruction-{number}'))
        notes.add_diagnostics(diagnostics(f'd{number}'), 0.0)
        notes.add_utterance(Utterance(id=number, text='x' * 9000))
    seen = view(notes)
    assert len(seen.series) == 64
    assert len(seen.diagnoses) == 64
    assert len(seen.transcript) == MAX_UTTERANCES
    assert len(seen.transcript[0].text) == 2000


def test_segments_of_an_utterance_are_joined():
    notes = Notes()
    notes.add_utterance(Utterance(id=4, sequence=2, text='...end.', final=True))  # began earlier
    notes.add_utterance(Utterance(id=5, sequence=0, text='A taxi', unit_index=7, kind=1))
    notes.add_utterance(Utterance(id=5, sequence=1, text=' stops.', unit_index=8, final=True))
    notes.add_utterance(Utterance(id=5, sequence=0, text='Anew.'))  # the node began anew
    texts = [(s.utterance_id, s.text, s.unit_index, s.final) for s in view(notes).transcript]
    assert texts == [
        (4, '...end.', 0, True),
        (5, 'A taxi stops.', 7, True),
        (5, 'Anew.', 0, False),
    ]


def test_diagnoses_are_sorted_by_how_bad_they_are_and_go_when_old():
    notes = Notes()
    notes.add_diagnostics(diagnostics('old'), 0.0)
    notes.add_diagnostics(diagnostics('well'), 10.0)
    notes.add_diagnostics(diagnostics('bad', level=DiagnosticStatus.ERROR), 10.0)
    seen = view(notes, now_s=11.0).diagnoses
    assert [(d.name, d.level) for d in seen] == [('bad', 2), ('well', 0)]
    assert seen[0].values == (('k', 'v'),)


@pytest.mark.parametrize(
    ('now_s', 'present', 'is_old'), [(4.0, True, False), (6.0, True, True), (6.0, False, False)]
)
def test_a_status_grows_old(now_s, present, is_old):
    notes = Notes()
    notes.add_status(Status(state=Status.STATE_ACTIVE), 0.0)
    assert view(notes, now_s=now_s, present=present).is_old is is_old
