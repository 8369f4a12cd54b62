import io

import pytest

from roma_ros.cli.progress import bar, plain, ProgressLine


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_terminal_line_is_written_over(monkeypatch):
    monkeypatch.setenv('COLUMNS', '20')
    stream = Terminal()
    line = ProgressLine(stream)
    line.show('first')
    line.show('x' * 50)
    line.finish()
    # Never as wide as the terminal, or it would wrap and stay.
    assert stream.getvalue() == '\r\x1b[Kfirst\r\x1b[K' + 'x' * 19 + '\n'


def test_elsewhere_lines_come_now_and_then():
    stream = io.StringIO()
    line = ProgressLine(stream)
    for number in range(100):
        line.show(f'state {number}')
    line.finish()
    assert stream.getvalue() == 'state 0\n'


def test_nothing_shown_leaves_nothing():
    stream = Terminal()
    ProgressLine(stream).finish()
    assert stream.getvalue() == ''


@pytest.mark.parametrize(
    ('value', 'mark', 'drawn'),
    [
        (0.0, 0.5, '░░░░░░│░░░░░'),
        (1.0, 0.5, '██████│█████'),
        (0.5, 0.99, '██████░░░░░│'),
        (7.0, 0.0, '████████████'),
        (-1.0, 2.0, '░░░░░░░░░░░░'),
    ],
)
def test_bar(value, mark, drawn):
    assert bar(value, mark) == drawn


def test_text_cannot_move_the_cursor():
    assert plain('a\x1b[2Jb\nc\rd') == 'a [2Jb c d'
