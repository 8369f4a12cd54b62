import math

import pytest

from roma_ros.evaluation.score_files import (
    join_labels,
    Label,
    load_labels,
    load_scores,
    save_scores,
    Scores,
)
from roma_ros.policy.instructions import InstructionKind

LABELS = """{"labels": [
  {"instruct": "alert: a bell rings", "windows": [[3, 4.5], [9.0, 9.0]]},
  {"instruct": "narrate", "windows": []},
  {"instruct": "answer", "windows": [[1.0, 2.0]]}
]}"""


def test_labels_are_read(tmp_path):
    path = tmp_path / 'labels.json'
    path.write_text(LABELS)
    labels = load_labels(path)
    assert [label.kind for label in labels] == [
        InstructionKind.ALERT,
        InstructionKind.NARRATION,
        InstructionKind.ANSWER,
    ]
    assert labels[0].text == 'a bell rings'
    assert labels[0].windows == ((3.0, 4.5), (9.0, 9.0))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{', 'not a file of labels'),
        ('{"labels": [{"instruct": "alert: x"}]}', "KeyError: 'windows'"),
        ('{"labels": [{"instruct": "narrate", "windows": [[1]]}]}', 'not a file of labels'),
        ('{"labels": []}', '0 labels'),
        (
            '{"labels": [{"instruct": "alert: x", "windows": []},'
            ' {"instruct": "alert[0.5]: x", "windows": []}]}',
            'each instruction is to stand once',
        ),
        ('{"labels": [{"instruct": "narrate", "windows": [[2, 1]]}]}', 'the begin not after'),
        ('{"labels": [{"instruct": "sing", "windows": []}]}', 'cannot read the instruction'),
    ],
)
def test_what_are_no_labels_is_refused(tmp_path, text, message):
    path = tmp_path / 'labels.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_labels(path)


def test_scores_come_back_as_they_were(tmp_path):
    path = tmp_path / 'new' / 'scores.jsonl'
    scores = (Scores('narrate', (1.0, 2.0), (0.25, 0.5)), Scores('alert: x', (1.0,), (1e-9,)))
    save_scores(path, scores)
    assert load_scores(path) == scores
    save_scores(path, [Scores('narrate', (1.0,), (math.nan,))])
    assert math.isnan(load_scores(path)[0].probabilities[0])


def test_what_are_no_scores_is_refused(tmp_path):
    path = tmp_path / 'scores.jsonl'
    path.write_text('{"a": 1}\n')
    with pytest.raises(ValueError, match='not a file of scores'):
        load_scores(path)
    path.write_text('')
    with pytest.raises(ValueError, match='no scores in the file'):
        load_scores(path)


def test_scores_of_a_record_are_read(stream_path):
    scores = {item.instruct: item for item in load_scores(stream_path)}
    assert set(scores) == {'alert: a cyclist', 'narrate: what <b>happens</b>'}
    alert = scores['alert: a cyclist']
    assert alert.ends_s == tuple(float(second) for second in range(1, 21))
    assert alert.probabilities[9] == pytest.approx(0.9)


def test_labels_find_their_scores():
    scores = [Scores('alert[0.7]: a bell', (1.0, 2.0), (0.1, 0.9)), Scores('answer', (1.0,), (0,))]
    joined = join_labels('a.mp4', [Label('alert: a bell', ((1.0, 2.0),))], scores)
    assert len(joined) == 1
    assert joined[0].kind is InstructionKind.ALERT
    assert joined[0].windows == ((1.0, 2.0),)
    assert tuple(joined[0].probabilities) == (0.1, 0.9)
    with pytest.raises(ValueError, match=r"a\.mp4: 'narrate' was not scored; scored were: 'alert"):
        join_labels('a.mp4', [Label('narrate', ())], scores)
