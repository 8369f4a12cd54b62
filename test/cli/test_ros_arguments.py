from pathlib import Path
import sys

from hypothesis import given, HealthCheck, settings, strategies as st
import pytest

from roma_ros.cli.ros_arguments import node_command, parameter_arguments

LINES = ['narrate', "alert[0.7]: it's “you” → a: b, [c] {d} #e", '123', 'true', '~', '😀 \\ "q"']


def test_no_parameters_are_no_arguments():
    assert parameter_arguments({}) == []


@pytest.mark.ros
def test_a_node_starts_with_this_interpreter():
    interpreter, executable, *arguments = node_command('roma_node', {'threads': 1})
    assert interpreter == sys.executable
    assert Path(executable).name == 'roma_node'
    assert arguments == ['--ros-args', '-p', 'threads:=1']


def test_a_node_that_is_not_there_is_named():
    with pytest.raises(ValueError, match='no_node is not installed; run make build'):
        node_command('no_node', {})


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from('abc'), st.booleans() | st.integers() | st.text()))
def test_values_read_back_as_yaml(values):
    yaml = pytest.importorskip('yaml', reason='PyYAML is not installed')
    arguments = parameter_arguments(values)
    rules = arguments[2::2]
    assert len(rules) == len(values)
    for rule, (name, value) in zip(rules, values.items(), strict=True):
        left, _, right = rule.partition(':=')
        # YAML has no lone surrogates and no unescaped C1 controls; neither do command lines.
        if isinstance(value, str) and not value.isprintable():
            continue
        assert left == name
        assert yaml.safe_load(right) == value


@pytest.mark.ros
def test_rcl_reads_them_as_they_were_meant():
    rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
    context = rclpy.Context()
    values = {
        'lines': LINES,
        'text': LINES[1],
        'number': '12',
        'rate': 2.0,
        'count': 3,
        'on': True,
    }
    rclpy.init(context=context, domain_id=101)
    try:
        node = rclpy.create_node(
            'reader',
            context=context,
            cli_args=parameter_arguments(values),
            automatically_declare_parameters_from_overrides=True,
        )
        for name, value in values.items():
            assert node.get_parameter(name).value == value
        node.destroy_node()
    finally:
        rclpy.shutdown(context=context)
