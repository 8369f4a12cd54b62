"""
Look at a running roma node in the terminal.

::

    roma watch
    roma watch --node /robot/roma
    ssh -t robot roma watch
"""

import argparse
from collections.abc import Sequence
import signal
import sys
from types import FrameType

from .node_name import add_node_option

_PERIOD_S = 0.25


def main(argv: Sequence[str] | None = None) -> int:
    """
    Show the node until q or Ctrl-C.

    :param argv: options.
    :return: exit code: 0; 1 where there is no terminal or no ROS 2.
    """
    parser = argparse.ArgumentParser(
        prog='roma watch',
        description='Show what a running roma node thinks: speak probabilities with their '
        'thresholds, what it says, its status and diagnostics. It only listens. q quits.',
    )
    add_node_option(parser)
    options = parser.parse_args(argv)
    if not sys.stdout.isatty():
        print(
            'roma watch: the output is no terminal; with ssh use `ssh -t`, in a script '
            f'`ros2 topic echo {options.node}/speak_score`',
            file=sys.stderr,
        )
        return 1
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        _watch(options.node)
    except (KeyboardInterrupt, EOFError):
        pass
    except ImportError as error:
        print(f'roma watch: {error}; `roma doctor` says what to do', file=sys.stderr)
        return 1
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _watch(node: str) -> None:
    from ..nodes.dds import set_dds_defaults

    set_dds_defaults()
    from ..nodes.side import SideNode
    from ..nodes.watching import Watcher
    from .screen import draw
    from .terminal import Terminal

    with SideNode('watch') as side, Terminal() as terminal:
        watcher = Watcher(side, node)
        while True:
            columns, rows = terminal.size
            terminal.show(draw(watcher.view(), columns=columns, rows=rows))
            if {'q', 'Q', '\x03', '\x04'} & set(terminal.read_key(_PERIOD_S)):
                return


if __name__ == '__main__':
    sys.exit(main())
