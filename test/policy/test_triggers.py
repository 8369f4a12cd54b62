from hypothesis import given, strategies as st
import pytest

from roma_ros.policy.instructions import InstructionKind
from roma_ros.policy.triggers import PRESETS, Trigger, TriggerConfig

probabilities = st.lists(st.floats(0, 1), max_size=60)


def fire(config: TriggerConfig, values) -> list[int]:
    trigger = Trigger(config)
    return [i for i, p in enumerate(values) if trigger.update(p)]


def test_fires_at_the_last_of_consecutive_units():
    config = TriggerConfig(threshold=0.5, window_units=3)
    assert fire(config, [0.9, 0.9, 0.1, 0.6, 0.5, 0.7, 0.9]) == [5]


def test_hysteresis_asks_for_a_fall_before_it_fires_again():
    config = TriggerConfig(threshold=0.6, hysteresis=0.2)
    assert fire(config, [0.7, 0.5, 0.7, 0.39, 0.7]) == [0, 4]


def test_without_hysteresis_every_unit_may_fire():
    config = TriggerConfig(threshold=0.6, hysteresis=None)
    assert fire(config, [0.7, 0.7, 0.5, 0.7]) == [0, 1, 3]


def test_refractory_time_silences_but_does_not_delay_the_first():
    config = TriggerConfig(threshold=0.6, hysteresis=None, refractory_units=2)
    assert fire(config, [0.7] * 7) == [0, 3, 6]


def test_smoothing_averages_the_newest_units():
    config = TriggerConfig(threshold=0.6, smoothing_units=2)
    assert fire(config, [0.0, 1.0, 0.0, 0.5, 0.8]) == [4]


def test_nan_does_not_speak():
    assert fire(TriggerConfig(threshold=0.5), [float('nan')] * 3) == []


@given(probabilities, st.integers(1, 5), st.floats(0.05, 0.95))
def test_first_firing_is_the_papers_rule(values, window, threshold):
    config = TriggerConfig(threshold=threshold, window_units=window)
    expected = next(
        (
            i
            for i in range(window - 1, len(values))
            if min(values[i - window + 1 : i + 1]) >= threshold
        ),
        None,
    )
    assert next(iter(fire(config, values)), None) == expected


@given(probabilities)
def test_reset_equals_fresh(values):
    config = TriggerConfig(threshold=0.5, smoothing_units=3, refractory_units=2)
    trigger = Trigger(config)
    for p in values:
        trigger.update(p)
    trigger.reset()
    assert [trigger.update(p) for p in values] == [
        i in fire(config, values) for i in range(len(values))
    ]


def test_presets_hold_the_papers_narration_threshold():
    assert {kind.name: preset.threshold for kind, preset in PRESETS.items()} == {
        'NARRATION': 0.975,
        'ALERT': 0.6,
        'ANSWER': 0.6,
    }


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'threshold': 0.0}, 'threshold is 0.0'),
        ({'threshold': 0.5, 'window_units': 0}, 'window_units is 0'),
        ({'threshold': 0.5, 'hysteresis': 0.5}, 'hysteresis is 0.5'),
    ],
)
def test_bad_values_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        TriggerConfig(**fields)


def test_another_threshold_keeps_a_hysteresis_that_fits():
    config = TriggerConfig(threshold=0.6, hysteresis=0.1, window_units=2)
    assert config.with_threshold(0.9) == TriggerConfig(
        threshold=0.9, hysteresis=0.1, window_units=2
    )
    assert config.with_threshold(0.1).hysteresis == 0.05
    assert PRESETS[InstructionKind.NARRATION].with_threshold(0.5).hysteresis is None
