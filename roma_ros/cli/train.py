"""
Train a network by a plan.

::

    roma train --config config/train/tiny.yaml
    roma train --config config/train/tiny.yaml --out runs/tiny --resume
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
    parser.add_argument(
        '--config', type=Path, required=True, metavar='YAML', help='the plan, as config/train/*'
    )
    parser.add_argument(
        '--out', type=Path, metavar='FOLDER', help='where the run is kept; else runs/<plan>'
    )
    parser.add_argument(
        '--resume', action='store_true', help='go on from the last checkpoint, to the same result'
    )
    options = parser.parse_args(argv)
    from ..training.curriculum import read_train_config

    folder = options.out or Path('runs') / options.config.stem
    try:
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
        print(f'roma train: interrupted; go on with --resume: {folder}', file=sys.stderr)
        return 130
    print(f'trained: {model}')
    return 0


def _print(line: str) -> None:
    print(line, flush=True)


if __name__ == '__main__':
    sys.exit(main())
