from dataclasses import replace

import numpy as np
import pytest

from roma_ros.policy.calibration import calibrate, Calibration, Verdict
from roma_ros.policy.calibration_file import describe, format_parameters, PARAMETERS
from roma_ros.policy.instructions import InstructionKind
from roma_ros.policy.scored_instructions import ScoredInstruction
from roma_ros.policy.triggers import PRESETS


@pytest.fixture(scope='module')
def results() -> list[Calibration]:
    """Return one result of each kind, from half an hour that is easy."""
    rng = np.random.default_rng(0)
    probabilities = rng.uniform(0.01, 0.3, 1800)
    windows = tuple((float(start), start + 5.0) for start in range(60, 1740, 120))
    for start, end in windows:
        probabilities[int(start) : int(end)] = 0.985
    return [
        calibrate(
            [
                ScoredInstruction(
                    stream='a',
                    kind=kind,
                    ends_s=np.arange(1, 1801.0),
                    probabilities=probabilities,
                    windows=windows,
                )
            ],
            trigger=PRESETS[kind],
            false_per_hour=10.0,
        )
        for kind in InstructionKind
    ]


def test_the_file_holds_one_threshold_a_kind_and_says_how_sure_it_is(results):
    yaml = pytest.importorskip('yaml', reason='PyYAML is not installed')
    text = format_parameters(results, source='`roma calibrate` on a.mp4')
    values = yaml.safe_load(text)['/**']['ros__parameters']
    assert set(values) == set(PARAMETERS.values())
    for result in results:
        value = values[PARAMETERS[result.kind]]
        assert isinstance(value, float)
        assert value == pytest.approx(result.trigger.threshold)
    assert max(map(len, text.splitlines())) <= 99
    assert text.startswith('# Thresholds of the node roma, from `roma calibrate` on a.mp4.')
    for words in ('promised, with 95 % confidence', '100 % of 14 windows hit', 'Temperature'):
        assert words in ' '.join(line.strip(' #') for line in text.splitlines())


@pytest.mark.parametrize(
    ('verdict', 'words'),
    [
        (Verdict.PROMISED, 'promised, with 95 % confidence'),
        (Verdict.LIKELY, 'likely, but not sure; it would take about'),
        (Verdict.TOO_SHORT, 'NOT PROMISED: 30 min are too short to tell'),
        (Verdict.NOT_HELD, 'NOT PROMISED: it did not hold'),
        (Verdict.OUT_OF_REACH, 'OUT OF REACH'),
    ],
)
def test_every_verdict_has_its_words(results, verdict, words):
    assert words in next(iter(describe(replace(results[0], verdict=verdict))))


def test_without_windows_nothing_was_hit(results):
    text = ' '.join(describe(replace(results[0], held_out_recall=None, num_windows=0)))
    assert 'none of 0 windows hit' in text


def test_a_threshold_that_hits_nothing_is_no_merit(results):
    assert 'hardly ever speaks' not in ' '.join(describe(results[0]))
    assert 'hardly ever speaks' in ' '.join(describe(replace(results[0], held_out_recall=0.05)))


def test_rates_are_plain_numbers(results):
    words = ' '.join(describe(replace(results[0], held_out_per_hour_high=1100.4)))
    assert 'at most 1100 with' in words


@pytest.mark.ros
def test_the_node_accepts_the_file(results, tmp_path):
    rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
    from roma_ros.nodes.parameter_tables import RomaParameters
    from roma_ros.nodes.parameters import declare_parameters, read_parameters

    path = tmp_path / 'calibrated.yaml'
    path.write_text(format_parameters(results, source='a test'), encoding='utf-8')
    context = rclpy.Context()
    rclpy.init(context=context, args=['--ros-args', '--params-file', str(path)])
    node = rclpy.create_node('roma', context=context)
    try:
        declare_parameters(node, RomaParameters)
        values = read_parameters(node, RomaParameters)
        for result in results:
            threshold = getattr(values, PARAMETERS[result.kind])
            assert threshold == pytest.approx(result.trigger.threshold)
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)
