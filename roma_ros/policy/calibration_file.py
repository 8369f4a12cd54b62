"""What was calibrated, in words and as a parameter file of the node."""

from collections.abc import Iterator, Sequence
import textwrap

from .calibration import Calibration, Verdict
from .instructions import InstructionKind

# A share of windows below which a threshold is of no use.
_HARDLY_EVER = 0.1
#: The node's parameter of each kind.
PARAMETERS: dict[InstructionKind, str] = {
    InstructionKind.NARRATION: 'narration_threshold',
    InstructionKind.ALERT: 'alert_threshold',
    InstructionKind.ANSWER: 'answer_threshold',
}


def describe(result: Calibration) -> Iterator[str]:
    """Yield sentences that say what was chosen and how sure it is."""
    kind, target = result.kind.name.lower(), f'{result.target_per_hour:g} false per hour'
    threshold = result.trigger.threshold
    yield (
        f'{kind}: threshold {threshold:g} for at most {target} and instruction: {_verdict(result)}'
    )
    yield (
        f'On what it was not chosen on: {result.held_out_false} false in {_hours(result.hours)}, '
        f'{_rate(result.held_out_per_hour)} per hour, at most '
        f'{_rate(result.held_out_per_hour_high)} '
        f'with 95 % confidence; {_share(result.held_out_recall)} of {result.num_windows} windows '
        'hit.'
    )
    yield (
        f'Chosen without each of {len(result.fold_thresholds)} parts it lies between '
        f'{min(result.fold_thresholds):g} and {max(result.fold_thresholds):g}.'
    )
    if result.held_out_recall is not None and result.held_out_recall < _HARDLY_EVER:
        yield 'It hardly ever speaks: few false ones are no merit then; the model is the limit.'
    before, after = result.calibration_error
    if before is not None and after is not None:
        scaling = result.scaling
        yield (
            f'Temperature {scaling.temperature:.3g}, offset {scaling.offset:+.3g}: a speak '
            f'probability of {threshold:g} comes true in {100 * float(scaling(threshold)):.0f} % '
            f'of seconds; expected calibration error {before:.3f} before, {after:.3f} after, '
            'held out.'
        )


def format_parameters(results: Sequence[Calibration], *, source: str) -> str:
    """
    Return a parameter file with the thresholds, and with what is known about them as comments.

    :param results: at most one of each kind.
    :param source: what it was made from, for the first line.
    """
    lines = [
        *_comment(f'Thresholds of the node roma, from {source}.', 0),
        '/**:',
        '  ros__parameters:',
    ]
    for result in results:
        for sentence in describe(result):
            lines += _comment(sentence, 4)
        # A float in YAML needs its point; the threshold is never a whole number.
        lines.append(f'    {PARAMETERS[result.kind]}: {result.trigger.threshold:.4f}')
    return '\n'.join(lines) + '\n'


def _verdict(result: Calibration) -> str:
    needed = result.needed_hours
    longer = '' if needed is None else f'; it would take about {_hours(needed)} like these'
    match result.verdict:
        case Verdict.PROMISED:
            return 'promised, with 95 % confidence, for streams like these.'
        case Verdict.LIKELY:
            return f'likely, but not sure{longer}.'
        case Verdict.TOO_SHORT:
            return (
                f'NOT PROMISED: {_hours(result.hours)} are too short to tell, even without one '
                f'false alert (rule of three){longer}.'
            )
        case Verdict.NOT_HELD:
            return 'NOT PROMISED: it did not hold on what it was not chosen on.'
        case Verdict.OUT_OF_REACH:
            return 'OUT OF REACH: no threshold keeps it; this one has the fewest.'


def _rate(rate: float) -> str:
    return f'{rate:.0f}' if rate >= 100 else f'{rate:.2g}'


def _hours(hours: float) -> str:
    if hours < 1 / 60:
        return f'{hours * 3600:.0f} s'
    return f'{hours * 60:.0f} min' if hours < 1 else f'{hours:.1f} h'


def _share(share: float | None) -> str:
    return 'none' if share is None else f'{100 * share:.0f} %'


def _comment(text: str, indent: int) -> list[str]:
    lead = ' ' * indent + '# '
    return [lead + line for line in textwrap.wrap(text, 99 - len(lead))]
