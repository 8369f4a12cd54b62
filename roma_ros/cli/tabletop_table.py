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
