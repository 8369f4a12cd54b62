"""
Check what is installed, and say what to do about the rest.

::

    roma doctor
"""

import argparse
from collections.abc import Sequence
import sys

from .checks import run_checks, Verdict


def main(argv: Sequence[str] | None = None) -> int:
    """
    Print a line for each check.

    :param argv: options; there are none but ``--help``.
    :return: exit code: 0, or 1 when something that everybody needs is missing.
    """
    argparse.ArgumentParser(
        prog='roma doctor',
        description='Check what is installed, which engine runs, which devices there are and '
        'how DDS is set. Exit code 1 when something is missing that everybody needs.',
    ).parse_args(argv)
    num_problems = 0
    for check in run_checks():
        num_problems += check.verdict is Verdict.PROBLEM
        advice = f'  → {check.advice}' if check.advice else ''
        print(f'{check.verdict.value}  {check.name:<18} {check.found}{advice}')
    if num_problems:
        print(f'\n{num_problems} problem{"s" if num_problems > 1 else ""}: do what the arrows say')
        return 1
    print('\nall that is needed is here')
    return 0


if __name__ == '__main__':
    sys.exit(main())
