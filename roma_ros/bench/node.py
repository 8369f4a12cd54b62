"""What images, sound and units cost on a CPU, above a subscriber that does nothing."""

from collections.abc import Callable
import importlib.util
import json
import subprocess
import sys
from typing import Any

from .machine import describe_machine

_ROLE_MODULE = 'roma_ros.nodes.cost'
# Else glibc takes fresh pages for each image until something as large has been freed, which the
# listeners that make nothing of the images never do: they would cost more than those that do.
_MALLOC = {'MALLOC_MMAP_THRESHOLD_': str(2**26), 'MALLOC_TRIM_THRESHOLD_': str(2**26)}


def run_node(
    environment: dict[str, str],
    *,
    seconds: float = 20.0,
    width: int = 640,
    height: int = 480,
    on_progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """
    Run a camera and a microphone, and listeners to both at once, each in its own process.

    The listeners: ``raw``, bytes of which no message is made, the least that DDS can cost;
    ``bare``, messages that nobody reads; ``units``, as in the node; and ``pairs``, the usual
    ApproximateTimeSynchronizer, where ``message_filters`` is installed.

    :param environment: of the processes: a ROS graph of their own.
    :param seconds: that are measured [s].
    :param width: of the images.
    :param height: of the images.
    :param on_progress: takes what is being done.
    :return: what JSON can hold; ``added_share`` is the CPU share of one core that conversions and
        units take above the bare subscriber.
    :raises RuntimeError: when a process failed or a listener heard nothing.
    """
    on_progress(f'measuring for {seconds:.0f} s')
    size = (str(width), str(height))

    def start(role: str, role_seconds: float) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, '-m', _ROLE_MODULE, role, str(role_seconds), *size],
            env={**environment, **_MALLOC},
            stdout=subprocess.PIPE,
            text=True,
        )

    roles = ['raw', 'bare', 'units']
    if importlib.util.find_spec('message_filters'):
        roles.append('pairs')
    listeners = {role: start(role, seconds) for role in roles}
    sensors = start('sensors', 5 * seconds + 40)
    try:
        figures = {}
        for role, process in listeners.items():
            output, _ = process.communicate(timeout=5 * seconds + 60)
            if process.returncode or not output.strip() or not json.loads(output):
                raise RuntimeError(
                    f'the process {role!r} ended with code {process.returncode} and heard '
                    f'nothing it could measure: {output.strip()!r}'
                )
            figures[role] = json.loads(output)
    finally:
        for process in (*listeners.values(), sensors):
            process.kill()
            process.wait()
    bare, units = figures['bare'], figures['units']
    return {
        'benchmark': 'node',
        **describe_machine(),
        'config': {'seconds': seconds, 'width': width, 'height': height},
        'added_share': round(units['cpu_share'] - bare['cpu_share'], 4),
        'ratio': round(units['cpu_share'] / bare['cpu_share'], 3),
        **{role: _rounded(figures[role]) for role in roles},
    }


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items()}
