"""
Train a network by a plan.

::

    roma train --config config/train/tiny.yaml
    roma train --config config/train/tiny.yaml --out runs/tiny --resume
    roma train --ablate config/train/curriculum.yaml
    accelerate launch --num_processes 2 -m roma_ros.cli.train --config config/train/tiny.yaml
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys


def main(argv: Sequence[str] | None = None) -> int:
    """
    Train, and say each ten steps how it goes.

    :param argv: options.
    :return: exit code: 0; 1 when it cannot begin; 130 when it was interrupted.
    """
    parser = argparse.ArgumentParser(prog='roma train', description='Train a network by a plan.')
    plan = parser.add_mutually_exclusive_group(required=True)
    plan.add_argument('--config', type=Path, metavar='YAML', help='the plan, as config/train/*')
    plan.add_argument(
        '--ablate',
        type=Path,
        metavar='YAML',
        help='compare recipes, as config/train/curriculum.yaml; goes on where it was interrupted, '
        'and may be started several times at once',
    )
    parser.add_argument(
        '--out', type=Path, metavar='FOLDER', help='where the run is kept; else runs/<plan>'
    )
    parser.add_argument(
        '--resume', action='store_true', help='go on from the last checkpoint, to the same result'
    )
    options = parser.parse_args(argv)
    folder = options.out or Path('runs') / (options.config or options.ablate).stem
    try:
        if options.ablate:
            return _ablate(options.ablate, folder)
        from ..training.curriculum import read_train_config

        config = read_train_config(options.config)
        from ..training.trainer import Trainer

        trainer = Trainer(config, folder, report=_print)
        model = trainer.run(resume=options.resume)
    except ImportError as error:
        print(f'roma train: {error}; pip install -r requirements/training.txt', file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f'roma train: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        how = 'start it again' if options.ablate else 'go on with --resume'
        print(f'roma train: interrupted; {how}: {folder}', file=sys.stderr)
        return 130
    print(f'trained: {model}')
    return 0


def _ablate(plan: Path, folder: Path) -> int:
    from ..training.ablation import read_ablation, run_ablation
    from ..training.ablation_report import ablation_table, draw_ablation

    results = run_ablation(read_ablation(plan), folder, report=_print)
    table = ablation_table(results)
    (folder / 'curriculum.md').write_text(table, encoding='utf-8')
    draw_ablation(results, folder / 'curriculum.svg')
    print(f'{table}\nwritten: {folder / "curriculum.md"}, {folder / "curriculum.svg"}')
    return 0


def _print(line: str) -> None:
    print(line, flush=True)


if __name__ == '__main__':
    sys.exit(main())
