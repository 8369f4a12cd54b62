"""
Start the roma node in this process.

::

    roma run
    roma run --instruct narrate --instruct 'alert[0.7]: a person falls'
    roma run --model /path/to/checkpoint --ros-args -r image:=/camera/image_raw
"""

import argparse
from collections.abc import Sequence
import sys

from .ros_arguments import parameter_arguments


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the node until SIGINT or SIGTERM.

    :param argv: options; from ``--ros-args`` on they go to the node as they are.
    :return: exit code of the node.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    split = given.index('--ros-args') if '--ros-args' in given else len(given)
    options = vars(_parser().parse_args(given[:split]))
    values = {name: value for name, value in options.items() if value is not None}
    from ..nodes.dds import set_dds_defaults

    set_dds_defaults()
    from ..nodes.roma_node import main as run_roma_node

    return run_roma_node([*parameter_arguments(values), *given[split:]])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='roma run',
        description='Start the roma node: it listens to the topics image and audio, and '
        'publishes ~/utterance, ~/highlight, ~/speak_score and ~/status. What is not given is '
        'as in config/roma.yaml. Everything from --ros-args on goes to the node.',
    )
    parser.add_argument('--model', metavar='FOLDER', help='the model; else roma-tiny')
    parser.add_argument(
        '--instruct',
        metavar='LINE',
        dest='instructions',
        action='append',
        help="what the node is asked for: 'narrate', 'narrate: FOCUS', 'alert: CONDITION', with "
        "a threshold as in 'alert[0.7]: CONDITION'; may be given several times",
    )
    parser.add_argument('--engine', help='what runs the network')
    parser.add_argument(
        '--quantize', choices=('int8', 'int4'), help='weights of torch in fewer bits'
    )
    parser.add_argument('--device', help='where it runs: cpu, cuda:0')
    parser.add_argument(
        '--image-transport',
        choices=('raw', 'compressed'),
        help='listen to image, or to image/compressed',
    )
    return parser


if __name__ == '__main__':
    sys.exit(main())
