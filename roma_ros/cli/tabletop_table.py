"""The table of tabletop figures: models, people and trivial baselines, one below the other."""

from collections.abc import Iterator
from typing import Any


def tabletop_table(figures: dict[str, Any]) -> Iterator[str]:
    """
    Yield the lines of the table: one a system, first the one that the figures are of.

    :param figures: of :func:`..evaluation.benchmarks.tabletop_run.evaluate_tabletop`.
    """
    head = 'alert F1,sight,sound,joint,delay s,false/h,time F1,slots,spoken,typed,silent/h'
    yield f'{"":<30}' + ''.join(f'{name:>9}' for name in head.split(','))
    rows = {figures['model']['name']: figures} | figures['baselines']
    for name, row in rows.items():
        alert, narration = row.get('alert', {}), row.get('narration', {})
        questions, silent = row.get('questions', {}), row.get('silent', {})
        senses = alert.get('by_sense', {})
        values = (
            alert.get('f1'),
            *(senses.get(sense) for sense in ('sight', 'sound', 'joint')),
            alert.get('delay_s_median'),
            alert.get('false_alerts_per_hour'),
            narration.get('time_f1'),
            narration.get('slot_accuracy'),
            questions.get('spoken'),
            questions.get('typed'),
            silent.get('false_alerts_per_hour'),
        )
        yield f'{name:<30}' + ''.join(
            f'{"":>9}' if value is None else f'{value:9.3g}' for value in values
        )
    if 'speech' in figures:
        yield _speech_words(figures['speech'])


def _speech_words(figures: dict[str, Any]) -> str:
    def number(name: str, unit: str = '') -> str:
        value = figures[name]
        return '-' if value is None else f'{value:.3g}{unit}'

    return (
        f'speech: due {number("due_share")}; '
        f'interruptions {number("interruptions_per_hour", " an hour")}; '
        f'first word after {number("first_word_median_s", " s")} '
        f'(p90 {number("first_word_p90_s", " s")}), unanswered {number("unanswered_rate")}'
    )
