"""What each benchmark makes of lines, and how it cuts and asks."""

from inspect import signature

import pytest

from roma_ros.evaluation.benchmarks.choices import (
    chosen,
    first_letter_right,
    spoken_choice,
    typed_choice,
)
from roma_ros.evaluation.benchmarks.registry import BENCHMARKS
from roma_ros.evaluation.metrics.grounding import second_iou
from roma_ros.evaluation.metrics.highlights import roma_score


@pytest.fixture
def line(official):
    """Make the line of a benchmark's sample, with what a model did in it."""

    def make(name, *, place=0, **fields):
        sample = BENCHMARKS[name].samples(official[name])[place]
        return {
            'id': sample.id,
            'truth': sample.truth,
            'seconds': 6,
            'probabilities': {},
            'fired_s': {},
            'answers': [],
            'utterances': [],
            'spoken_s': [],
        } | fields

    return make


def said(time_s, text, id='narration'):
    return {'time_s': time_s, 'id': id, 'kind': 'narration', 'text': text, 'probability': 0.9}


def test_qvhighlights_has_both_definitions_apart(line):
    benchmark = BENCHMARKS['qvhighlights']
    # Clip 1 is very good for all three people; the windows reach from 2 s to 6 s.
    best = line('qvhighlights', probabilities={'alert-0': [0, 0, 0.9, 0.9, 0.2, 0.2]})
    figures = benchmark.score([best])
    assert figures['official, VeryGood: mAP'] == 100
    assert figures['official, VeryGood: HIT@1'] == 100
    assert figures['ROMA, per second, smoothing 5: mAP'] < 100
    worst = line('qvhighlights', probabilities={'alert-0': [0.9, 0.9, 0, 0, 0, 0]})
    assert benchmark.score([worst])['official, VeryGood: HIT@1'] == 0


def test_charades_compares_sets_of_seconds(line):
    scores = [0.0] * 30
    truth = line('charades-sta')
    truth['truth'] = {'span': [10.0, 20.0]}
    scores[10:21] = [1.0] * 11
    good = truth | {'probabilities': {'alert-0': scores}}
    bad = truth | {'probabilities': {'alert-0': scores[::-1][15:] + scores[:15]}}
    figures = BENCHMARKS['charades-sta'].score([good, bad])
    assert figures == {'sets of seconds: R@0.5': 50, 'sets of seconds: R@0.7': 50}


def test_charades_reads_spans_and_sentences(official):
    first, second = BENCHMARKS['charades-sta'].samples(official['charades-sta'])
    assert first.truth == {'span': [2.3, 4.4]}
    assert [alert.text for alert in first.alerts] == ['person turn a light on.']
    assert first.id != second.id


def test_charades_refuses_a_broken_line(official, tmp_path):
    (tmp_path / 'Charades_v1_480').mkdir()
    (tmp_path / 'charades_sta_test.txt').write_text('3MSZA 2.3##a person sits.\n')
    with pytest.raises(ValueError, match=r'line 1 is .* expected "VIDEO BEGIN END##SENTENCE"'):
        BENCHMARKS['charades-sta'].samples(tmp_path)


@pytest.mark.parametrize(
    ('fired_s', 'accuracy'), [([3.0, 9.0], 100), ([2.0, 4.0], 0), ([5.1], 0), ([], 0)]
)
def test_omnimmi_judges_the_first_alert(line, fired_s, accuracy):
    made = line('omnimmi-pa', fired_s={'alert-0': fired_s}, probabilities={'alert-0': [0.0] * 6})
    figures = BENCHMARKS['omnimmi-pa'].score([made])
    assert figures['first alert inside (official): accuracy'] == accuracy
    assert figures['by second index (ROMA): missed'] == 100


def test_proactive_output_runs_from_the_question_to_four_seconds_after_the_truth(official):
    (sample,) = BENCHMARKS['streamingbench-po'].samples(official['streamingbench-po'])
    assert sample.parts == ((2.0, 9.0),)
    assert sample.alerts[0].time_s == 0


@pytest.mark.parametrize(
    ('fired_s', 'accuracy'), [([1.0], 100), ([5.0], 100), ([5.1], 0), ([0.9, 3.0], 0), ([], 0)]
)
def test_proactive_output_tolerates_two_seconds(line, fired_s, accuracy):
    # The truth is at 5 s, the stream begins at 2 s.
    made = line(
        'streamingbench-po', fired_s={'alert-0': fired_s}, probabilities={'alert-0': [0.0] * 7}
    )
    figures = BENCHMARKS['streamingbench-po'].score([made])
    assert figures['first alert within 2 s: accuracy'] == accuracy


