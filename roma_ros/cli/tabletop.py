"""
Make a clip of the drawn world, with its labels.

::

    roma tabletop --seed 7 --out clip.mp4
    roma tabletop --seed 7 --split test --duration 60 --out test.mp4
    roma tabletop --seed 7 --size 160x120 --out as_trained.mp4
    roma tabletop --seed 0 --records 20 --out data
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys


def main(argv: Sequence[str] | None = None) -> int:
    """
    Write one clip and its labels.

    :param argv: options.
    :return: exit code: 0; 1 when it cannot be made.
    """
    parser = argparse.ArgumentParser(
        prog='roma tabletop',
        description='Make a clip of the drawn world, with its labels beneath the picture and '
        'beside it as JSON.',
    )
    parser.add_argument('--seed', type=int, required=True, metavar='N', help='names the stream')
    parser.add_argument(
        '--out', type=Path, required=True, metavar='PATH', help='the clip, .mp4; labels: .json'
    )
    parser.add_argument(
        '--split', choices=('train', 'validation', 'test'), default='train', help='else train'
    )
    parser.add_argument(
        '--duration', type=int, default=16, metavar='S', help='length in seconds; else 16'
    )
    parser.add_argument(
        '--size', type=_size, default=(640, 480), metavar='WxH', help='4:3; else 640x480'
    )
    parser.add_argument(
        '--records',
        type=int,
        metavar='N',
        help='write N streams, from this seed on, without labels in the picture, and streams.json '
        'of what they teach, as `roma train` reads own recordings; --out is the folder',
    )
    options = parser.parse_args(argv)
    try:
        if options.records is not None:
            return _write_records(options)
        from ..training.tabletop.clip import write_clip
        from ..training.tabletop.generator import make_stream

        stream = make_stream(
            options.seed, split=options.split, duration_s=options.duration, size=options.size
        )
        labels = write_clip(stream, options.out)
    except (OSError, ValueError, ImportError) as error:
        print(f'roma tabletop: {error}', file=sys.stderr)
        return 1
    print(f'clip: {options.out}\nlabels: {labels}')
    return 0


def _write_records(options: argparse.Namespace) -> int:
    from ..training.streams import write_streams
    from ..training.tabletop.generator import make_stream
    from ..training.tabletop.records import write_tabletop_records

    seeds = range(options.seed, options.seed + options.records)
    streams = [
        make_stream(seed, split=options.split, duration_s=options.duration, size=options.size)
        for seed in seeds
    ]
    records = write_tabletop_records(streams, options.out)
    write_streams(records, options.out / 'streams.json')
    print(f'{len(streams)} streams, {len(records)} records: {options.out / "streams.json"}')
    return 0


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition('x')
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f'{text!r}: expected a size as in 640x480')
    return int(width), int(height)


if __name__ == '__main__':
    sys.exit(main())
