"""
Measure what a stream costs on this machine.

::

    roma bench step --json step.json
    roma bench stream --hours 2 --json stream.json
    roma bench stream --unbounded --limit-minutes 30
    roma bench instructions
    roma bench eviction
    roma bench scaling
    roma bench node
    roma bench counts
    roma bench soak --minutes 60 --voice --json soak.json
    roma bench recovery
    roma bench compare before.json after.json
"""

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
import sys
import time
from typing import Any

from .bench_tables import (
    compare_table,
    counts_table,
    eviction_table,
    instructions_table,
    node_table,
    recovery_table,
    scaling_table,
    soak_table,
    step_table,
    stream_table,
)
from .progress import ProgressLine


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one benchmark, print its table, and write its figures.

    :param argv: options.
    :return: exit code: 0; 1 when it cannot run; 130 when it was interrupted.
    """
    options = _parser().parse_args(argv)
    progress = ProgressLine(sys.stderr)
    try:
        figures = options.run(options, progress)
    except (OSError, RuntimeError, ValueError) as error:
        progress.finish()
        print(f'roma bench: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        progress.finish()
        return 130
    progress.finish()
    for line in options.table(figures):
        print(line)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=1) + '\n', encoding='utf-8')
        print(f'figures: {options.json}')
    return 130 if figures.get('interrupted') else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='roma bench', description='Measure what a stream costs on this machine.'
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument('--json', type=Path, metavar='PATH', help='write all figures there')
    common.add_argument('--model', metavar='MODEL', help='the model; else roma-tiny')
    common.add_argument('--device', default='auto', help='where it runs: cpu, cuda:0')
    engine = argparse.ArgumentParser(add_help=False)
    engine.add_argument(
        '--engine', default='torch', help='what runs it: torch, torch-compiled, onnxruntime'
    )
    verbs = parser.add_subparsers(required=True, metavar='BENCHMARK')

    step = verbs.add_parser(
        'step',
        parents=[common],
        help="a unit and a reply, on each engine, against the released demo's loop",
    )
    step.set_defaults(run=_run_step, table=step_table)
    step.add_argument(
        '--engines',
        default='torch,onnxruntime,onnxruntime-w8a8',
        metavar='NAMES',
        help='with commas; else torch,onnxruntime,onnxruntime-w8a8: the last in 8 bits',
    )
    step.add_argument(
        '--graphs',
        type=Path,
        nargs='+',
        default=(),
        metavar='FOLDER',
        help='of `roma export`, of the same model: measured, too',
    )
    step.add_argument('--units', type=int, default=20, help='measured of each; else 20')
    step.add_argument('--window-s', type=int, default=60, help='what ours remembers; else 60')
    step.add_argument('--threads', type=int, default=0, help='else all cores but one')
    step.add_argument(
        '--cpu-time', action='store_true', help='of one thread, for busy machines; else the clock'
    )
    stream = verbs.add_parser(
        'stream',
        parents=[common, engine],
        help='a long stream: latency, memory, cache and positions over its age',
    )
    stream.set_defaults(run=_run_stream, table=stream_table)
    stream.add_argument(
        '--hours', type=_positive, default=2.0, metavar='H', help='length of the stream; else 2'
    )
    stream.add_argument(
        '--unbounded', action='store_true', help='evict nothing, to show the difference'
    )
    stream.add_argument(
        '--limit-minutes',
        type=_positive,
        default=30.0,
        metavar='M',
        help='of stream, where an unbounded cache is stopped; else 30',
    )
    stream.add_argument(
        '--append',
        action='store_true',
        help='leave the kept keys as they are: positions grow with the stream',
    )

    instructions = verbs.add_parser(
        'instructions', parents=[common, engine], help='what one more standing instruction costs'
    )
    instructions.set_defaults(run=_run_instructions, table=instructions_table)
    scaling = verbs.add_parser(
        'scaling',
        parents=[common, engine],
        help='a unit against age, window, frame size, alerts and size of the network',
    )
    scaling.set_defaults(run=_run_scaling, table=scaling_table)
    scaling.add_argument('--units', type=int, default=20, help='measured at each point; else 20')
    node = verbs.add_parser(
        'node', help='conversions, units and DDS, above a subscriber that does nothing'
    )
    node.set_defaults(run=_run_node, table=node_table)
    node.add_argument('--json', type=Path, metavar='PATH', help='write all figures there')
    node.add_argument('--seconds', type=_positive, default=20.0, metavar='S', help='else 20')
    node.add_argument('--width', type=int, default=640, help='of the images; else 640')
    node.add_argument('--height', type=int, default=480, help='of the images; else 480')
    soak = verbs.add_parser(
        'soak',
        parents=[engine],
        help='the nodes as on a robot: what is lost, how late, CPU and memory of each',
    )
    soak.set_defaults(run=_run_soak, table=soak_table)
    soak.add_argument('--json', type=Path, metavar='PATH', help='write all figures there')
    soak.add_argument('--minutes', type=_positive, default=60.0, metavar='M', help='else 60')
    soak.add_argument('--width', type=int, default=640, help='of the images; else 640')
    soak.add_argument('--height', type=int, default=480, help='of the images; else 480')
    soak.add_argument('--rate', type=_positive, default=1.0, help='speed of the playback; else 1')
    soak.add_argument(
        '--voice', action='store_true', help='with a microphone, 48 kHz stereo, and a speaker'
    )
    soak.add_argument('--record', action='store_true', help='with the recorder')
    soak.add_argument(
        '--folder',
        type=Path,
        default=Path('soak_output'),
        metavar='FOLDER',
        help='takes the recording and the logs; else soak_output',
    )
    recovery = verbs.add_parser(
        'recovery', help='how long the node takes to be back after each fault'
    )
    recovery.set_defaults(run=_run_recovery, table=recovery_table)
    recovery.add_argument('--json', type=Path, metavar='PATH', help='write all figures there')
    recovery.add_argument('--rounds', type=int, default=5, help='else 5')
    recovery.add_argument(
        '--only', default='', metavar='TEXT', help="faults whose names contain it, as in 'killed'"
    )
    recovery.add_argument(
        '--folder',
        type=Path,
        default=Path('recovery_output'),
        metavar='FOLDER',
        help='takes the logs; else recovery_output',
    )
    counts = verbs.add_parser(
        'counts', help='instructions for a second of images and sound, by callgrind'
    )
    counts.set_defaults(run=_run_counts, table=counts_table)
    counts.add_argument('--json', type=Path, metavar='PATH', help='write all figures there')
    compare = verbs.add_parser('compare', help='two runs of one benchmark, figure by figure')
    compare.set_defaults(run=_run_compare, table=compare_table, json=None)
    compare.add_argument('first', type=Path, help='JSON of a run')
    compare.add_argument('second', type=Path, help='JSON of another')
    eviction = verbs.add_parser(
        'eviction',
        parents=[common, engine],
        help='how far a stream that forgot differs from one that never knew',
    )
    eviction.set_defaults(run=_run_eviction, table=eviction_table)
    return parser


def _run_scaling(options: argparse.Namespace, line: ProgressLine) -> dict[str, Any]:
    from ..bench.scaling import run_scaling
    from ..model.config import read_config, TokenIds

    runtime = _load(options)
    tokenizer = runtime.protocol.tokenizer
    config = read_config(runtime.path, TokenIds.lookup(tokenizer.token_to_id))
    return run_scaling(runtime, config, num_units=options.units, on_point=line.show)


def _run_node(options: argparse.Namespace, line: ProgressLine) -> dict[str, Any]:
    from ..bench.node import run_node
    from .isolation import isolated_environment

    return run_node(
        isolated_environment(),
        seconds=options.seconds,
        width=options.width,
        height=options.height,
        on_progress=line.show,
    )


def _run_soak(options: argparse.Namespace, line: ProgressLine) -> dict[str, Any]:
    import os

    from ..bench.soak import run_soak, SoakConfig
    from .isolation import isolated_environment

    config = SoakConfig(
        minutes=options.minutes,
        width=options.width,
        height=options.height,
        rate=options.rate,
        voice=options.voice,
        record=options.record,
        engine=options.engine,
    )
    # Not later: the domain of a process is chosen when rclpy is imported.
    os.environ.update(isolated_environment())
    return run_soak(os.environ, options.folder, config, on_progress=line.show)


def _run_recovery(options: argparse.Namespace, line: ProgressLine) -> dict[str, Any]:
    import os

    from ..bench.recovery import run_recovery
    from .isolation import isolated_environment

    os.environ.update(isolated_environment())
    return run_recovery(
        os.environ,
        options.folder,
        rounds=options.rounds,
        only=options.only,
        on_progress=line.show,
    )


def _run_counts(options: argparse.Namespace, line: ProgressLine) -> dict[str, Any]:
    from ..bench.counts import run_counts

    return run_counts(on_progress=line.show)


def _run_compare(options: argparse.Namespace, line: ProgressLine) -> dict[str, Any]:
    from ..bench.compare import compare_runs

    first, second = (
        json.loads(path.read_text(encoding='utf-8')) for path in (options.first, options.second)
    )
    return {'changes': [vars(change) for change in compare_runs(first, second)]}


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is not a length of time, expected more than 0')
    return value


def _load(options: argparse.Namespace) -> Any:
    from ..runtime.factory import load_runtime

    return load_runtime(options.model or '', engine=options.engine, device=options.device)


def _run_step(options: argparse.Namespace, line: ProgressLine) -> dict[str, Any]:
    from ..bench.step import run_step, StepBenchConfig

    config = StepBenchConfig(
        engines=tuple(options.engines.split(',')),
        graphs=tuple(options.graphs),
        units=options.units,
        window_s=options.window_s,
        threads=options.threads,
        cpu_time=options.cpu_time,
    )
    return run_step(options.model or '', config, device=options.device, on_progress=line.show)


def _run_stream(options: argparse.Namespace, line: ProgressLine) -> dict[str, Any]:
    from ..bench.stream import run_stream, StreamBenchConfig

    runtime = _load(options)

    hours = options.hours
    if options.unbounded:
        hours = min(hours, options.limit_minutes / 60)
    config = StreamBenchConfig(
        num_units=max(1, round(hours * 3600)),
        bounded=not options.unbounded,
        contiguous=not options.append,
    )
    begin = time.monotonic()

    def show(count: int, latency_ms: float) -> None:
        speed = count / (time.monotonic() - begin)
        left_s = (config.num_units - count) / speed
        line.show(
            f'{count} of {config.num_units} units, {latency_ms:.0f} ms, {speed:.1f} units/s, '
            f'{left_s / 60:.0f} min left'
        )

    return run_stream(runtime, config, on_unit=show)


def _run_instructions(options: argparse.Namespace, line: ProgressLine) -> dict[str, Any]:
    from ..bench.instructions import run_instructions

    return run_instructions(
        _load(options), on_unit=lambda n, all: line.show(f'{n} of {all} units')
    )


def _run_eviction(options: argparse.Namespace, line: ProgressLine) -> dict[str, Any]:
    from ..bench.eviction import run_eviction

    return run_eviction(_load(options), on_unit=lambda n, all: line.show(f'{n} of {all} units'))


if __name__ == '__main__':
    sys.exit(main())
