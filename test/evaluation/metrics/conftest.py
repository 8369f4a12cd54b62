"""The official sample of QVHighlights, where it is."""

import json
import os
from pathlib import Path

import pytest


@pytest.fixture(scope='session')
def qvhighlights():
    """Return ground truth, predictions and the official result of Moment-DETR's sample."""
    folder = Path(os.environ.get('ROMA_TEST_DATA', '')) / 'qvhighlights'
    if 'ROMA_TEST_DATA' not in os.environ or not folder.is_dir():
        pytest.skip(
            'ROMA_TEST_DATA names no folder with qvhighlights/ (annotations under CC BY-NC-SA '
            'are not part of this repository)'
        )

    def lines(name):
        return [json.loads(line) for line in (folder / name).read_text().splitlines()]

    return (
        lines('highlight_val_release.jsonl'),
        {item['qid']: item for item in lines('sample_val_preds.jsonl')},
        json.loads((folder / 'sample_val_preds_metrics_raw.json').read_text())['brief'],
    )