def test_streamingbench_asks_at_its_time_and_in_context(official):
    real, first, second = BENCHMARKS['streamingbench'].samples(official['streamingbench'])
    assert real.parts == ((0.0, 7.0),)
    assert real.questions[0].time_s == 7
    assert real.questions[0].text == typed_choice(
        'What is on the table now?', ['a cup', 'a box', 'a ball', 'nothing']
    )
    assert 'it was asked' not in first.questions[0].text
    assert second.questions[0].text.startswith('At 00:00:03 it was asked: What is on the table')
    assert 'Answer: C. Question:' in second.questions[0].text


def test_streamingbench_takes_a_minute_of_context(official):
    benchmark = BENCHMARKS['streamingbench']
    annotation = official['streamingbench'] / 'questions_real.json'
    text = annotation.read_text()
    annotation.write_text(text.replace('00:00:07', '00:05:30'))
    try:
        sample = benchmark.samples(official['streamingbench'])[0]
    finally:
        annotation.write_text(text)
    assert sample.parts == ((270.0, 330.0),)
    assert sample.questions[0].time_s == 60


def test_streamingbench_means_are_over_tasks(line):
    lines = [
        line('streamingbench', answers=['C'], id='a'),
        line('streamingbench', answers=['The answer is C'], id='b'),
        line('streamingbench', place=1, answers=[None], id='c'),
    ]
    figures = BENCHMARKS['streamingbench'].score(lines)
    assert figures['first letter: real, Clips Summarize'] == 50
    assert figures['letter alone: real, mean'] == 100
    assert figures['first letter: sqa, mean'] == 0
    assert figures['unanswered'] == pytest.approx(100 / 3)


def test_ovo_repetitions_are_counted_one_by_one(line):
    made = line('ovo-rec', fired_s={'alert-0': [1.0, 2.0, 3.0]})
    figures = BENCHMARKS['ovo-rec'].score([made])
    assert figures['intervals with an alert: micro'] == 50
    assert figures['alerts outside every interval'] == pytest.approx(100 / 3)


@pytest.mark.parametrize(('fired_s', 'right'), [([5.0], 100), ([3.0, 5.0], 0), ([], 0)])
def test_ovo_clue_has_to_be_waited_for(line, fired_s, right):
    figures = BENCHMARKS['ovo-crr'].score([line('ovo-crr', fired_s={'alert-0': fired_s})])
    assert figures == {'first alert after the clue: accuracy': right}


def test_ovo_streams_end_at_the_last_probe(official):
    (rec,) = BENCHMARKS['ovo-rec'].samples(official['ovo-rec'])
    (crr,) = BENCHMARKS['ovo-crr'].samples(official['ovo-crr'])
    (ssr,) = BENCHMARKS['ovo-ssr'].samples(official['ovo-ssr'])
    (epm,) = BENCHMARKS['ovo-qa'].samples(official['ovo-qa'])
    assert [s.parts for s in (rec, crr, ssr, epm)] == [
        ((0.0, 5.0),),
        ((0.0, 6.0),),
        ((0.0, 6.0),),
        ((0.0, 5.0),),
    ]
    assert crr.alerts[0].time_s == 2
    assert epm.questions[0].time_s == 5


def test_ovo_steps_are_narrated_in_time(line):
    made = line('ovo-ssr', utterances=[said(1.0, 'x'), said(2.0, 'x'), said(4.0, 'x')])
    figures = BENCHMARKS['ovo-ssr'].score([made])
    assert figures['time in segment: F1'] == pytest.approx(80)
    assert figures['time in segment: recall'] == 100


def test_ovo_questions_are_judged_with_and_without_gifts(line):
    made = line('ovo-qa', answers=['A, B, C or D'])
    figures = BENCHMARKS['ovo-qa'].score([made])
    assert figures['letter anywhere (official): EPM'] == 100
    assert figures['letter alone: EPM'] == 0


def test_youcook2_lays_segments_end_to_end(official):
    (sample,) = BENCHMARKS['youcook2'].samples(official['youcook2'])
    assert sample.parts == ((1.0, 3.0), (5.0, 8.0))
    assert sample.narrate
    assert sample.truth['segments'] == [[0.0, 2.0], [2.0, 5.0]]


