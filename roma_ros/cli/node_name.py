"""The name of a running node, as it is given on the command line."""

import argparse
import re

_NAME = re.compile(r'/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*', re.ASCII)


def add_node_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--node``, the node that a verb has to do with."""
    parser.add_argument(
        '--node', default='/roma', type=_full_name, metavar='NAME', help='of the node; else /roma'
    )


def _full_name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(f'{text!r} is no name of a node, as /robot/roma is one')
    return '/' + text.removeprefix('/')
