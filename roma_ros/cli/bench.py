"""
Measure what a stream costs on this machine.

::

    roma bench stream --hours 2 --json stream.json
    roma bench stream --unbounded --limit-minutes 30
    roma bench instructions
    roma bench eviction
"""

import argparse
from collections.abc import Iterator, Sequence
import json
from pathlib import Path
import sys
import time
from typing import Any

from .progress import ProgressLine


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one benchmark, print its table, and write its figures.

    :param argv: options.
    :return: exit code: 0; 1 when it cannot run; 130 when it was interrupted.
    """
    options = _parser().parse_args(argv)
    from ..runtime.factory import load_runtime

    try:
        runtime = load_runtime(options.model or '', device=options.device)
    except (OSError, ValueError) as error:
        print(f'roma bench: {error}', file=sys.stderr)
        return 1
    progress = ProgressLine(sys.stderr)
    try:
        figures = options.run(runtime, options, progress)
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
    verbs = parser.add_subparsers(required=True, metavar='BENCHMARK')

    stream = verbs.add_parser(
        'stream',
        parents=[common],
        help='a long stream: latency, memory, cache and positions over its age',
    )
    stream.set_defaults(run=_run_stream, table=_stream_table)
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
        'instructions', parents=[common], help='what one more standing instruction costs'
    )
    instructions.set_defaults(run=_run_instructions, table=_instructions_table)
    eviction = verbs.add_parser(
        'eviction',
        parents=[common],
        help='how far a stream that forgot differs from one that never knew',
    )
    eviction.set_defaults(run=_run_eviction, table=_eviction_table)
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is not a length of time, expected more than 0')
    return value


def _run_stream(runtime: Any, options: argparse.Namespace, line: ProgressLine) -> dict[str, Any]:
    from ..bench.stream import run_stream, StreamBenchConfig

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


def _run_instructions(
    runtime: Any, options: argparse.Namespace, line: ProgressLine
) -> dict[str, Any]:
    from ..bench.instructions import run_instructions

    return run_instructions(runtime, on_unit=lambda n, all: line.show(f'{n} of {all} units'))


def _run_eviction(runtime: Any, options: argparse.Namespace, line: ProgressLine) -> dict[str, Any]:
    from ..bench.eviction import run_eviction

    return run_eviction(runtime, on_unit=lambda n, all: line.show(f'{n} of {all} units'))


def _stream_table(figures: dict[str, Any]) -> Iterator[str]:
    yield '   minutes      p50 ms   p95 ms   CPU ms   memory MiB   cache tokens   positions   said'
    for p in figures['periods']:
        begin, end = p['begin_units'] / 60, (p['begin_units'] + p['units']) / 60
        yield (
            f'{begin:5.0f} to {end:<5.4g}{p["latency_p50_ms"]:8.1f} {p["latency_p95_ms"]:8.1f} '
            f'{p["cpu_p50_ms"]:8.1f} {p["resident_mib"]:12.1f} {p["cache_tokens"]:14,} '
            f'{p["positions"]:11,} {p["segments"]:6}'
        )
    growth, paired = figures['latency_growth'], figures['latency_growth_paired']
    yield (
        'latency, last ten minutes to first: '
        + ('needs 20 minutes' if growth is None else f'{growth:.3f}, {paired:.3f} of a young one')
        + f'; per minute {_signed(figures["latency_ms_per_minute"])} ms'
    )
    yield (
        f'memory after ten minutes: {_signed(figures["memory_growth_mib"])} MiB; '
        f'per minute {_signed(figures["memory_mib_per_minute"])} MiB'
    )
    yield (
        f'cache: at most {figures["cache_tokens_max"]:,} of {figures["capacity"]:,} tokens; '
        f'positions at most {figures["positions_max"]:,}'
    )


def _signed(value: float | None) -> str:
    return '(too short to tell)' if value is None else f'{value:+.2f}'


def _instructions_table(figures: dict[str, Any]) -> Iterator[str]:
    yield 'alerts   stream    unit ms   to none   ms an alert   cache tokens   cache KiB   new MiB'
    for c in figures['costs']:
        per_alert = '' if c['ms_per_alert'] is None else f'{c["ms_per_alert"]:.2f}'
        yield (
            f'{c["alerts"]:6}   {"shared" if c["share_stream"] else "own":<6} '
            f'{c["unit_ms"]:10.1f} {c["ratio"]:9.3f} {per_alert:>13} {c["cache_tokens"]:14,} '
            f'{c["cache_bytes"] / 1024:11.1f} {c["buffer_bytes"] / 2**20:9.1f}'
        )


def _eviction_table(figures: dict[str, Any]) -> Iterator[str]:
    yield 'difference of the speak probability from a fresh forward over the kept tokens'
    for name, what in (
        ('probability_before', 'before the first eviction'),
        ('probability_after', 'after it, positions contiguous'),
        ('probability_after_append', 'after it, positions append'),
        ('probability_without_eviction', 'of a stream that keeps all'),
    ):
        spread = figures[name]
        if spread is not None:
            yield (
                f'  {what:<32}median {spread["median"]:.2e}   p95 {spread["p95"]:.2e}   '
                f'max {spread["max"]:.2e}'
            )
    yield 'relative difference of what is cached, by layer, after the first eviction'
    for name in ('key', 'value'):
        errors = ' '.join(f'{error:8.1e}' for error in figures[f'{name}_error_by_layer'])
        yield f'  {name + "s":<7}{errors}'


if __name__ == '__main__':
    sys.exit(main())
