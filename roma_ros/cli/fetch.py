"""
Download a checkpoint from the Hugging Face hub, verified; nothing else here uses the network.

::

    roma fetch EurekaTian/ROMA
    roma fetch EurekaTian/ROMA --revision 0123abc... --output checkpoints/roma
"""

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
import sys

from .progress import ProgressLine


def main(argv: Sequence[str] | None = None) -> int:
    """
    Fetch one checkpoint.

    :param argv: options.
    :return: exit code: 0; 1 when it cannot be had; 130 when it was interrupted.
    """
    parser = argparse.ArgumentParser(
        prog='roma fetch',
        description='Download a checkpoint from the Hugging Face hub: weights as safetensors, '
        'configuration and tokenizer, each verified. What was interrupted goes on.',
    )
    parser.add_argument('repo', metavar='REPO', help='owner/name')
    parser.add_argument(
        '--revision', default='main', metavar='SHA', help='commit, tag or branch; else main'
    )
    parser.add_argument(
        '--output', type=Path, metavar='DIR', help='where to; else where --model REPO looks'
    )
    options = parser.parse_args(argv)
    from ..model.fetch import fetch_checkpoint
    from ..model.store import MANIFEST_NAME

    progress = ProgressLine(sys.stderr)
    try:
        folder = fetch_checkpoint(
            options.repo,
            revision=options.revision,
            folder=options.output,
            on_progress=lambda name, done, total: progress.show(
                f'{done / max(total, 1):4.0%} of {total / 1e9:.2f} GB   {name}'
            ),
        )
    except KeyboardInterrupt:
        progress.finish()
        print('roma fetch: interrupted; run it again to go on', file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        progress.finish()
        print(f'roma fetch: {error}', file=sys.stderr)
        return 1
    progress.finish()
    manifest = json.loads((folder / MANIFEST_NAME).read_text(encoding='utf-8'))
    print(f'{manifest["repo"]} at commit {manifest["commit"]}: {folder}')
    print(f'Run it: roma run --model {options.output or options.repo}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
