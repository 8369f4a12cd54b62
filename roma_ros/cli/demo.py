"""
Play a recording through the roma node, and leave a record, a summary and a report.

Without a recording of yours it is a tabletop stream of the test split, whose truth is known: the
node gets its instructions, and its typed questions at their times.

::

    roma demo
    roma demo --seconds 20 --output demo_short
    roma demo --media my_video.mp4 --instruct 'alert: a dog comes in'
"""

import argparse
from collections import deque
from collections.abc import Sequence
import json
import os
from pathlib import Path
import signal
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING

from .isolation import isolated_environment
from .processes import ProcessError, Processes
from .progress import bar, plain, ProgressLine
from .ros_arguments import node_command

if TYPE_CHECKING:
    from ..evaluation.truth import Truth
    from ..nodes.observer import StreamObserver, StreamView

# Where the recording does not say what is to be asked for.
_INSTRUCTIONS = ('narrate',)
# How long the node may take to load the model [s].
_START_TIMEOUT_S = 180.0
# A shorter rest of the recording makes no unit [s].
_REST_S = 0.1
# How much of an utterance is shown [characters].
_SHOWN_CHARS = 60
# Where the recording's length is not known, the stream is over when nothing new has come for so
# long [s]; waiting ends in any case after:
_QUIET_S, _FINISH_TIMEOUT_S = 2.5, 60.0
_POLL_S = 0.2


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the demo.

    :param argv: options.
    :return: exit code: 0, 1 when something failed, 130 when it was interrupted.
    """
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        summary = _run(options)
    except KeyboardInterrupt:
        print('\nroma demo: stopped')
        return 130
    except (ProcessError, ValueError, OSError, ModuleNotFoundError, TimeoutError) as error:
        print(f'\nroma demo: {error}', file=sys.stderr)
        return 1
    print(_closing_words(options.output, summary))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='roma demo',
        description='Play a recording, with sound, through the roma node in real time, each in '
        'its own process. Leaves stream.mcap, summary.json and report.html.',
    )
    parser.add_argument('--output', type=Path, default=Path('demo_output'), metavar='FOLDER')
    parser.add_argument(
        '--seconds', type=int, default=45, help='length of the recording that is built'
    )
    parser.add_argument('--media', type=Path, metavar='FILE', help='play this recording instead')
    parser.add_argument('--rate', type=float, default=1.0, help='speed of the playback')
    parser.add_argument('--model', metavar='FOLDER', default='', help='the model; else roma-tiny')
    parser.add_argument(
        '--instruct',
        metavar='LINE',
        action='append',
        help="what the node is asked for, as in 'alert: CONDITION'; may be given several times; "
        'else what the recording is labelled with, or to narrate',
    )
    return parser


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(options: argparse.Namespace) -> dict[str, object]:
    output: Path = options.output
    media = _media(options)
    truth = _truth(media)
    duration_s, num_frames = _probe(media)
    for name in ('stream.mcap', 'summary.json', 'report.html'):
        (output / name).unlink(missing_ok=True)
    log_folder = output / 'log'
    os.environ.update(isolated_environment())
    os.environ['ROS_LOG_DIR'] = str((log_folder / 'ros').resolve())
    # Not before: the domain of a process is chosen when rclpy is imported or initialised.
    from ..nodes.observer import StreamObserver

    print(f'ROS_DOMAIN_ID={os.environ["ROS_DOMAIN_ID"]}, logs in {log_folder}', flush=True)
    line = ProgressLine()
    with Processes(log_folder, os.environ) as processes, StreamObserver() as observer:
        processes.start(
            'recorder', node_command('recorder_node', {'path': str(output / 'stream.mcap')})
        )
        instructions = options.instruct or _instructions(truth)
        parameters = {
            'model': options.model,
            'instructions': instructions,
            'use_sim_time': options.rate != 1,
        }
        processes.start('roma', node_command('roma_node', parameters))
        _wait_for_model(processes, observer, line)
        playback = {
            'source': str(media),
            'rate': options.rate,
            # The node and the recorder: nothing is played before both listen.
            'wait_for_subscribers': 2,
            'publish_clock': options.rate != 1,
        }
        processes.start('playback', node_command('playback_node', playback))
        _follow(processes, observer, line, duration_s, options.rate, _questions(truth))
        # The node at once, before it makes units of the silence; the recorder last, so that it has
        # the node's last figures.
        for name in ('roma', 'playback', 'recorder'):
            processes.stop(name)
    return _report(output, truth, num_frames)


def _media(options: argparse.Namespace) -> Path:
    """Return the recording; build it unless it is there as wanted."""
    from ..evaluation.demo_recording import build_recording, VERSION
    from ..evaluation.truth import load_truth

    if options.media is not None:
        if not options.media.is_file():
            raise ValueError(f'no such recording: {options.media}')
        return options.media
    path: Path = options.output / 'recording.mp4'
    truth_path = path.with_suffix('.json')
    if path.is_file() and truth_path.is_file():
        truth = load_truth(truth_path)
        if truth.version == VERSION and abs(truth.duration_s - options.seconds) < _REST_S:
            return path
    print(f'building a recording of {options.seconds} s in which all is known', flush=True)
    build_recording(path, seconds=options.seconds)
    return path


def _truth(media: Path) -> 'Truth | None':
    """Return what is known of a recording: that of ``recording.json`` beside it."""
    from ..evaluation.truth import load_truth

    path = media.with_suffix('.json')
    return load_truth(path) if path.is_file() else None


def _instructions(truth: 'Truth | None') -> list[str]:
    if truth is None:
        return list(_INSTRUCTIONS)
    narrate = ['narrate'] if truth.narrate else []
    return [*narrate, *(f'alert: {alert.text}' for alert in truth.alerts)]


def _questions(truth: 'Truth | None') -> list[tuple[float, str]]:
    """Return what is to be typed, and when [s], in order."""
    return [] if truth is None else [(q.time_s, q.text) for q in truth.questions]


def _probe(media: Path) -> tuple[float, int | None]:
    """Return a media file's length [s], 0 when unknown, and its number of images, if it says."""
    from ..units.media_file import MediaFile

    has_video = MediaFile(media).has_video
    import av

    with av.open(str(media)) as container:
        duration_s = (container.duration or 0) / av.time_base
        num_frames = container.streams.video[0].frames if has_video else 0
    return duration_s, num_frames or None


