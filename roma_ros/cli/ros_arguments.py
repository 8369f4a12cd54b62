"""The command line that starts a node with its parameters."""

from collections.abc import Mapping, Sequence
import json
import sys

from ..share import share_folder

ParameterValue = bool | int | float | str | Sequence[str]


def parameter_arguments(values: Mapping[str, ParameterValue]) -> list[str]:
    """
    Write parameters as ROS arguments.

    :param values: by name; strings stay strings, whatever they look like.
    :return: ``--ros-args -p name:=value ...``, empty when there are none.
    """
    arguments = ['--ros-args'] if values else []
    for name, value in values.items():
        # JSON is YAML; escapes of characters beyond 16 bits are not, so they stay as they are.
        arguments += ['-p', f'{name}:={json.dumps(value, ensure_ascii=False)}']
    return arguments


def node_command(name: str, values: Mapping[str, ParameterValue]) -> list[str]:
    """
    Return the command that starts a node, as ``ros2 run`` would.

    :param name: of its executable.
    :param values: its parameters, by name.
    :raises ValueError: when it is not installed.
    """
    executable = share_folder().parents[1] / 'lib' / 'roma_ros' / name
    if not executable.is_file():
        raise ValueError(
            f'{name} is not installed; run make build, or pip install . (looked at {executable})'
        )
    # Its own interpreter line finds this environment only where that is activated.
    return [sys.executable, str(executable), *parameter_arguments(values)]
