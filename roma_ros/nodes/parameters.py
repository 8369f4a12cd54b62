"""Parameters as typed tables: a frozen dataclass that is declared in a node and read from it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, cast, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

_Table = TypeVar('_Table', bound='Parameters')
_Value = bool | int | float | str | tuple[str, ...]


class Counts(Enum):
    """From when on a change of a parameter counts; in words for the operator."""

    START = 'Read-only.'
    CONFIGURE = 'A change counts when the node is configured.'
    ACTIVATE = 'A change counts when the node is activated.'
    NOW = 'A change counts at once.'


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """
    What is known about one parameter.

    :param name: as in YAML.
    :param default: its type is the parameter's; a tuple is an array of strings.
    :param description: one or two sentences.
    :param minimum: smallest value allowed.
    :param maximum: largest value allowed.
    :param choices: the values allowed; empty: any.
    :param counts: from when on a change counts; START: it is read-only.
    """

    name: str
    default: _Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    counts: Counts = Counts.START

    def check(self, value: _Value) -> None:
        """
        Refuse a value that is not allowed.

        :raises ValueError: with what came and what is allowed.
        """
        if self.choices and value not in self.choices:
            raise ValueError(
                f'parameter {self.name} is {value!r}, expected one of {", ".join(self.choices)}'
            )
        if self.minimum is not None and not self.minimum <= value <= self.maximum:  # type: ignore[operator]
            raise ValueError(
                f'parameter {self.name} is {value}, expected {self.minimum} to {self.maximum}'
            )

    @property
    def constraints(self) -> str:
        """Return in words what is allowed."""
        if self.choices:
            return 'One of: ' + ', '.join(self.choices) + '.'
        if self.minimum is not None:
            return f'Range: {self.minimum} to {self.maximum}.'
        return ''

    @property
    def descriptor(self) -> ParameterDescriptor:
        """Return the descriptor that ``ros2 param describe`` shows."""
        descriptor = ParameterDescriptor(
            description=self.description,
            additional_constraints=' '.join(
                filter(None, (self.constraints if self.choices else '', self.counts.value))
            ),
            read_only=self.counts is Counts.START,
        )
        if isinstance(self.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=self.minimum, to_value=self.maximum)
            ]
        elif isinstance(self.default, int) and not isinstance(self.default, bool):
            descriptor.integer_range = [
                IntegerRange(from_value=self.minimum, to_value=self.maximum)
            ]
        return descriptor


def parameter(default: _Value, description: str, **rest: Any) -> Any:
    """Declare a parameter as a field of a table; keywords as in :class:`Parameter`."""
    return field(default=default, metadata={'description': description, **rest})


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """
    The values of one node's parameters; subclasses are the tables.

    :raises ValueError: when a value is not allowed.
    """

    def __post_init__(self) -> None:
        for declared in declared_parameters(type(self)):
            declared.check(getattr(self, declared.name))


def declared_parameters(table: type[Parameters]) -> tuple[Parameter, ...]:
    """Return what is known about each parameter of a table, in order."""
    return tuple(
        Parameter(name=f.name, default=cast(_Value, f.default), **f.metadata)
        for f in fields(table)
    )


def declare_parameters(
    node: Node,
    table: type[_Table],
    on_change: Callable[[_Table], None] = lambda _: None,
) -> None:
    """
    Declare a table's parameters, and refuse later changes that are not allowed, with the reason.

    :param on_change: takes the values that are about to be in force; it may refuse them with a
        ValueError.
    :raises ValueError: when a value given at the start has the wrong type or is not allowed.
    """
    for declared in declared_parameters(table):
        default = (
            list(declared.default) if isinstance(declared.default, tuple) else declared.default
        )
        try:
            node.declare_parameter(declared.name, default, declared.descriptor)
        except InvalidParameterTypeException as error:
            hint = '; write it with a point, as in 1.0' if isinstance(default, float) else ''
            raise ValueError(f'parameter {declared.name}: {error}{hint}') from None
        except InvalidParameterValueException as error:
            allowed = f'; allowed: {declared.constraints}' if declared.constraints else ''
            raise ValueError(f'parameter {declared.name}: {error}{allowed}') from None

    def check(changed: Sequence[RosParameter]) -> SetParametersResult:
        values = _current_values(node, table)
        values.update({p.name: _plain(p.value) for p in changed if p.name in values})
        try:
            on_change(table(**values))
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    read_parameters(node, table)
    node.add_on_set_parameters_callback(check)


def read_parameters(node: Node, table: type[_Table]) -> _Table:
    """
    Return the values of a table's parameters as they are now.

    :raises ValueError: when they are not allowed.
    """
    return table(**_current_values(node, table))


def _current_values(node: Node, table: type[Parameters]) -> dict[str, Any]:
    return {f.name: _plain(node.get_parameter(f.name).value) for f in fields(table)}


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
