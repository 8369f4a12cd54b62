"""
Judge a model.

::

    roma eval --list
    roma eval tabletop --split test --calibrate-on validation --json tabletop.json
    roma eval qvhighlights --data /data/qvhighlights --model /path/to/checkpoint
"""

import argparse
from collections.abc import Iterator, Sequence
import json
from pathlib import Path
import sys
from typing import Any

from .progress import ProgressLine


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run an evaluation, print its table, and write its figures.

    :param argv: options.
    :return: exit code: 0; 1 when it cannot run; 130 when it was interrupted: the same command
        goes on where it was.
    """
    options = _parser().parse_args(argv)
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
    common.add_argument(
        '--threads', type=int, default=0, help='CPU threads; else all cores but one'
    )
    names = parser.add_subparsers(required=True, metavar='NAME')

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
        '--calibration-streams', type=int, default=100, help='how many for that; else 100'
    )
    return parser


def _run_tabletop(options: argparse.Namespace, progress: ProgressLine) -> int:
    from ..evaluation.benchmarks.tabletop import TabletopJob
    from ..evaluation.benchmarks.tabletop_run import evaluate_tabletop, TabletopEvaluation

    evaluation = TabletopEvaluation(
        split=options.split,
        seed=options.seed,
        streams=options.streams,
        seconds=options.seconds,
        calibrate_on=options.calibrate_on,
        calibration_streams=options.calibration_streams,
    )
    model = _model_folder(options.model)
    figures = evaluate_tabletop(
        evaluation,
        TabletopJob(model=str(model), device=options.device, threads=options.threads),
        folder=_lines_folder(options, 'tabletop', model),
        on_line=lambda step, done, total: progress.show(f'{step}: {done} of {total} streams'),
    )
    progress.finish()
    for line in _tabletop_table(figures):
        print(line)
    _write(options.json, figures)
    return 0


def _model_folder(name: str) -> Path:
    from ..model.store import find_checkpoint
    from ..runtime.factory import default_model

    return find_checkpoint(name) if name else default_model()


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


def _tabletop_table(figures: dict[str, Any]) -> Iterator[str]:
    head = 'alert F1,sight,sound,joint,delay s,false/h,time F1,slots,spoken,typed,silent/h'
    yield f'{"":<30}' + ''.join(f'{name:>9}' for name in head.split(','))
    rows = {figures['model']['name']: figures} | figures['baselines']
    for name, row in rows.items():
        alert, narration = row.get('alert', {}), row.get('narration', {})
        questions, silent = row.get('questions', {}), row.get('silent', {})
        senses = alert.get('by_sense', {})
        values = (
            alert.get('f1'),
            *(senses.get(sense) for sense in ('sight', 'sound', 'joint')),
            alert.get('delay_s_median'),
            alert.get('false_alerts_per_hour'),
            narration.get('time_f1'),
            narration.get('slot_accuracy'),
            questions.get('spoken'),
            questions.get('typed'),
            silent.get('false_alerts_per_hour'),
        )
        yield f'{name:<30}' + ''.join(
            f'{"":>9}' if value is None else f'{value:9.3g}' for value in values
        )


if __name__ == '__main__':
    sys.exit(main())
