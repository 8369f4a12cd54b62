import json

import pytest

from roma_ros.evaluation.line_scores import scored_lines
from roma_ros.policy.instructions import InstructionKind


def line(name, *, narrate=False):
    return {
        'id': name,
        'seconds': 4,
        'narrate': narrate,
        'events': [{'time_s': 1.3}],
        'alerts': [
            {
                'text': 'a bell',
                'sense': 'sound',
                'windows': [[2.0, 3.0]],
                'spoken_at_s': None,
                'probabilities': [0.1, 0.2, 0.9, 0.1],
                'fired_s': [3.0],
            },
            {'text': 'spoken', 'sense': 'sound', 'windows': [], 'spoken_at_s': 1.0},
        ],
        'questions': [{'time_s': 1.5, 'spoken': True}, {'time_s': 2.5, 'spoken': False}],
        'probabilities': [0.1, 0.8, 0.1, 0.1],
        'fired_s': [2.0],
    }


def write(path, *lines):
    rows = [{'identity': {'model': {}}}, *lines]
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    return path


def test_lines_tell_scores_and_windows(tmp_path):
    path = write(tmp_path / 'test.jsonl', line('a'), line('b', narrate=True))
    found = [(i.stream, i.kind, i.windows) for i in scored_lines(path)]
    bell = ((2.0, 3.0),)
    assert found == [
        ('a', InstructionKind.ALERT, bell),
        ('a', InstructionKind.ANSWER, ((1.5, 3.5),)),
        ('b', InstructionKind.ALERT, bell),
        ('b', InstructionKind.NARRATION, ((1.3, 2.3),)),
    ]
    assert scored_lines(path)[0].ends_s == (1.0, 2.0, 3.0, 4.0)
    assert scored_lines(path)[0].probabilities == (0.1, 0.2, 0.9, 0.1)


def test_what_are_no_lines_is_refused(tmp_path):
    path = tmp_path / 'test.jsonl'
    for text in ('', '{}\n', '{"identity": 1}\n{"id": 1}\n'):
        path.write_text(text)
        with pytest.raises(ValueError, match='not the lines of an evaluation'):
            scored_lines(path)
    with pytest.raises(ValueError, match='nothing was scored'):
        scored_lines(write(path))
