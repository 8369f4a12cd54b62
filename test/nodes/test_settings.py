from dataclasses import replace

import pytest

pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('rclpy', reason='rclpy is not installed')

from roma_ros.nodes.parameter_tables import RomaParameters
from roma_ros.nodes.settings import change_instructions, make_session_config, parse_instructions
from roma_ros.policy.instructions import InstructionKind, parse_instruction
from roma_ros.policy.triggers import PRESETS, TriggerConfig


def test_thresholds_and_windows_reach_their_triggers():
    parameters = RomaParameters(alert_threshold=0.3, alert_window_units=5, window_s=7)
    config = make_session_config(parameters, PRESETS)
    alert = config.triggers[InstructionKind.ALERT]
    assert (alert.threshold, alert.window_units) == (0.3, 5)
    assert config.triggers[InstructionKind.NARRATION].threshold == 0.975
    assert config.window.window_s == 7


def test_without_a_word_the_triggers_are_those_of_the_model():
    own = PRESETS | {
        InstructionKind.ALERT: TriggerConfig(threshold=0.9, window_units=3, hysteresis=0.2)
    }
    assert make_session_config(RomaParameters(), own).triggers == own
    changed = make_session_config(RomaParameters(alert_threshold=0.4), own).triggers
    assert changed[InstructionKind.ALERT] == replace(own[InstructionKind.ALERT], threshold=0.4)


def test_empty_instructions_count_as_none():
    assert [i.id for i in parse_instructions(['', 'narrate', 'alert: x'])] == [
        'instruction-1',
        'instruction-2',
    ]


def test_a_changed_list_changes_what_is_changed_in_it():
    before = parse_instructions(['narrate', 'alert: a', 'alert: b'])
    added_by_service = parse_instruction('alert: s', id='instruction-9')
    standing = (before[0], before[2], added_by_service)  # a service has removed a
    after = parse_instructions(['narrate: cats', 'alert: a', 'alert: b', 'alert: c'])
    removed, added = change_instructions(standing, before, after)
    assert removed == ['instruction-1']
    assert [(i.id, i.text) for i in added] == [('instruction-1', 'cats'), ('instruction-2', 'c')]
    assert change_instructions(standing, before, before) == ([], [])
