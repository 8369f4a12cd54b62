"""
Instructions of the processor for a second of images and sound, where the clock is too noisy.

Valgrind's callgrind counts them, the same in each run, whatever else the machine does. It runs a
process of its own, about fifty times as slow as without, and knows no AVX-512: what it counts is
what a processor with AVX2 would do.
"""

from collections.abc import Callable, Sequence
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import tempfile
from typing import Any

from ..nodes.filters import UnitFilter
from .messages import feed, INPUTS, make_messages, T0_NS

#: Seconds of stream of the two runs of each input, whose difference is what counts.
_SECONDS = (2, 4)


def run_counts(
    inputs: Sequence[str] = tuple(INPUTS),
    *,
    on_progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """
    Count what conversions and the synchronizer do.

    :param inputs: names of ``INPUTS``.
    :param on_progress: takes one line of progress.
    :return: what JSON can hold: million instructions for each second of stream, by input.
    :raises RuntimeError: when valgrind is missing, or fails.
    :raises ValueError: when an input is not known.
    """
    from .machine import describe_machine

    unknown = sorted(set(inputs) - set(INPUTS))
    if unknown:
        raise ValueError(f'no input {", ".join(unknown)}; there are: {"; ".join(INPUTS)}')
    valgrind = shutil.which('valgrind')
    if valgrind is None:
        raise RuntimeError('valgrind, which counts instructions, is missing: apt install valgrind')
    figures: dict[str, Any] = {'benchmark': 'counts', **describe_machine(), 'inputs': {}}
    for number, name in enumerate(inputs, 1):
        on_progress(f'{name}: {number} of {len(inputs)}')
        short, long = (_count(valgrind, name, seconds) for seconds in _SECONDS)
        per_s = (long - short) / (_SECONDS[1] - _SECONDS[0])
        figures['inputs'][name] = {'million_instructions_per_s': round(per_s / 1e6, 3)}
    return figures


def _count(valgrind: str, name: str, seconds: int) -> int:
    """Return the instructions of a process that reads so many seconds, start and all."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(valgrind, '--tool=callgrind', f'--callgrind-out-file={folder}/%p'),
            # Where ROS comes from wheels, Python replaces itself once.
            '--trace-children=yes',
            *(sys.executable, '-m', __name__, name, str(seconds)),
        ]
        package = str(Path(__file__).parents[2])
        path = os.pathsep.join([package, *filter(None, [os.environ.get('PYTHONPATH')])])
        # One thread, and dictionaries that hash alike.
        single = {'PYTHONHASHSEED': '0', 'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'}
        environment = {**os.environ, 'PYTHONPATH': path, **single}
        result = subprocess.run(command, env=environment, capture_output=True, text=True)
    counts = re.findall(r'Collected : (\d+)', result.stderr)
    if result.returncode or not counts:
        raise RuntimeError(f'valgrind failed at {name!r}: {result.stderr.strip()[-500:]}')
    return int(counts[-1])


def _read(name: str, seconds: int) -> None:
    """Read the first seconds of as many messages as in any other run."""
    encoding, rate_hz, drift_ppm = INPUTS[name]
    messages = make_messages(encoding, rate_hz, drift_ppm, max(_SECONDS))
    unit_filter = UnitFilter(now_ns=lambda: T0_NS)
    feed(unit_filter, messages[: len(messages) * seconds // max(_SECONDS)])


if __name__ == '__main__':
    _read(sys.argv[1], int(sys.argv[2]))
