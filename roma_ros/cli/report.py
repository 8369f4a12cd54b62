"""
Make one page, and pictures, of the results of evaluations.

::

    roma eval tabletop --json tabletop.json && roma report tabletop.json
    roma report a/results.json b/results.json --output comparison
    roma report qvhighlights.json --data /data/qvhighlights --samples 12
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys


def main(argv: Sequence[str] | None = None) -> int:
    """
    Write the report.

    :param argv: options.
    :return: exit code: 0; 1 when a file cannot be read or written.
    """
    options = _parser().parse_args(argv)
    try:
        from ..evaluation.results import read_results
        from ..evaluation.results_report import write_results_report

        results = [
            result
            for path in options.results
            for result in read_results(path, lines=options.lines)
        ]
        if not results:
            raise ValueError('there is no result in these files')
        written = write_results_report(
            options.output, results, num_samples=options.samples, data=options.data
        )
    except (OSError, ValueError, ImportError) as error:
        print(f'roma report: {error}', file=sys.stderr)
        return 1
    print(f'report: {written[0]}')
    for path in written[1:]:
        print(f'plot: {path}')
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='roma report',
        description='Make one page of results: figures beside those of others and of what needs '
        'no model, precision and recall, calibration, delays, and timelines of samples.',
    )
    parser.add_argument(
        'results', type=Path, nargs='+', metavar='RESULTS', help='what `roma eval --json` wrote'
    )
    parser.add_argument(
        '--output',
        type=Path,
        default=Path('roma_report'),
        metavar='FOLDER',
        help='else roma_report',
    )
    parser.add_argument(
        '--lines', type=Path, metavar='FOLDER', help='the lines of samples; else beside the JSON'
    )
    parser.add_argument(
        '--data', type=Path, metavar='FOLDER', help="the owners' files, for pictures of samples"
    )
    parser.add_argument(
        '--samples', type=int, default=6, metavar='N', help='timelines of each result; else 6'
    )
    return parser


if __name__ == '__main__':
    sys.exit(main())
