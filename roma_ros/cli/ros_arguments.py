"""Parameters of a node, written as its command line wants them."""

from collections.abc import Mapping, Sequence
import json


def parameter_arguments(
    values: Mapping[str, bool | int | float | str | Sequence[str]],
) -> list[str]:
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
