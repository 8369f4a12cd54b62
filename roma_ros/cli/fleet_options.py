"""Options of commands that run over many recordings, on one process or many."""

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..evaluation.runner import Executor


def add_fleet_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--quantize``, ``--threads``, ``--workers``, ``--ray`` and ``--gpus-per-worker``."""
    parser.add_argument(
        '--quantize',
        default='',
        choices=('int8', 'int4'),
        help='weights in fewer bits, by torchao; else as they are',
    )
    parser.add_argument(
        '--threads', type=int, default=0, help='CPU threads of each process; else as fit'
    )
    parser.add_argument(
        '--workers',
        type=int,
        default=1,
        metavar='N',
        help='processes, on Ray Data; else one, without it',
    )
    parser.add_argument(
        '--ray',
        default='',
        metavar='ADDRESS',
        help='run on this cluster, HOST:PORT or auto; else on this machine alone',
    )
    parser.add_argument(
        '--gpus-per-worker',
        type=float,
        default=0.0,
        metavar='G',
        help='GPUs of each process; a share lets several use one; else none',
    )


def executor(options: argparse.Namespace) -> 'Executor':
    """
    Return what runs the samples.

    :raises ValueError: when a number makes no sense.
    """
    from ..evaluation.fleet import RayExecutor
    from ..evaluation.runner import run_here

    fleet = RayExecutor(workers=options.workers, address=options.ray, gpus=options.gpus_per_worker)
    return fleet if options.ray or options.workers > 1 else run_here


def num_threads(options: argparse.Namespace) -> int:
    """Return the CPU threads of each process; 0: what one alone on this machine takes."""
    if options.threads or options.workers == 1 or options.ray:
        return int(options.threads)
    return max(1, len(os.sched_getaffinity(0)) // options.workers)
