import pytest

from roma_ros.evaluation.benchmarks.tabletop_baselines import baseline_figures
from roma_ros.evaluation.benchmarks.tabletop_score import (
    score_tabletop,
    slots_of,
    split_speech,
)


def narration(time_s, text):
    return {'time_s': time_s, 'kind': 'narration', 'text': text}


@pytest.fixture
def narrated(make_line):
    return make_line(
        'n',
        narrate=True,
        utterances=[narration(3.0, 'The red ball enters.'), narration(5.0, 'a ball')],
    )


def test_all_right_is_one(make_line, narrated):
    figures = score_tabletop([make_line('a'), narrated])
    assert figures['alert']['f1'] == 1
    assert figures['alert']['by_sense'] == {'sight': 1, 'sound': 1, 'joint': None}
    assert figures['alert']['delay_s_median'] == pytest.approx(0.85)
    assert figures['alert']['false_alerts_per_hour'] == 0
    assert figures['narration']['time_f1'] == 1
    assert figures['narration']['slot_accuracy'] == 1
    assert (figures['questions']['spoken'], figures['questions']['typed']) == (1, 1)
    assert figures['questions']['constant'] == 0.5
    assert figures['silent']['false_alerts_per_hour'] == 0
    assert figures['silent']['unasked_speech_per_hour'] == 0


def test_false_alerts_are_counted_per_hour_and_alert(make_line):
    line = make_line()
    line['alerts'][2]['fired_s'] = [2.0, 4.0]
    figures = score_tabletop([line])
    assert figures['alert']['false_alerts_per_hour'] == pytest.approx(2 * 3600 / 18)
    assert figures['alert']['false_alerts_per_hour_of_stream'] == pytest.approx(2 * 3600 / 6)
    # The joint alert is the one of which nothing happens.
    assert figures['silent']['false_alerts_per_hour'] == pytest.approx(2 * 3600 / 6)
    assert figures['alert']['f1'] == pytest.approx(2 * 2 / (2 * 2 + 2), abs=1e-4)


@pytest.mark.parametrize(('fired_s', 'f1'), [(2.0, 0.0), (3.0, 1.0), (4.3, 1.0), (4.4, 0.0)])
def test_an_alert_counts_in_its_window_and_a_second_later(make_line, fired_s, f1):
    line = make_line()
    line['alerts'] = line['alerts'][:1]
    line['alerts'][0]['fired_s'] = [fired_s]
    assert score_tabletop([line])['alert']['f1'] == f1


def test_silence_on_a_spoken_question_is_wrong(make_line):
    figures = score_tabletop([make_line(utterances=[])])
    assert figures['questions']['spoken'] == 0
    assert figures['questions']['spoken_unanswered'] == 1
    assert figures['questions']['typed'] == 1


@pytest.mark.parametrize(('time_s', 'right'), [(3.0, 0), (4.0, 1), (7.0, 1), (7.1, 0)])
def test_a_spoken_question_is_answered_within_three_seconds(make_line, time_s, right):
    line = make_line(utterances=[{'time_s': time_s, 'kind': 'answer', 'text': 'a ball'}])
    figures = score_tabletop([line])
    assert figures['questions']['spoken'] == right
    assert bool(figures['silent']['unasked_speech_per_hour']) is not bool(right)


def test_a_second_answer_does_not_mend_the_first(make_line):
    said = [
        {'time_s': t, 'kind': 'answer', 'text': text}
        for t, text in ((5.0, 'a box'), (6.0, 'ball'))
    ]
    assert score_tabletop([make_line(utterances=said)])['questions']['spoken'] == 0


def test_while_narrating_a_sentence_with_a_verb_is_no_answer(make_line):
    said = [narration(5.0, 'the red ball enters'), narration(6.0, 'a ball')]
    speech = split_speech(make_line(narrate=True, utterances=said))
    assert speech.answers == {1: 'a ball'}
    assert speech.rest == said[:1]


def test_speech_in_the_window_of_a_spoken_alert_is_that_alert(make_line):
    line = make_line(utterances=[{'time_s': 3.0, 'kind': 'answer', 'text': 'alert'}])
    line['alerts'][0]['spoken_at_s'] = 1.0
    figures = score_tabletop([line])
    assert figures['alert']['spoken_recall'] == 1
    assert figures['alert']['windows'] == 1  # the typed ones alone
    assert figures['silent']['unasked_speech_per_hour'] == 0


