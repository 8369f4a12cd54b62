import os
from pathlib import Path

import pytest

from roma_ros.evaluation.baselines import BEGIN, END, format_table, main, metrics
from roma_ros.evaluation.trivial import BASELINES

DOCUMENT = Path(__file__).resolve().parents[2] / 'docs' / 'evaluation.md'


@pytest.fixture(scope='module')
def table():
    return format_table()


def rows(text):
    return [line for line in text.splitlines() if line.startswith('|')]


def documented():
    return rows(DOCUMENT.read_text(encoding='utf-8').split(BEGIN)[1].split(END)[0])


def test_the_document_has_the_figures_that_are_computed(table):
    shown = documented()
    computed = rows(table)
    assert computed[:2] == shown[:2]
    assert computed[2:] == [row for row in shown[2:] if not row.startswith('| QVHighlights')]


def test_the_document_has_the_figures_of_qvhighlights():
    folder = Path(os.environ.get('ROMA_TEST_DATA', '')) / 'qvhighlights'
    if 'ROMA_TEST_DATA' not in os.environ or not folder.is_dir():
        pytest.skip('ROMA_TEST_DATA names no folder with qvhighlights/')
    shown = [row for row in documented() if row.startswith('| QVHighlights')]
    assert len(shown) == 4
    computed = metrics(folder)
    for row in shown:
        name, *cells = [cell.strip() for cell in row.strip('|').split('|')]
        assert cells == [f'{computed[name](baseline):.1f}' for baseline in BASELINES]


@pytest.mark.parametrize(
    ('name', 'baseline', 'low', 'high'),
    [
        ('OVO-Bench REC (ROMA) [%]', 'always', 100, 100),
        ('narration time-F1, YouCook2 and SSR (ROMA) [%]', 'every 20 s', 70, 90),
        ('missed rate [%]', 'never', 100, 100),
        ('missed rate [%]', 'always', 0, 0),
        ('false alerts per hour', 'never', 0, 0),
        ('false alerts per hour', 'always', 3300, 3600),
        ('ROC AUC [%]', 'random', 48, 52),
        ('average precision [%]', 'random', 4, 6),
    ],
)
def test_what_the_text_says_of_them(table, name, baseline, low, high):
    column = [b.name for b in BASELINES].index(baseline)
    row = next(line for line in rows(table) if line.startswith(f'| {name} '))
    assert low <= float(row.strip('|').split('|')[column + 1]) <= high


def test_a_document_is_written_between_its_marks(tmp_path, capsys):
    path = tmp_path / 'doc.md'
    path.write_text(f'before\n{BEGIN}\nold\n{END}\nafter\n')
    assert main(['--write', str(path)]) == 0
    text = path.read_text()
    assert text.startswith(f'before\n{BEGIN}\n| metric |')
    assert text.endswith(f'\n{END}\nafter\n')
    assert 'old' not in text
    assert main([]) == 0
    assert capsys.readouterr().out.startswith('| metric |')
