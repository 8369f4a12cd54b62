"""
The ``roma`` command.

::

    roma demo
    roma run --instruct 'alert: a person falls'
    roma doctor
"""

from collections.abc import Sequence
from importlib import import_module
import sys

from .. import __version__

_VERBS = {
    'run': 'start the roma node',
    'watch': 'look at a running roma node in the terminal',
    'web': 'look at it in the browser of this machine, and talk to it',
    'sync-check': 'measure by claps how far a camera and a microphone lie apart',
    'demo': 'play a recording through the node; leave a record, a summary and a report',
    'fetch': 'download a checkpoint, verified',
    'export': 'write a model as ONNX graphs, for engines other than torch',
    'tabletop': 'make a clip of the drawn world, with its labels',
    'train': 'train a network by a plan',
    'build-engine': 'build TensorRT engines of a model for this machine',
    'eval': 'judge a model on benchmarks',
    'human': "let a person do the model's task, and compare",
    'annotate': 'write what a model makes of recordings',
    'report': 'make one page of results, with plots',
    'calibrate': 'choose thresholds from labelled recordings, by false alerts per hour',
    'bench': 'measure what a stream costs on this machine',
    'info': 'show what the package and a model are made of',
    'doctor': 'check what is installed and say what to do about the rest',
}

_HELP = f"""roma {__version__}: one network that watches, listens and decides when to speak.
usage: roma VERB [options] | roma VERB --help | roma --version

{chr(10).join(f'  {verb:<14}{what}' for verb, what in _VERBS.items())}

First steps: `roma doctor`, then `roma demo`, then `roma run`."""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one verb.

    :param argv: verb and options; None: those of the command line.
    :return: exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb = arguments.pop(0) if arguments else ''
    if verb in _VERBS:
        # A verb is imported when it is wanted: torch and rclpy take seconds.
        return int(import_module(f'.{verb.replace("-", "_")}', __package__).main(arguments))
    if verb in ('-h', '--help', 'help'):
        print(_HELP)
        return 0
    if verb == '--version':
        print(f'roma_ros {__version__}')
        return 0
    print(_HELP, file=sys.stderr)
    if verb:
        print(f'\nroma: there is no verb {verb!r}; verbs: {", ".join(_VERBS)}', file=sys.stderr)
    return 2


if __name__ == '__main__':
    sys.exit(main())
