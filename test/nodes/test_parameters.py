from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

import rclpy
from rclpy.parameter import Parameter as RosParameter
import yaml

from roma_ros.nodes.parameter_tables import format_yaml, RomaParameters, TABLES
from roma_ros.nodes.parameters import (
    Counts,
    declare_parameters,
    declared_parameters,
    parameter,
    Parameters,
    read_parameters,
)

CONFIG = Path(__file__).resolve().parents[2] / 'config'


@dataclass(frozen=True, kw_only=True)
class Table(Parameters):
    speed: float = parameter(1.0, 'How fast.', minimum=0.5, maximum=2.0, counts=Counts.NOW)
    count: int = parameter(3, 'How many.', minimum=0, maximum=9)
    mode: str = parameter('a', 'How.', choices=('a', 'b'), counts=Counts.NOW)
    names: tuple[str, ...] = parameter(('x',), 'Who.', counts=Counts.NOW)
    low: float = parameter(0.1, 'Below speed.', minimum=0.0, maximum=9.0, counts=Counts.NOW)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low > self.speed:
            raise ValueError(f'low is {self.low}, more than speed, {self.speed}')


@pytest.fixture
def make_node():
    nodes = []

    def make(*arguments):
        context = rclpy.Context()
        rclpy.init(context=context, args=['--ros-args', *arguments])
        nodes.append((rclpy.create_node('node', context=context), context))
        return nodes[-1][0]

    yield make
    for node, context in nodes:
        node.destroy_node()
        rclpy.try_shutdown(context=context)


@pytest.mark.parametrize('name', TABLES)
def test_every_parameter_is_described_and_limited(name):
    for declared in declared_parameters(TABLES[name]):
        assert declared.description.endswith('.'), declared.name
        if isinstance(declared.default, int | float) and not isinstance(declared.default, bool):
            assert declared.minimum is not None, declared.name
            assert declared.maximum is not None, declared.name
            assert type(declared.minimum) is type(declared.default), declared.name
            assert type(declared.maximum) is type(declared.default), declared.name
    TABLES[name]()  # the defaults are allowed


@pytest.mark.parametrize('name', TABLES)
def test_parameter_file_says_what_the_table_says(name):
    text = (CONFIG / f'{name}.yaml').read_text(encoding='utf-8')
    assert text == format_yaml(name), (
        'run `python -m roma_ros.nodes.parameter_tables config` in the root of the repository'
    )
    values = yaml.safe_load(text)['/**']['ros__parameters']
    defaults = {
        p.name: list(p.default) if isinstance(p.default, tuple) else p.default
        for p in declared_parameters(TABLES[name])
    }
    assert values == defaults
    assert [type(v) for v in values.values()] == [type(v) for v in defaults.values()]


@pytest.mark.ros
@pytest.mark.parametrize('name', TABLES)
def test_node_reads_its_parameter_file(make_node, name):
    node = make_node('--params-file', str(CONFIG / f'{name}.yaml'))
    declare_parameters(node, TABLES[name])
    assert read_parameters(node, TABLES[name]) == TABLES[name]()


@pytest.mark.ros
def test_values_from_the_command_line_are_typed(make_node):
    node = make_node('-p', 'speed:=1.5', '-p', 'count:=7', '-p', "names:=['u', 'v']")
    declare_parameters(node, Table)
    assert read_parameters(node, Table) == Table(speed=1.5, count=7, names=('u', 'v'))
    descriptor = node.describe_parameter('speed')
    assert descriptor.description == 'How fast.'
    assert descriptor.floating_point_range[0].to_value == 2.0
    assert node.describe_parameter('count').integer_range[0].to_value == 9
    assert node.describe_parameter('count').read_only
    assert 'a, b' in node.describe_parameter('mode').additional_constraints


@pytest.mark.ros
@pytest.mark.parametrize(
    ('argument', 'reason'),
    [
        ('speed:=2', "parameter speed: .*'2' of type 'INTEGER'.* write it with a point"),
        ('speed:=2.5', r'parameter speed: .*2\.5.*Range: 0\.5 to 2\.0'),
        ('count:=-1', 'parameter count: .*-1.*Range: 0 to 9'),
        ('mode:=c', "parameter mode is 'c', expected one of a, b"),
        ('low:=5.0', r'low is 5\.0, more than speed, 1\.0'),
    ],
)
def test_a_wrong_start_value_is_refused_with_the_reason(make_node, argument, reason):
    with pytest.raises(ValueError, match=reason):
        declare_parameters(make_node('-p', argument), Table)


@pytest.mark.ros
@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [
        ('speed', 9.0, 'speed'),
        ('mode', 'c', "parameter mode is 'c', expected one of a, b"),
        ('low', 1.9, r'low is 1.9, more than speed, 1.0'),
        ('count', 4, 'read-only'),
    ],
)
def test_a_wrong_change_is_refused_with_the_reason(make_node, name, value, reason):
    node = make_node()
    declare_parameters(node, Table)
    result = node.set_parameters([RosParameter(name, value=value)])[0]
    assert not result.successful
    assert reason in result.reason
    assert read_parameters(node, Table) == Table()


@pytest.mark.ros
def test_a_change_that_is_allowed_counts(make_node):
    node = make_node()
    declare_parameters(node, Table)
    results = node.set_parameters(
        [RosParameter('speed', value=2.0), RosParameter('names', value=['p', 'q'])]
    )
    assert all(r.successful for r in results)
    assert read_parameters(node, Table) == Table(speed=2.0, names=('p', 'q'))


def test_an_instruction_that_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match='cannot read the instruction'):
        RomaParameters(instructions=('sing',))
    assert RomaParameters(instructions=('',)).instructions == ('',)