def _wait_for_model(processes: Processes, observer: 'StreamObserver', line: ProgressLine) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not observer.view.active:
        processes.check()
        if observer.view.failed:
            raise ProcessError(f'the roma node cannot start: {observer.view.detail}')
        if time.monotonic() > deadline:
            raise TimeoutError(
                f'the roma node was not active after {_START_TIMEOUT_S:.0f} s '
                f'({observer.view.detail or "no status"}); see its log'
            )
        line.show(f'loading the model … {plain(observer.view.detail)}')
        time.sleep(_POLL_S)


def _follow(
    processes: Processes,
    observer: 'StreamObserver',
    line: ProgressLine,
    duration_s: float,
    rate: float,
    questions: Sequence[tuple[float, str]],
) -> None:
    """Show the progress until the recording is played and everything in it is seen."""
    start = time.monotonic()
    waiting = deque(questions)
    ended: float | None = None
    while True:
        now, view = time.monotonic(), observer.view
        processes.check()
        # The node's own seconds count: what it has not seen yet it is not asked about.
        while waiting and waiting[0][0] <= view.stream_s:
            observer.ask(waiting.popleft()[1])
        line.show(_progress(view, min((now - start) * rate, duration_s), duration_s))
        if ended is None and processes.poll('playback') is not None:
            ended = now
        # Playback may still be at its end; what comes now is silence.
        if 0 < duration_s <= view.stream_s + _REST_S:
            break
        if ended is not None:
            quiet_s = now - max(ended, view.last_unit_s)
            if view.queue_length == 0 and quiet_s > _QUIET_S:
                break
            if now - ended > _FINISH_TIMEOUT_S:
                raise TimeoutError(
                    f'{view.queue_length} units still wait {_FINISH_TIMEOUT_S:.0f} s after the '
                    'end of the recording; the model is too slow for this machine'
                )
        time.sleep(_POLL_S)
    line.finish()
    if not view.units:
        raise ValueError('no unit was scored; see the logs of roma and playback')


def _progress(view: 'StreamView', played_s: float, duration_s: float) -> str:
    text = plain(view.utterance)
    if len(text) > _SHOWN_CHARS:
        text = '…' + text[1 - _SHOWN_CHARS :]
    said = f'  “{text}”' if text else ''
    return (
        f'{played_s:3.0f}/{duration_s:.0f} s  {view.units:3d} units  '
        f'{bar(view.probability, view.threshold)} {view.probability:.2f}  '
        f'p95 {view.latency_p95_ms:.0f} ms{said}'
    )


def _report(output: Path, truth: 'Truth | None', num_frames: int | None) -> dict[str, object]:
    from ..evaluation.record import read_record
    from ..evaluation.report import write_report
    from ..evaluation.summary import summarize

    record = read_record(output / 'stream.mcap')
    summary = summarize(record, frames_published=num_frames)
    (output / 'summary.json').write_text(
        json.dumps(summary, indent=1, ensure_ascii=False) + '\n', encoding='utf-8'
    )
    write_report(output / 'report.html', record, summary, truth=truth)
    return summary


def _closing_words(output: Path, summary: dict[str, object]) -> str:
    return (
        '\n'
        f'  units       {summary["units"]}, {summary["units_dropped"]} dropped\n'
        f'  latency     {summary["unit_latency_p50_ms"]} ms median, '
        f'{summary["unit_latency_p95_ms"]} ms p95\n'
        f'  real time   factor {summary["real_time_factor"]}\n'
        f'  frames      {summary["frames_received"]} of {summary["frames_published"]} received\n'
        f'  audio       {summary["audio_gaps"]} gaps\n'
        f'  utterances  {summary["utterances"]}, highlights {summary["highlights"]}\n\n'
        f'  {output / "report.html"}\n  {output / "summary.json"}\n'
        f'  {output / "stream.mcap"}  (opens in Foxglove)'
    )


if __name__ == '__main__':
    sys.exit(main())
