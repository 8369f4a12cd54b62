"""What ``roma watch`` shows: one picture of a running node, as lines of text."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .progress import bar, plain
from .terminal import BOLD, char_columns, DIM, GREEN, Piece, PLAIN, RED, YELLOW

if TYPE_CHECKING:
    from ..nodes.watching import Diagnosis, Said, Series, View

_LEVELS = '▁▂▃▄▅▆▇█'
_DIAGNOSIS = {0: (GREEN, 'ok   '), 1: (YELLOW, 'warn '), 2: (RED, 'ERROR'), 3: (YELLOW, 'stale')}
_STATE_LOOKS = {'active': GREEN, 'error': RED}
# Columns of the figures behind the bars.
_FIGURES_COLUMNS = 28

Line = list[Piece]


def draw(view: 'View', *, columns: int, rows: int) -> list[Line]:
    """
    Draw a node.

    :param view: what is known of it.
    :param columns: width of the screen.
    :param rows: height of the screen; the newest of the transcript take what is left.
    :return: at most ``rows`` lines.
    """
    if not view.present:
        lines = _absent(view)
    else:
        lines = _head(view)
        scores = [line for series in view.series for line in _score(series, columns)]
        if not scores:
            scores = [[(DIM, '  nothing yet: a score comes with each second of the stream')]]
        lines += [[], [(BOLD, 'speak probability'), (DIM, '  a column a second, | threshold')]]
        lines += scores
        diagnoses = [[], [(BOLD, 'diagnostics')], *map(_diagnosis, view.diagnoses)]
        left = rows - len(lines) - len(diagnoses) - 3
        if left < 3:  # a small screen: what is well can be left out
            bad = [d for d in view.diagnoses if d.level]
            diagnoses = [[], [(BOLD, 'diagnostics')], *map(_diagnosis, bad)] if bad else []
            left = rows - len(lines) - len(diagnoses) - 3
        lines += [[], [(BOLD, 'transcript')], *_transcript(view.transcript, columns, left)]
        lines += diagnoses
    return [*lines[: rows - 1], [(DIM, 'q quits')]]


def _head(view: 'View') -> list[Line]:
    title: Line = [(BOLD, f'roma {view.node}  ')]
    status = view.status
    if status is None:
        return [[*title, (YELLOW, 'is there, but has not told its status yet')]]
    title.append((_STATE_LOOKS.get(view.state, YELLOW), view.state))
    if status.detail:
        title.append((PLAIN, f'  {plain(status.detail)}'))
    if view.is_old:
        title.append((RED, '  no status for more than 5 s: is the node hanging, or gone?'))
    model = plain(status.model.rstrip('/').rpartition('/')[2])
    dropped = status.units_dropped
    return [
        title,
        [(DIM, f'{model} by {plain(status.engine)} on {plain(status.device)}')] if model else [],
        [
            (PLAIN, f'units {status.units}'),
            (RED if dropped else PLAIN, f'  dropped {dropped}'),
            (PLAIN, f'  queue {status.queue_length} of {status.queue_capacity}'),
            (PLAIN, f'  cache {status.cache_tokens} of {status.cache_capacity}'),
        ],
        [
            (PLAIN, f'latency {view.latency_ms:.0f} ms'),
            (PLAIN, f', median {status.unit_latency_p50_ms:.0f}'),
            (PLAIN, f', p95 {status.unit_latency_p95_ms:.0f} ms'),
            (PLAIN, f'  compute {status.unit_compute_p50_ms:.0f}'),
            (PLAIN, f', p95 {status.unit_compute_p95_ms:.0f} ms'),
        ],
    ]


def _absent(view: 'View') -> list[Line]:
    lines: list[Line] = [
        [(BOLD, f'no node {view.node} here')],
        [],
        [(PLAIN, 'start it: roma run, or ros2 launch roma_ros roma.launch.py')],
        [(PLAIN, 'it may be in another ROS_DOMAIN_ID, or beyond this machine; roma doctor tells')],
    ]
    if view.others:
        lines += [[], [(PLAIN, 'there are:')]]
        lines += [[(PLAIN, f'  roma watch --node {name}')] for name in view.others]
    return lines


def _score(series: 'Series', columns: int) -> Iterable[Line]:
    newest = series.points[-1]
    name = series.text or {'narration': 'narrate', 'answer': 'answer a question'}.get(
        series.kind, series.instruction_id
    )
    yield [(PLAIN, '  '), (BOLD, f'{plain(series.instruction_id)}  '), (DIM, plain(name))]
    history: Line = [(PLAIN, '  ')]
    width = max(columns - _FIGURES_COLUMNS - 2, 1)
    for point in series.points[-width:]:
        level = min(int(point.probability * len(_LEVELS)), len(_LEVELS) - 1)
        over = point.probability >= point.threshold
        look = RED if point.triggered else YELLOW if over else PLAIN
        history.append((look, _LEVELS[level]))
    padding = ' ' * (width - min(len(series.points), width))
    figures = f' {bar(newest.probability, newest.threshold)} '
    figures += f'{newest.probability:.2f} of {newest.threshold:.2f}'
    yield [history[0], (PLAIN, padding), *history[1:], (PLAIN, figures)]


def _transcript(said: tuple['Said', ...], columns: int, rows: int) -> list[Line]:
    lines: list[Line] = []
    for utterance in reversed(said):
        head = f'{utterance.unit_index:6d} s  {utterance.kind:<10}'
        text = plain(utterance.text).strip() + ('' if utterance.final else ' …')
        wrapped = _wrap(text, max(columns - len(head), 10))
        block: list[Line] = [[(DIM, head), (PLAIN, wrapped[0])]]
        block += [[(PLAIN, ' ' * len(head) + rest)] for rest in wrapped[1:]]
        if lines and len(lines) + len(block) > rows:
            break
        lines = block + lines
    return lines[-max(rows, 1) :] or [[(DIM, '  nothing was said yet')]]


def _wrap(text: str, columns: int) -> list[str]:
    """Break a text into lines, at spaces where there are any."""
    lines, used = [''], 0
    for word in text.split(' '):
        width = sum(map(char_columns, word))
        if used and used + 1 + width > columns:
            lines.append('')
            used = 0
        elif used:
            lines[-1] += ' '
            used += 1
        for char in word:
            if used + char_columns(char) > columns:
                lines.append('')
                used = 0
            lines[-1] += char
            used += char_columns(char)
    return lines


def _diagnosis(diagnosis: 'Diagnosis') -> Line:
    look, word = _DIAGNOSIS.get(diagnosis.level, (YELLOW, '?    '))
    text = f'  {plain(diagnosis.name)}: {plain(diagnosis.message)}'
    return [(PLAIN, '  '), (look, word), (PLAIN, text)]