def test_youcook2_judges_times_and_words(line):
    made = line('youcook2', utterances=[said(1.9, 'cut the onion'), said(4.9, 'boil potatoes')])
    figures = BENCHMARKS['youcook2'].score([made])
    assert figures['time in segment: F1'] == 100
    assert figures['dense captions: localization F1'] == 100
    assert 80 < figures['dense captions: SODA_c-style, word F1'] < 100
    silent = BENCHMARKS['youcook2'].score([line('youcook2')])
    assert set(silent.values()) == {0}


@pytest.mark.parametrize(
    ('time_s', 'text', 'right', 'answered'),
    [
        (12.0, 'C', 100, 100),
        (12.0, 'they are berries', 100, 100),
        (12.0, 'Candles', 0, 100),
        (11.0, 'C', 0, 0),  # while it is still being asked
    ],
)
def test_spoken_questions_are_answered_when_they_are_over(line, time_s, text, right, answered):
    made = line('video-mme', utterances=[said(time_s, text, 'main')], spoken_s=[[3.0, 11.5]])
    figures = BENCHMARKS['video-mme'].score([made])
    assert figures == {'letter or words: accuracy': right, 'answered': answered}


def test_spoken_questions_begin_as_the_video_ends(official):
    (sample,) = BENCHMARKS['egoschema'].samples(official['egoschema'])
    assert sample.spoken[0].time_s == pytest.approx(3, abs=0.11)
    assert sample.spoken[0].text == (
        'What does C do? The options are A: cook, B: clean, C: eat, D: run, E: sit.'
    )
    assert sample.truth['letter'] == 'B'


def test_video_mme_reads_the_official_table(official, tmp_path):
    pa = pytest.importorskip('pyarrow', reason='pyarrow is not installed')
    parquet = pytest.importorskip('pyarrow.parquet', reason='pyarrow is not installed')
    benchmark = BENCHMARKS['video-mme']
    folder = official['video-mme']
    import json

    rows = json.loads((folder / 'test.json').read_text())
    (tmp_path / 'videomme').mkdir()
    (tmp_path / 'data').symlink_to(folder / 'data')
    parquet.write_table(
        pa.Table.from_pylist(rows), tmp_path / 'videomme' / 'test-00000-of-00001.parquet'
    )
    from_table, from_json = benchmark.samples(tmp_path), benchmark.samples(folder)
    assert [s.truth for s in from_table] == [s.truth for s in from_json]
    assert [s.spoken for s in from_table] == [s.spoken for s in from_json]


OPTIONS = ['A. A red cup.', 'B. A dog', '(C) both']


@pytest.mark.parametrize(
    ('response', 'letter'),
    [
        ('B', 'B'),
        ('(B)', 'B'),
        ('The answer is C.', 'C'),
        ('A', 'A'),
        ('A dog', 'B'),
        ('it is a red cup on a table', 'A'),
        ('I see nothing', None),
        ('', None),
        (None, None),
    ],
)
def test_an_answer_means_an_option(response, letter):
    assert chosen(response, OPTIONS) == letter


def test_questions_with_options_are_one_line():
    text = typed_choice('What\nis it?', OPTIONS)
    assert text == (
        'Question: What is it? Options: A. A red cup.; B. A dog; C. both; '
        'Answer with the letter of the right option alone.'
    )
    assert spoken_choice('What is it?', OPTIONS) == (
        'What is it? The options are A: A red cup, B: A dog, C: both.'
    )


@pytest.mark.parametrize(
    ('response', 'right'), [('C', True), (' C. a ball', True), ('is C', False), (None, False)]
)
def test_the_first_letter_counts(response, right):
    assert first_letter_right(response, 'C') is right


@pytest.mark.parametrize(
    ('name', 'kind', 'threshold', 'window'),
    [
        ('omnimmi-pa', 'alert', 0.5, 5),
        ('streamingbench-po', 'alert', 0.2, 4),
        ('ovo-rec', 'alert', 0.7, 2),
        ('ovo-crr', 'alert', 0.7, 2),
        ('youcook2', 'narration', 0.975, 1),
        ('ovo-ssr', 'narration', 0.97, 1),
    ],
)
def test_the_session_speaks_by_the_papers_windows_and_thresholds(name, kind, threshold, window):
    trigger = BENCHMARKS[name].triggers[kind]
    assert (trigger.threshold, trigger.window_units) == (threshold, window)
    # The paper's rule is these two numbers alone.
    assert (trigger.smoothing_units, trigger.hysteresis, trigger.refractory_units) == (1, None, 0)


def test_scores_are_smoothed_and_cut_as_in_the_paper():
    assert signature(roma_score).parameters['smoothing'].default == 5
    parameters = signature(second_iou).parameters
    assert (parameters['smoothing'].default, parameters['threshold'].default) == (3, 0.45)
