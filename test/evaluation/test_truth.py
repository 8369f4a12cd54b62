from dataclasses import asdict
import json

import pytest

from roma_ros.evaluation.truth import (
    Condition,
    Event,
    load_truth,
    Sound,
    Speech,
    Truth,
    TypedQuestion,
)

TRUTH = Truth(
    version=1,
    media='recording.mp4',
    duration_s=20.0,
    clap_s=None,
    narrate=True,
    events=(Event(3.0, 'a ball falls'),),
    speech=(Speech(2.0, 3.5, 'alert', 'Tell me.'),),
    sounds=(Sound(9.5, 10.7, 'bell'),),
    alerts=(Condition('the bell rings', ((9.5, 10.7),)), Condition('a siren', ())),
    questions=(TypedQuestion(4.0, 'what fell', 'a ball'),),
)


def test_truth_reads_back(tmp_path):
    path = tmp_path / 'recording.json'
    path.write_text(json.dumps(asdict(TRUTH)))
    assert load_truth(path) == TRUTH


@pytest.mark.parametrize(
    'content',
    ['{', '{}', '[]', '3', json.dumps({**asdict(TRUTH), 'events': [{'what': 1}]})],
)
def test_other_content_is_refused_with_what_to_do(tmp_path, content):
    path = tmp_path / 'recording.json'
    path.write_text(content)
    with pytest.raises(ValueError, match=r'delete it to build the recording again.*recording'):
        load_truth(path)
