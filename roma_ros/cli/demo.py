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
from collections.abc import Sequence
import json
import os
from pathlib import Path
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

from .demo_progress import follow_camera, follow_recording, REST_S, wait_for_model
from .isolation import isolated_environment
from .processes import ProcessError, Processes
from .progress import ProgressLine
from .ros_arguments import node_command

if TYPE_CHECKING:
    from ..evaluation.truth import Truth

# Where the recording does not say what is to be asked for.
_INSTRUCTIONS = ('narrate',)


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
        'its own process; or show it what a camera sees. Leaves stream.mcap, summary.json and '
        'report.html.',
    )
    parser.add_argument('--output', type=Path, default=Path('demo_output'), metavar='FOLDER')
    parser.add_argument(
        '--seconds',
        type=int,
        default=45,
        help='length of the recording that is built, or how long to look',
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--media', type=Path, metavar='FILE', help='play this recording instead')
    source.add_argument(
        '--camera',
        metavar='DEVICE',
        help='look through this camera instead, as in 0 or /dev/video0, and listen',
    )
    parser.add_argument(
        '--microphone', metavar='DEVICE', default='', help='beside --camera; else the default one'
    )
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
    if options.camera is not None and options.rate != 1:
        raise ValueError(f'a camera runs at its own rate: leave out --rate {options.rate}')
    media = _media(options) if options.camera is None else None
    truth = _truth(media) if media is not None else None
    duration_s, num_frames = (options.seconds, None) if media is None else _probe(media)
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
        wait_for_model(processes, observer, line)
        if media is None:
            sources = _start_camera(processes, options)
            follow_camera(processes, observer, line, duration_s)
        else:
            sources = ['playback']
            playback = {
                'source': str(media),
                'rate': options.rate,
                # The node and the recorder: nothing is played before both listen.
                'wait_for_subscribers': 2,
                'publish_clock': options.rate != 1,
            }
            processes.start('playback', node_command('playback_node', playback))
            questions = _questions(truth)
            follow_recording(processes, observer, line, duration_s, options.rate, questions)
        # The node at once, before it makes units of the silence; the recorder last, so that it has
        # the node's last figures.
        for name in ('roma', *sources, 'recorder'):
            processes.stop(name)
    return _report(output, truth, num_frames)


def _start_camera(processes: Processes, options: argparse.Namespace) -> list[str]:
    microphone = {'device': options.microphone}
    processes.start('microphone', node_command('microphone_node', microphone))
    processes.start('camera', node_command('camera_node', {'device': options.camera}))
    return ['camera', 'microphone']


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
        if truth.version == VERSION and abs(truth.duration_s - options.seconds) < REST_S:
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
    published = summary['frames_published']
    of_how_many = '' if published is None else f' of {published}'
    return (
        '\n'
        f'  units       {summary["units"]}, {summary["units_dropped"]} dropped\n'
        f'  latency     {summary["unit_latency_p50_ms"]} ms median, '
        f'{summary["unit_latency_p95_ms"]} ms p95\n'
        f'  real time   factor {summary["real_time_factor"]}\n'
        f'  frames      {summary["frames_received"]}{of_how_many} received\n'
        f'  audio       {summary["audio_gaps"]} gaps\n'
        f'  utterances  {summary["utterances"]}, highlights {summary["highlights"]}\n\n'
        f'  {output / "report.html"}\n  {output / "summary.json"}\n'
        f'  {output / "stream.mcap"}  (opens in Foxglove)'
    )


if __name__ == '__main__':
    sys.exit(main())
