"""
Judge a model.

::

    roma eval --list
    roma eval tabletop --split test --calibrate-on validation --json tabletop.json
    roma eval qvhighlights --data /data/qvhighlights --model /path/to/checkpoint
    roma eval all --data /data --json results.json
"""

import argparse
from collections.abc import Iterator, Sequence
import json
from pathlib import Path
import sys
from typing import Any, TYPE_CHECKING

from .fleet_options import add_fleet_options, executor, num_threads
from .progress import ProgressLine
from .tabletop_table import tabletop_table

if TYPE_CHECKING:
    from ..evaluation.benchmarks.tabletop import Triggers
    from ..evaluation.benchmarks.tabletop_run import TabletopEvaluation


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run an evaluation, print its table, and write its figures.

    :param argv: options.
    :return: exit code: 0; 1 when it cannot run; 130 when it was interrupted: the same command
        goes on where it was.
    """
    options = _parser().parse_args(argv)
    if options.list:
        for line in _list():
            print(line)
        return 0
    progress = ProgressLine(sys.stderr)
    try:
        return int(options.run(options, progress))
    except KeyboardInterrupt:
        progress.finish()
        print('roma eval: stopped; the same command goes on from here', file=sys.stderr)
        return 130
    except (OSError, ValueError, ImportError) as error:
        progress.finish()
        print(f'roma eval: {error}', file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='roma eval', description='Judge a model.')
    parser.add_argument(
        '--list', action='store_true', help='show all benchmarks, and where their data come from'
    )
    parser.set_defaults(run=lambda options, progress: parser.error('name a benchmark, or --list'))
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument('--json', type=Path, metavar='PATH', help='write the figures there')
    common.add_argument(
        '--lines',
        type=Path,
        metavar='FOLDER',
        help='where the line of each sample goes; an interrupted run goes on from there',
    )
    common.add_argument('--model', metavar='MODEL', default='', help='the model; else roma-tiny')
    common.add_argument('--device', default='auto', help='where it runs: cpu, cuda:0')
    add_fleet_options(common)
    names = parser.add_subparsers(metavar='NAME')

    tabletop = names.add_parser(
        'tabletop', parents=[common], help="streams of this package's own tabletop world"
    )
    tabletop.set_defaults(run=_run_tabletop)
    splits = ('train', 'validation', 'test')
    tabletop.add_argument('--split', choices=splits, default='test')
    tabletop.add_argument('--seed', type=int, default=0, help='of the first stream; else 0')
    tabletop.add_argument('--streams', type=int, default=200, help='how many; else 200')
    tabletop.add_argument('--seconds', type=int, default=16, help='length of a stream; else 16')
    tabletop.add_argument(
        '--calibrate-on',
        choices=splits,
        metavar='SPLIT',
        help='fit the thresholds on streams of this split first; else the presets',
    )
    tabletop.add_argument(
        '--thresholds', type=Path, metavar='JSON', help='those of an earlier evaluation'
    )
    tabletop.add_argument(
        '--calibration-streams', type=int, default=100, help='how many for that; else 100'
    )
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument(
        '--data', type=Path, required=True, metavar='FOLDER', help="the owners' files"
    )
    data.add_argument(
        '--limit', type=_count, metavar='N', help='run the first N samples, to try it out'
    )
    data.add_argument(
        '--window-s',
        type=_count,
        default=1200,
        metavar='S',
        help='most seconds of a stream that are remembered; else 1200',
    )
    data.add_argument(
        '--own-streams',
        action='store_true',
        help='give each alert a stream of its own, as published, instead of one token a second',
    )
    from ..evaluation.benchmarks.registry import BENCHMARKS

    for name, benchmark in BENCHMARKS.items():
        parser_of_it = names.add_parser(name, parents=[common, data], help=benchmark.title)
        parser_of_it.set_defaults(run=_run_one, name=name)
    everything = names.add_parser(
        'all',
        parents=[common, data],
        help='all of these whose data are in FOLDER/NAME, and some streams of the tabletop world',
    )
    everything.add_argument(
        '--streams',
        type=int,
        default=20,
        help='how many of the tabletop, 16 s each, at the presets; 0: none; else 20',
    )
    everything.set_defaults(run=_run_all)
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is not a number of at least 1')
    return value


def _list() -> Iterator[str]:
    from ..evaluation.benchmarks.registry import BENCHMARKS

    yield 'tabletop            streams of this package itself; nothing to get'
    for name, benchmark in BENCHMARKS.items():
        yield f'{name:<19} {benchmark.title}: {benchmark.owner}'
        for line in benchmark.layout.splitlines():
            yield f'{"":<19} {line}'


def _run_one(options: argparse.Namespace, progress: ProgressLine) -> int:
    figures = _benchmark(options, options.name, options.data, progress)
    for line in _benchmark_table([figures]):
        print(line)
    _write(options.json, figures)
    return 0


def _run_all(options: argparse.Namespace, progress: ProgressLine) -> int:
    from ..evaluation.benchmarks.benchmark import MissingDataError
    from ..evaluation.benchmarks.registry import BENCHMARKS
    from ..evaluation.benchmarks.tabletop_run import TabletopEvaluation

    if not options.data.is_dir():
        raise ValueError(f'there is no folder {options.data}')
    results: list[dict[str, Any]] = []
    missing: list[str] = []
    if options.streams:
        try:
            results.append(
                _tabletop(options, TabletopEvaluation(streams=options.streams), progress)
            )
        except ImportError as error:
            progress.finish()
            missing.append(f'tabletop: {error}')
    for name in BENCHMARKS:
        folder = options.data / name
        if not folder.is_dir():
            missing.append(f'{name}: there is no folder {folder}')
            continue
        try:
            results.append(_benchmark(options, name, folder, progress))
        except MissingDataError as error:
            missing.append(f'{name}: {error}')
    for line in _benchmark_table([r for r in results if r['benchmark'] != 'tabletop']):
        print(line)
    for reason in missing:
        print(f'left out: {reason}')
    _write(options.json, {'results': results, 'left_out': missing})
    return 0 if results else 1


def _benchmark(
    options: argparse.Namespace, name: str, data: Path, progress: ProgressLine
) -> dict[str, Any]:
    from ..evaluation.benchmarks.registry import BENCHMARKS
    from ..evaluation.benchmarks.run import run_benchmark
    from ..evaluation.benchmarks.worker import BenchmarkJob, Playing
    from ..runtime.factory import model_folder

    model = model_folder(options.model)
    playing = Playing(window_s=options.window_s, share_stream=not options.own_streams)
    figures = run_benchmark(
        BENCHMARKS[name],
        BenchmarkJob(
            model=str(model),
            device=options.device,
            threads=num_threads(options),
            quantize=options.quantize,
            playing=playing,
        ),
        data=data,
        folder=_lines_folder(options, name, model),
        limit=options.limit,
        execute=executor(options),
        on_line=lambda done, total: progress.show(f'{name}: {done} of {total} samples'),
    )
    progress.finish()
    return figures


def _benchmark_table(results: Sequence[dict[str, Any]]) -> Iterator[str]:
    trained = {True: 'trained on it', False: 'never saw it', None: 'not known whether it saw it'}
    for result in results:
        yield (
            f'{result["title"]}: {result["samples"]} samples, {result["hours"]:g} h; '
            f'{result["model"]["name"]}, {trained[result["trained_on_it"]]}'
        )
        width = max(len(name) for name in result['figures'])
        for name, value in result['figures'].items():
            others = ', '.join(
                f'{p["system"]} {p["value"]:g}{"" if p["comparable"] else " (not comparable)"}'
                for p in result['published']
                if p['figure'] == name
            )
            shown = '-' if value is None else f'{value:.2f}'
            yield f'  {name:<{width}} {shown:>8}  {others}'.rstrip()


def _run_tabletop(options: argparse.Namespace, progress: ProgressLine) -> int:
    from ..evaluation.benchmarks.tabletop import load_triggers
    from ..evaluation.benchmarks.tabletop_run import TabletopEvaluation

    evaluation = TabletopEvaluation(
        split=options.split,
        seed=options.seed,
        streams=options.streams,
        seconds=options.seconds,
        calibrate_on=options.calibrate_on,
        calibration_streams=options.calibration_streams,
    )
    if options.thresholds is not None and options.calibrate_on is not None:
        raise ValueError('thresholds are either fitted (--calibrate-on) or given (--thresholds)')
    triggers = load_triggers(options.thresholds) if options.thresholds else None
    _write(options.json, _tabletop(options, evaluation, progress, triggers=triggers))
    return 0


def _tabletop(
    options: argparse.Namespace,
    evaluation: 'TabletopEvaluation',
    progress: ProgressLine,
    *,
    triggers: 'Triggers | None' = None,
) -> dict[str, Any]:
    """Run the tabletop, print its table, and return its figures; no triggers: the model's own."""
    from ..evaluation.benchmarks.tabletop import model_triggers, TabletopJob
    from ..evaluation.benchmarks.tabletop_run import evaluate_tabletop
    from ..runtime.factory import model_folder

    model = model_folder(options.model)
    figures = evaluate_tabletop(
        evaluation,
        TabletopJob(
            model=str(model),
            device=options.device,
            threads=num_threads(options),
            quantize=options.quantize,
            triggers=triggers or model_triggers(model),
        ),
        folder=_lines_folder(options, 'tabletop', model),
        execute=executor(options),
        on_line=lambda step, done, total: progress.show(f'{step}: {done} of {total} streams'),
    )
    progress.finish()
    for line in tabletop_table(figures):
        print(line)
    return figures


def _lines_folder(options: argparse.Namespace, name: str, model: Path) -> Path:
    """Return where lines go: as asked for, else beside the JSON, else in the working folder."""
    if options.lines is not None:
        return Path(options.lines)
    if options.json is not None:
        return Path(options.json).with_suffix('.lines')
    return Path('roma_eval') / f'{name}-{model.name}'


def _write(path: Path | None, figures: dict[str, Any]) -> None:
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')
    print(f'figures: {path}')


if __name__ == '__main__':
    sys.exit(main())
