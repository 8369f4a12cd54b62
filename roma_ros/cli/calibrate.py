"""
Choose the node's thresholds from labelled recordings, by false alerts per hour.

::

    roma calibrate --recording kitchen.mp4 --labels kitchen.json --false-alerts-per-hour 2
    roma calibrate --scores demo_output/stream.mcap --labels demo.json --false-alerts-per-hour 1
    roma calibrate --lines tabletop.lines/validation-2.jsonl --false-alerts-per-hour 6
    roma run --ros-args --params-file roma_calibrated.yaml

Labels: ``{"labels": [{"instruct": "alert: a bell rings", "windows": [[3.0, 4.5]]}]}``, seconds
from the recording's begin; ``instruct`` is also ``narrate``, or ``answer`` for spoken questions.
"""

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
import sys
from typing import Any, TYPE_CHECKING

from .progress import ProgressLine

if TYPE_CHECKING:
    from ..evaluation.score_files import Label, Scores
    from ..policy.calibration import Calibration
    from ..policy.scored_instructions import ScoredInstruction
    from ..runtime.factory import Runtime


def main(argv: Sequence[str] | None = None) -> int:
    """
    Calibrate, say how sure it is, and write a parameter file.

    :param argv: options.
    :return: exit code: 0 when all that was asked for is promised, 3 when the file was written but
        something is not, 1 when it cannot be done, 130 when it was interrupted.
    """
    options = _parser().parse_args(argv)
    try:
        return _run(options)
    except (OSError, ValueError, ImportError) as error:
        print(f'roma calibrate: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    from ..policy.calibration_file import describe, format_parameters

    if options.lines:
        from ..evaluation.line_scores import scored_lines

        items = [item for path in options.lines for item in scored_lines(path)]
        source = _names(options.lines)
    else:
        items, source = _recorded(options)
    results = _calibrate(items, options)
    for result in results:
        print('\n  '.join(describe(result)))
    text = format_parameters(results, source=f'`roma calibrate` on {source}')
    options.output.write_text(text, encoding='utf-8')
    print(f'parameter file: {options.output}')
    if options.json:
        figures = [_figures(result) for result in results]
        options.json.write_text(json.dumps(figures, indent=1) + '\n', encoding='utf-8')
    return 0 if all(result.verdict.value == 'promised' for result in results) else 3


def _recorded(options: argparse.Namespace) -> 'tuple[list[ScoredInstruction], str]':
    """Return what was scored on recordings, and what to call it."""
    from ..evaluation.score_files import join_labels, load_labels, load_scores

    recordings = options.recording or options.scores
    if len(recordings) != len(options.labels):
        raise ValueError(
            f'{len(recordings)} recordings and {len(options.labels)} files of labels; give one '
            'file of labels for each, in the same order'
        )
    labels = [load_labels(path) for path in options.labels]
    source = _names(recordings)
    if options.recording:
        from ..runtime.factory import load_runtime

        runtime = load_runtime(options.model, device=options.device)
        source += f' by {runtime.path.name}'
        scores = [_score(runtime, *pair) for pair in zip(recordings, labels, strict=True)]
    else:
        scores = [load_scores(path) for path in recordings]
    if options.save_scores:
        _save(options.save_scores, recordings, scores)
    items = [
        item
        for path, wanted, found in zip(recordings, labels, scores, strict=True)
        for item in join_labels(str(path), wanted, found)
    ]
    return items, source


def _names(paths: Sequence[Path]) -> str:
    return ', '.join(path.name for path in paths)


def _calibrate(
    items: 'Sequence[ScoredInstruction]', options: argparse.Namespace
) -> 'list[Calibration]':
    from ..policy.calibration import calibrate
    from ..policy.triggers import PRESETS

    return [
        calibrate(
            [item for item in items if item.kind is kind],
            trigger=PRESETS[kind],
            false_per_hour=options.false_alerts_per_hour,
            tolerance_s=options.tolerance,
            num_folds=options.folds,
        )
        for kind in sorted({item.kind for item in items})
    ]


def _score(runtime: 'Runtime', path: Path, labels: 'Sequence[Label]') -> 'tuple[Scores, ...]':
    """Run the model over a recording; twice where narration and answers are both labelled."""
    from ..policy.instructions import InstructionKind

    alerts = [label for label in labels if label.kind is InstructionKind.ALERT]
    narrations = [label for label in labels if label.kind is InstructionKind.NARRATION]
    answers = [label for label in labels if label.kind is InstructionKind.ANSWER]
    if len(narrations) > 1:
        raise ValueError(f'{len(narrations)} narrations are labelled; a stream has one: {path}')
    scores = _score_once(runtime, path, [*narrations, *alerts])
    if narrations and answers:
        scores = (*scores, *_score_once(runtime, path, answers))
    return scores


def _score_once(runtime: 'Runtime', path: Path, labels: 'Sequence[Label]') -> 'tuple[Scores, ...]':
    from ..evaluation.play import MAIN, play
    from ..evaluation.score_files import ANSWER, Scores
    from ..policy.instructions import Instruction, InstructionKind
    from ..runtime.session import SessionConfig, StreamSession
    from ..units.bag import units_from_bag
    from ..units.media_file import units_from_media

    instructions = [
        Instruction(id=str(index), kind=label.kind, text=label.text)
        for index, label in enumerate(labels)
        if label.kind is not InstructionKind.ANSWER
    ]
    session = StreamSession(
        runtime.engine,
        runtime.processor,
        runtime.protocol,
        instructions=instructions,
        config=SessionConfig(max_instructions=max(8, len(instructions))),
    )
    is_bag = path.is_dir() or path.suffix in ('.mcap', '.db3')
    units = units_from_bag(path) if is_bag else units_from_media(path)
    progress = ProgressLine(sys.stderr)

    def told() -> Any:
        for unit in units:
            progress.show(f'{path.name}: {unit.index + 1} s')
            yield unit

    played = play(session, told())
    progress.finish()
    narrated = any(label.kind is InstructionKind.NARRATION for label in labels)
    scores = [] if narrated else [(ANSWER, MAIN)]
    for index, label in enumerate(labels):
        if label.kind is InstructionKind.NARRATION:
            scores.append((label.instruct, MAIN))
        elif label.kind is InstructionKind.ALERT:
            scores.append((label.instruct, str(index)))
    ends = tuple(float(index + 1) for index in range(played.num_units))
    return tuple(
        Scores(instruct, ends, tuple(played.probabilities[name])) for instruct, name in scores
    )


def _save(
    folder: Path, recordings: Sequence[Path], scores: 'Sequence[tuple[Scores, ...]]'
) -> None:
    from ..evaluation.score_files import save_scores

    if len({path.stem for path in recordings}) < len(recordings):
        raise ValueError('two recordings have one name; their scores would overwrite each other')
    for path, found in zip(recordings, scores, strict=True):
        save_scores(folder / f'{path.stem}.jsonl', found)


def _figures(result: 'Calibration') -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(result) | {'kind': result.kind.name.lower(), 'verdict': result.verdict.value}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='roma calibrate',
        description='Choose thresholds from labelled recordings, so that there are at most so '
        'many false alerts per hour and instruction, and say how sure that is.',
        epilog='Labels: {"labels": [{"instruct": "alert: a bell rings", "windows": [[3.0, 4.5]]}'
        "]}, in seconds; 'narrate' and 'answer' are calibrated in the same way.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        '--recording', type=Path, nargs='+', metavar='FILE', help='run the model over these'
    )
    source.add_argument(
        '--scores',
        type=Path,
        nargs='+',
        metavar='FILE',
        help='take the scores of earlier runs: a .mcap of the recorder, or a saved .jsonl',
    )
    source.add_argument(
        '--lines',
        type=Path,
        nargs='+',
        metavar='FILE',
        help='take scores and truth from the lines of roma eval; these need no labels',
    )
    parser.add_argument(
        '--labels', type=Path, nargs='+', default=[], metavar='FILE', help='one for each'
    )
    parser.add_argument(
        '--false-alerts-per-hour', type=float, required=True, metavar='X', help='the target'
    )
    parser.add_argument(
        '--tolerance',
        type=float,
        default=1.0,
        metavar='S',
        help='how long after a window speaking still counts as due; else 1 s',
    )
    parser.add_argument('--folds', type=int, default=5, metavar='N', help='else 5')
    parser.add_argument('--model', default='', metavar='FOLDER', help='the model; else roma-tiny')
    parser.add_argument('--device', default='auto', help='where it runs: cpu, cuda:0')
    parser.add_argument(
        '--output', type=Path, default=Path('roma_calibrated.yaml'), metavar='FILE'
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all figures there')
    parser.add_argument(
        '--save-scores', type=Path, metavar='FOLDER', help='keep the scores, to calibrate again'
    )
    return parser


if __name__ == '__main__':
    sys.exit(main())