def test_words_are_judged_slot_by_slot(narrated):
    narrated['utterances'] = [narration(3.0, 'the red box falls')]
    figures = score_tabletop([narrated])['narration']
    assert figures['time_f1'] == 1
    assert figures['slot_accuracy'] == pytest.approx(1 / 3, abs=1e-4)
    assert figures['slots'] == {'color': 1, 'verb': 0, 'what': 0}
    narrated['utterances'] = []
    assert score_tabletop([narrated])['narration']['slot_accuracy'] == 0


@pytest.mark.parametrize(
    ('time_s', 'f1', 'late_f1'), [(2.0, 0, 0), (3.0, 1, 1), (4.0, 0, 1), (5.0, 0, 0)]
)
def test_narration_counts_for_a_second_and_kindly_for_two(narrated, time_s, f1, late_f1):
    narrated['questions'] = []
    narrated['utterances'] = [narration(time_s, 'the red ball enters')]
    figures = score_tabletop([narrated])['narration']
    assert (figures['time_f1'], figures['time_f1_within_2_s']) == (f1, late_f1)


@pytest.mark.parametrize(
    ('text', 'slots'),
    [
        ('the red ball hits the blue box', {'what': 'ball', 'color': 'red', 'verb': 'hits'}),
        ('The blue box is uncovered.', {'what': 'box', 'color': 'blue', 'verb': 'is uncovered'}),
        ('the blue box is covered', {'what': 'box', 'color': 'blue', 'verb': 'is covered'}),
        ('hello', {}),
    ],
)
def test_reads_slots_from_words(text, slots):
    assert slots_of(text) == slots


def test_baselines_stand_under_the_same_metrics(make_line, narrated):
    figures = baseline_figures([make_line('a'), narrated])
    assert figures['never']['alert']['f1'] == 0
    assert figures['never']['alert']['false_alerts_per_hour'] == 0
    assert figures['always']['alert']['recall'] == 1
    assert figures['always']['alert']['false_alerts_per_hour'] > 1000
    # Each in hindsight finds what it can see or hear, here without a mistake.
    assert figures['motion']['narration']['time_f1'] == 1
    assert figures['motion']['alert']['by_sense']['sight'] == pytest.approx(2 / 3, abs=0.4)
    assert figures['loudness']['alert']['by_sense']['sound'] > 0
    assert figures['loudness']['narration']['time_f1'] < 1
    answers = figures['most_frequent_answer']['questions']
    assert sorted([answers['spoken'], answers['typed']]) == [0, 1]
    assert figures['every_k_seconds']['setting']['alert'] in range(2, 9)


def test_baselines_read_nothing_of_what_the_model_did(make_line):
    line = make_line()
    silent = make_line(utterances=[], fired_s=[], probabilities=[0.0] * 6)
    for entry in silent['alerts']:
        entry['fired_s'] = []
    silent['questions'][0]['said'] = None
    assert baseline_figures([line]) == baseline_figures([silent])


def test_speech_is_judged_as_a_user_feels_it(make_line, narrated):
    figures = score_tabletop([make_line(), narrated])['speech']
    # Two alerts and an answer in each, and the narration: all of it was due.
    assert figures['due_share'] == 1
    assert figures['first_word_median_s'] == 1
    assert figures['unanswered_rate'] == 0
    # The sight alert at 3 s, and the narration, came while the question was spoken.
    assert figures['interruptions_per_hour'] == pytest.approx(3 * 3600 / 12)
    assert figures['intervals']['due_share'] == [1, 1]


def test_speech_for_nothing_is_not_due(make_line):
    line = make_line()
    line['alerts'][2]['fired_s'] = [1.0]
    line['utterances'] = []
    figures = score_tabletop([line])['speech']
    assert figures['due_share'] == pytest.approx(2 / 3, abs=1e-4)
    # The alert at 5 s is taken for a reply: what is said is judged elsewhere.
    assert figures['first_word_median_s'] == 1
    line['alerts'] = []
    figures = score_tabletop([line])['speech']
    assert (figures['due_share'], figures['unanswered_rate']) == (None, 1)
    assert figures['first_word_median_s'] is None


def test_events_are_not_due_where_nothing_is_narrated(make_line):
    said = [narration(3.0, 'The red ball enters.')]
    for narrate, due in ((True, 1), (False, 0)):
        line = make_line(narrate=narrate, utterances=said, alerts=[], questions=[])
        assert score_tabletop([line])['speech']['due_share'] == due
