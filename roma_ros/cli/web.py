"""
Show a running roma node as a page in the browser of this machine.

::

    roma web
    roma web --node /robot/roma --port 8066
    ssh -L 8066:127.0.0.1:8066 robot roma web
"""

import argparse
from collections.abc import Sequence
import signal
import sys
import threading

from .node_name import add_node_option

_PORT = 8066


def main(argv: Sequence[str] | None = None) -> int:
    """
    Serve the page until SIGINT or SIGTERM.

    :param argv: options.
    :return: exit code: 0; 1 where it cannot be served.
    """
    options = _parser().parse_args(argv)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        _serve(options, stop)
    except (ImportError, OSError, ValueError) as error:
        print(f'roma web: {error}', file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='roma web',
        description='Serve a page with the camera, the transcript and the speak probabilities of '
        'a running roma node, to add and remove instructions and to ask. Only this machine can '
        'reach it, and only who has the link, which is new with each start; from another '
        f'machine use `ssh -L {_PORT}:127.0.0.1:{_PORT} ROBOT roma web`.',
    )
    add_node_option(parser)
    parser.add_argument(
        '--image-topic',
        default='',
        metavar='NAME',
        help='whose images are shown; else those that the node listens to',
    )
    parser.add_argument(
        '--port', type=_port, default=_PORT, help=f'else {_PORT}; 0: any that is free'
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f'{text!r} is no port, which is a number to 65535')
    return int(text)


def _serve(options: argparse.Namespace, stop: threading.Event) -> None:
    from ..nodes.dds import set_dds_defaults

    set_dds_defaults()
    from ..nodes.side import SideNode
    from ..nodes.web_bridge import WebBridge
    from ..nodes.web_server import WebServer

    topic = options.image_topic
    with SideNode('web') as node:
        bridge = WebBridge(node, options.node, image_topic=topic and '/' + topic.lstrip('/'))
        try:
            server = WebServer(bridge, port=options.port)
        except OSError as error:
            raise OSError(f'cannot serve on port {options.port} ({error}); try --port') from None
        with server:
            print(f'open {server.url}\nCtrl-C ends it', flush=True)
            stop.wait()


if __name__ == '__main__':
    sys.exit(main())
