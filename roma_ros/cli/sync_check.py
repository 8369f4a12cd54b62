"""
Measure how far a camera and a microphone lie apart, from claps of hands.

::

    roma sync-check
    roma sync-check --image-topic /camera/image_raw --audio-topic /microphone/audio
    roma sync-check claps.mp4
"""

import argparse
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
import sys
import time
from typing import TYPE_CHECKING

from .progress import ProgressLine

if TYPE_CHECKING:
    from ..evaluation.clap_offset import ClapOffset
    from ..nodes.sync_listener import SyncListener

_CLAPS, _SECONDS = 12, 60.0
_BAG_SUFFIXES = ('.mcap', '.db3')
# How long topics may take to be found, and the pictures of the last clap to come [s].
_FIND_S, _LAST_S = 10.0, 1.5
_POLL_S = 0.25
# What is left of an error at which nobody can see or hear it [ns].
_FINE_NS = 10_000_000


def main(argv: Sequence[str] | None = None) -> int:
    """
    Measure, and print the parameter to set.

    :param argv: options.
    :return: exit code: 0; 1 where the claps do not tell.
    """
    options = _parser().parse_args(argv)
    try:
        offset = _listen(options) if options.recording is None else _read(options)
    except (ImportError, OSError, ValueError) as error:
        print(f'roma sync-check: {error}', file=sys.stderr)
        return 1
    print(_words(offset))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='roma sync-check',
        description='Measure how far the stamps of a camera and of a microphone lie apart. Clap '
        'your hands before the camera, about a metre away, once every two seconds, and hold them '
        f'together for a moment. It ends after {_CLAPS} claps, or at Ctrl-C.',
    )
    parser.add_argument(
        'recording',
        nargs='?',
        type=Path,
        metavar='RECORDING',
        help='a media file or a bag with claps; else it listens to the topics',
    )
    parser.add_argument('--image-topic', metavar='NAME', help='else /image, or the only one')
    parser.add_argument('--audio-topic', metavar='NAME', help='else /audio, or the only one')
    parser.add_argument(
        '--seconds', type=float, default=_SECONDS, help=f'how long at most; else {_SECONDS:.0f}'
    )
    return parser


def _read(options: argparse.Namespace) -> 'ClapOffset':
    from ..evaluation.clap_offset import ClapFinder
    from ..units.bag import Bag
    from ..units.media_file import MediaFile
    from ..units.recording import TimedFrame

    path: Path = options.recording
    items: Bag | MediaFile
    if path.is_dir() or path.suffix in _BAG_SUFFIXES:
        items = Bag(path, image_topic=options.image_topic, audio_topic=options.audio_topic)
    else:
        items = MediaFile(path)
    finder = ClapFinder()
    begin_ns: int | None = None
    for item in items:
        begin_ns = item.stamp_ns if begin_ns is None else begin_ns
        if item.stamp_ns > begin_ns + options.seconds * 1e9:
            break
        if isinstance(item, TimedFrame):
            try:
                finder.add_image(item.stamp_ns, item.decode())
            except ValueError:
                continue  # a corrupt picture among many
        else:
            finder.add_audio(item.stamp_ns, item.samples, rate_hz=item.rate_hz)
    return finder.estimate()


def _listen(options: argparse.Namespace) -> 'ClapOffset':
    from ..nodes.dds import set_dds_defaults

    set_dds_defaults()
    from ..nodes.side import SideNode
    from ..nodes.sync_listener import SyncListener

    topics = (options.image_topic or 'image', options.audio_topic or 'audio')
    with SideNode('sync_check') as node:
        listener = SyncListener(node, *('/' + topic.lstrip('/') for topic in topics))
        _find(listener)
        listener.start()
        print('clap your hands before the camera, once every two seconds', flush=True)
        line = ProgressLine()
        with suppress(KeyboardInterrupt):  # what came until now is what there is
            _wait_for_claps(listener, line, options.seconds)
        line.finish()
        for count, topic in (
            (listener.num_images, listener.image_topic),
            (listener.num_chunks, listener.audio_topic),
        ):
            if not count:
                raise ValueError(f'nothing that can be read came on {topic}; {listener.unread}')
        return listener.estimate()


def _find(listener: 'SyncListener') -> None:
    deadline_s = time.monotonic() + _FIND_S
    while missing := listener.missing():
        if time.monotonic() > deadline_s:
            raise ValueError(
                f'nobody publishes {" and ".join(missing)}, or in no type that is read; name the '
                'topics with --image-topic and --audio-topic'
            )
        time.sleep(_POLL_S)


def _wait_for_claps(listener: 'SyncListener', line: ProgressLine, seconds: float) -> None:
    begin_s = time.monotonic()
    while (passed_s := time.monotonic() - begin_s) < seconds:
        heard = listener.num_heard()
        line.show(
            f'{passed_s:3.0f} s  {heard} of {_CLAPS} claps heard  '
            f'{listener.num_images} images, {listener.num_chunks} chunks'
        )
        if heard >= _CLAPS:
            time.sleep(_LAST_S)
            return
        time.sleep(_POLL_S)


def _words(offset: 'ClapOffset') -> str:
    late, by_ms = offset.offset_ns > 0, abs(offset.offset_ns) / 1e6
    fuzzy_ms, spread_ms = offset.uncertainty_ns / 1e6, offset.spread_ns / 1e6
    which, other = ('camera', 'microphone') if late else ('microphone', 'camera')
    text = (
        f'the {which} is stamped {by_ms:.0f} ms later than the {other}, ± {fuzzy_ms:.0f} ms\n'
        f'({offset.num_claps} claps, each ± {spread_ms:.0f} ms; {offset.num_left_out} left out)\n'
    )
    if abs(offset.offset_ns) <= max(_FINE_NS, offset.uncertainty_ns):
        return text + 'that is well: leave image_offset_s and audio_offset_s at 0.0'
    # A stamp that is wrong is late: something waited between the sensor and the clock.
    name = 'image_offset_s' if late else 'audio_offset_s'
    return text + f'{name}: {-by_ms / 1e3:.3f}'


if __name__ == '__main__':
    sys.exit(main())
