"""Two runs of one benchmark, figure by figure: did a change make it faster."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

#: Figures of which less is better, by the end of their name; of the others, more or neither.
_COSTS = ('_ms', '_p50', '_p95', '_mib', '_bytes', '_growth', '_s')
#: What tells of the machine and the day rather than of the code.
_ABOUT = ('machine', 'config', 'threads', 'units', 'date', 'wall_s')


@dataclass(frozen=True)
class Change:
    """
    One figure in both runs.

    :param name: its path in the JSON, with dots.
    :param ratio: second over first.
    :param is_cost: less is better.
    """

    name: str
    first: float
    second: float
    ratio: float
    is_cost: bool


def compare_runs(first: dict[str, Any], second: dict[str, Any]) -> list[Change]:
    """
    Pair the figures of two runs.

    :param first: what a benchmark wrote, before a change.
    :param second: after it.
    :return: the figures that both have and that are not zero, in the order of the first.
    :raises ValueError: when they are not runs of one benchmark on one model and device.
    """
    for name in ('benchmark', 'model', 'device'):
        if first.get(name) != second.get(name):
            raise ValueError(
                f'the two runs differ in their {name}: {first.get(name)!r} and '
                f'{second.get(name)!r}; compare runs of one benchmark, model and device'
            )
    others = dict(_numbers(second))
    return [
        Change(name, value, others[name], others[name] / value, name.endswith(_COSTS))
        for name, value in _numbers(first)
        if value and name in others
    ]


def _numbers(value: Any, name: str = '') -> Iterator[tuple[str, float]]:
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        yield name, float(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            if name or key not in _ABOUT:
                yield from _numbers(item, f'{name}.{key}' if name else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _numbers(item, f'{name}.{index}')
