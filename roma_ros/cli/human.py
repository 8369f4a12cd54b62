"""
Let a person do the model's task, and compare.

::

    roma human --name anna --trials 20 --json anna.json
    roma human --trials 20 --beside tabletop.lines/test.jsonl
    roma human --recording kitchen.mp4 --labels kitchen.json
"""

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
import sys
from typing import Any

from .progress import ProgressLine
from .tabletop_table import tabletop_table


def main(argv: Sequence[str] | None = None) -> int:
    """
    Show clips in the browser, print the table, and write the figures.

    :param argv: options.
    :return: exit code: 0; 1 when it cannot run; 130 when it was interrupted: the same command
        goes on where it was.
    """
    options = _parser().parse_args(argv)
    try:
        _run(options)
    except KeyboardInterrupt:
        print('\nroma human: stopped; the same command goes on from here', file=sys.stderr)
        return 130
    except (OSError, ValueError, ImportError) as error:
        print(f'roma human: {error}', file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='roma human',
        description='Play clips in the browser, in real time, to a person who presses the space '
        'bar when what is asked for happens; judge the presses as alerts of a model are judged.',
    )
    parser.add_argument('--name', default='person', help='of the person, for the table')
    parser.add_argument('--split', choices=('train', 'validation', 'test'), default='test')
    parser.add_argument('--seed', type=int, default=0, help='of the first stream; else 0')
    parser.add_argument('--trials', type=int, default=10, metavar='N', help='how many; else 10')
    parser.add_argument('--seconds', type=int, default=16, help='length of a stream; else 16')
    parser.add_argument('--recording', type=Path, metavar='FILE', help='show this clip instead')
    parser.add_argument(
        '--labels', type=Path, metavar='FILE', help='what happens in it, as for roma calibrate'
    )
    parser.add_argument(
        '--beside',
        type=Path,
        metavar='FILE',
        help='lines that roma eval tabletop wrote of the same streams: show the model as well',
    )
    parser.add_argument(
        '--folder',
        type=Path,
        default=Path('roma_human'),
        metavar='FOLDER',
        help='where clips and answers go; an interrupted run goes on from there',
    )
    parser.add_argument('--json', type=Path, metavar='PATH', help='write the figures there')
    parser.add_argument('--port', type=int, default=0, help='of the page; else a free one')
    return parser


def _run(options: argparse.Namespace) -> None:
    from ..evaluation.benchmarks.tabletop_baselines import alert_baselines
    from ..evaluation.benchmarks.tabletop_score import score_tabletop
    from ..evaluation.human import model_on_trials, recording_trials, tabletop_trials
    from ..evaluation.human_server import HumanServer
    from ..evaluation.runner import run_samples

    if (options.recording is None) != (options.labels is None):
        raise ValueError('--recording and --labels belong together')
    if min(options.trials, options.seconds) < 1 or options.seed < 0:
        raise ValueError('--trials and --seconds are at least 1, --seed at least 0')
    if options.recording is None:
        print(f'making {options.trials} clips', flush=True)
        trials = tabletop_trials(
            options.folder / 'clips',
            split=options.split,
            seed=options.seed,
            count=options.trials,
            seconds=options.seconds,
        )
    else:
        trials = recording_trials(options.recording, options.labels)
    progress = ProgressLine(sys.stderr)
    with HumanServer(port=options.port) as server:
        print(f'open this page: {server.url}', flush=True)
        lines = run_samples(
            trials,
            lambda: lambda trial: trial.line,
            path=options.folder / f'{options.name}.jsonl',
            identity={'person': options.name},
            execute=server,
            on_line=lambda done, total: progress.show(f'{done} of {total} clips'),
        )
    progress.finish()
    scored = score_tabletop(lines)
    # A person is asked for alerts alone.
    figures = {
        'model': {'name': options.name},
        **{group: scored[group] for group in ('alert', 'silent')},
    }
    others: dict[str, Any] = alert_baselines(lines)
    if options.beside is not None:
        of_model = [
            json.loads(text) for text in options.beside.read_text(encoding='utf-8').splitlines()
        ]
        known = [line for line in of_model if 'identity' not in line]
        others = {'model': score_tabletop(model_on_trials(trials, known)), **others}
    figures['baselines'] = others
    for text in tabletop_table(figures):
        print(text)
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=1) + '\n', encoding='utf-8')
        print(f'figures: {options.json}')


if __name__ == '__main__':
    sys.exit(main())
