from dataclasses import asdict
import json
from math import ceil

import pytest

from roma_ros.evaluation.benchmarks.tabletop import (
    load_triggers,
    plain_words,
    preset_triggers,
    TabletopSample,
    TabletopWorker,
    with_triggers,
)
from roma_ros.evaluation.words import KINDS
from roma_ros.policy.triggers import PRESETS, TriggerConfig


@pytest.fixture(scope='module')
def played(runtime, make_stream):
    """The line of a stream played by the package's own model, and when frames were rendered."""
    rendered = []
    # Low enough for any weights to reach it at some second.
    alert = TriggerConfig(threshold=0.001, hysteresis=None)
    triggers = preset_triggers() | {'alert': alert, 'answer': alert}
    worker = TabletopWorker(
        runtime=runtime,
        make_stream=lambda sample: make_stream(sample.seed, rendered=rendered),
        triggers=triggers,
    )
    return worker(TabletopSample(split='test', seed=3, seconds=6)), rendered, triggers


def test_a_line_holds_truth_and_outcome(played):
    line, _, _ = played
    assert (line['id'], line['seed'], line['seconds']) == ('test-3-6', 3, 6)
    assert [len(alert.get('probabilities', [])) for alert in line['alerts']] == [6, 6, 6, 0]
    assert line['alerts'][3]['spoken_at_s'] == 1.0
    assert line['alerts'][0]['windows'] == [[2.3, 3.3]]
    assert len(line['probabilities']) == len(line['motion']) == len(line['loudness_db']) == 6
    typed, spoken = line['questions']
    assert isinstance(typed['said'], str)
    assert 'said' not in spoken
    assert line['events'][0]['text'] == 'the red ball enters'


def test_no_frame_is_rendered_before_its_second_is_over(played):
    _, rendered, _ = played
    assert rendered == [i / 2 for i in range(12)]


def test_signals_of_the_baselines_are_the_streams_own(played):
    line, _, _ = played
    # The picture changes at 2.5 s, the sound is louder from 3 s to 4 s.
    assert max(range(6), key=lambda i: line['motion'][i]) == 2
    assert line['motion'][1] == 0
    assert max(range(6), key=lambda i: line['loudness_db'][i]) == 3


def test_triggers_are_those_given(played):
    line, _, triggers = played
    assert any(alert.get('fired_s') for alert in line['alerts'])
    assert with_triggers(line, triggers) == line
    never = with_triggers(line, {'alert': TriggerConfig(threshold=0.999)})
    assert not any(alert.get('fired_s') for alert in never['alerts'])


def test_a_narrated_stream_is_narrated(runtime, make_stream):
    always = TriggerConfig(threshold=1e-9, hysteresis=None)
    worker = TabletopWorker(
        runtime=runtime,
        make_stream=lambda sample: make_stream(narrate=True),
        triggers=preset_triggers() | {'narration': always},
    )
    line = worker(TabletopSample(split='test', seed=0, seconds=6))
    assert line['narrate']
    # One a second, until the typed question is answered, which narration does not cut off.
    times_s = [u['time_s'] for u in line['utterances']]
    assert times_s[:3] == [1.0, 2.0, 3.0]
    assert float(ceil(3.4)) not in times_s
    assert {u['kind'] for u in line['utterances']} == {'narration'}


def test_presets_are_those_of_the_package():
    assert preset_triggers() == {name: PRESETS[kind] for name, kind in KINDS.items()}


@pytest.mark.parametrize('text', ['The red ball.', 'a red ball', ' RED  ball', 'an red ball!'])
def test_answers_are_compared_by_their_words(text):
    assert plain_words(text) == 'red ball'


def test_thresholds_of_an_earlier_evaluation(tmp_path):
    path = tmp_path / 'tabletop.json'
    alert = TriggerConfig(threshold=0.3, window_units=2, hysteresis=None)
    triggers = preset_triggers() | {'alert': alert}
    written = {name: asdict(trigger) for name, trigger in triggers.items()}
    path.write_text(json.dumps({'thresholds': {'from': 'validation'} | written}))
    assert load_triggers(path) == triggers
    for text in ('{}', '{', '{"thresholds": {"alert": {"threshold": 2.0}}}'):
        path.write_text(text)
        with pytest.raises(ValueError, match='no thresholds of roma eval tabletop'):
            load_triggers(path)
