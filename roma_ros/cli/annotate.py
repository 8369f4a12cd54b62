"""
Write what a model makes of recordings.

::

    roma annotate kitchen.mcap --instruct 'alert: the kettle boils'
    roma annotate monday/ tuesday/ --output notes --workers 4
    roma annotate clip.mp4 --model /path/to/checkpoint --instruct narrate
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
import sys
from typing import Any, TYPE_CHECKING

from .fleet_options import add_fleet_options, executor, num_threads
from .progress import ProgressLine

if TYPE_CHECKING:
    from ..evaluation.annotate import Recording

# What an offline run does not count: in its summary not known, instead of the message's zeros.
_NOT_COUNTED = (
    'frames_received',
    'frames_rejected',
    'frames_late',
    'audio_samples_received',
    'audio_chunks_rejected',
    'audio_chunks_late',
    'audio_gaps',
    'clock_jumps',
    'units_dropped',
    'unit_compute_p50_ms',
    'unit_compute_p95_ms',
)


def main(argv: Sequence[str] | None = None) -> int:
    """
    Annotate recordings.

    :param argv: options.
    :return: exit code: 0; 1 when it cannot run; 130 when it was interrupted: the same command
        goes on where it was.
    """
    options = _parser().parse_args(argv)
    progress = ProgressLine(sys.stderr)
    try:
        _run(options, progress)
    except KeyboardInterrupt:
        progress.finish()
        print('roma annotate: stopped; the same command goes on from here', file=sys.stderr)
        return 130
    except (OSError, ValueError, ImportError) as error:
        progress.finish()
        print(f'roma annotate: {error}', file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='roma annotate',
        description='Play recordings through the model as fast as the machine allows, and write '
        'utterances, highlights and scores: one .jsonl a recording, and of a bag an .mcap copy '
        'with the messages that the live node would have sent, and a report.',
    )
    parser.add_argument(
        'recordings', nargs='+', type=Path, metavar='RECORDING', help='a bag, or a media file'
    )
    parser.add_argument('--output', type=Path, default=Path('annotations'), metavar='FOLDER')
    parser.add_argument(
        '--instruct',
        metavar='LINE',
        action='append',
        default=[],
        help="what the model is asked for, as 'narrate' or 'alert: CONDITION'; may be given "
        "several times; else 'narrate'",
    )
    parser.add_argument('--image-topic', metavar='NAME', help='of a bag with several')
    parser.add_argument('--audio-topic', metavar='NAME', help='of a bag with several')
    parser.add_argument(
        '--node', default='/roma', metavar='NAME', help='whose topics the copy has; else /roma'
    )
    parser.add_argument('--model', metavar='MODEL', default='', help='the model; else roma-tiny')
    parser.add_argument('--device', default='auto', help='where it runs: cpu, cuda:0')
    add_fleet_options(parser)
    return parser


def _run(options: argparse.Namespace, progress: ProgressLine) -> None:
    from ..evaluation.annotate import AnnotationJob, Recording, write_annotations
    from ..evaluation.runner import run_samples
    from ..model.identity import model_identity
    from ..policy.instructions import parse_instruction
    from ..policy.model_triggers import read_triggers
    from ..runtime.factory import model_folder

    recordings = [
        Recording(path=path, image_topic=options.image_topic, audio_topic=options.audio_topic)
        for path in options.recordings
    ]
    names = _names(recordings)
    lines = options.instruct or ['narrate']
    # Named as the node names those of its parameters.
    instructions = tuple(
        parse_instruction(line, id=f'instruction-{number}')
        for number, line in enumerate(lines, start=1)
    )
    model = model_folder(options.model)
    output: Path = options.output
    found = run_samples(
        recordings,
        AnnotationJob(
            model=str(model),
            instructions=instructions,
            device=options.device,
            threads=num_threads(options),
            quantize=options.quantize,
        ),
        path=output / 'annotate.jsonl',
        identity={
            'model': model_identity(model, quantize=options.quantize),
            'instructions': lines,
            'triggers': {k.name: asdict(t) for k, t in read_triggers(model).items()},
            'topics': [options.image_topic, options.audio_topic],
        },
        execute=executor(options),
        on_line=lambda done, total: progress.show(f'{done} of {total} recordings'),
    )
    progress.finish()
    for name, recording, line in zip(names, recordings, found, strict=True):
        write_annotations(line, output / f'{name}.jsonl')
        if recording.is_bag:
            _copy_with_report(recording.path, output / f'{name}.mcap', line, options.node)
        print(_summary(name, line))
        for lost in line['lost']:
            print(f'{name}: unit {lost["index"]} lost: {lost["reason"]}', file=sys.stderr)
    print(f'written: {output}')


def _names(recordings: Sequence['Recording']) -> list[str]:
    """Return the name of each recording's files."""
    names = [r.path.name if r.path.is_dir() else r.path.stem for r in recordings]
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise ValueError(
            f'several recordings are named {", ".join(doubled)}; annotate them one by one, each '
            'with an --output of its own'
        )
    return names


def _copy_with_report(source: Path, target: Path, line: dict[str, Any], node: str) -> None:
    from ..evaluation.annotated_bag import write_annotated_bag
    from ..evaluation.record import read_record
    from ..evaluation.report import write_report
    from ..evaluation.summary import summarize

    target.unlink(missing_ok=True)
    write_annotated_bag(source, target, line, node=node)
    record = read_record(target)
    summary = summarize(record) | dict.fromkeys(_NOT_COUNTED)
    write_report(target.with_suffix('.html'), record, summary)


def _summary(name: str, line: dict[str, Any]) -> str:
    units = line['units']
    said = {s['utterance_id'] for unit in units for s in unit['segments']}
    marked = {h['number'] for unit in units for h in unit['highlights']}
    compute_s = sum(unit['compute_ms'] for unit in units) / 1000
    speed = f', {len(units) / compute_s:.1f} times real time' if compute_s else ''
    return f'{name}: {len(units)} s, {len(said)} utterances, {len(marked)} highlights{speed}'


if __name__ == '__main__':
    sys.exit(main())
