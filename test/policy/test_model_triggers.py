import json

import pytest

from roma_ros.policy.instructions import InstructionKind
from roma_ros.policy.model_triggers import FILE_NAME, read_triggers, write_triggers
from roma_ros.policy.triggers import PRESETS, TriggerConfig


def test_a_model_without_a_file_speaks_as_published(tmp_path):
    assert read_triggers(tmp_path) == PRESETS


def test_triggers_read_back_and_what_is_not_named_is_as_published(tmp_path):
    alert = TriggerConfig(threshold=0.8, window_units=2, smoothing_units=3, hysteresis=None)
    write_triggers(tmp_path, {InstructionKind.ALERT: alert})
    assert read_triggers(tmp_path) == PRESETS | {InstructionKind.ALERT: alert}


@pytest.mark.parametrize(
    'content',
    ['', '[]', '{"alarm": {"threshold": 0.5}}', '{"alert": {"threshold": 2}}', '{"alert": {}}'],
)
def test_a_broken_file_is_named(tmp_path, content):
    (tmp_path / FILE_NAME).write_text(content)
    with pytest.raises(ValueError, match=r'no triggers by kind .*mend or delete'):
        read_triggers(tmp_path)


def test_the_shipped_model_brings_its_own():
    from roma_ros.runtime.factory import default_model

    pytest.importorskip('torch', reason='torch is not installed')
    words = set(json.loads((default_model() / FILE_NAME).read_text()))
    assert words == {kind.name.lower() for kind in InstructionKind}
