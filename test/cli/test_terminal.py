import os
import pty
import termios

import pytest

from roma_ros.cli.terminal import BOLD, clip, PLAIN, Terminal


@pytest.fixture
def ends(monkeypatch):
    """Return our end of a pseudo-terminal of 10 columns and 3 rows, and its other as files."""
    monkeypatch.setenv('COLUMNS', '10')
    monkeypatch.setenv('LINES', '3')
    ours, theirs = pty.openpty()
    with (
        os.fdopen(theirs, closefd=False) as keyboard,
        open(theirs, 'w', encoding='utf-8', closefd=False) as screen,
    ):
        yield ours, screen, keyboard
    os.close(theirs)
    os.close(ours)


def read_until(ours, end):
    """Return what is written up to ``end``."""
    written = ''
    while not written.endswith(end):
        written += os.read(ours, 1000).decode()
    return written


def test_the_terminal_is_left_as_it_was_found(ends):
    ours, screen, keyboard = ends
    before = termios.tcgetattr(keyboard)
    during = []

    def fail():
        with Terminal(screen, keyboard):
            during.extend(termios.tcgetattr(keyboard))
            raise KeyError('inside')

    with pytest.raises(KeyError, match='inside'):
        fail()
    assert not during[3] & (termios.ECHO | termios.ICANON)
    assert during[3] & termios.ISIG  # Ctrl-C interrupts
    assert termios.tcgetattr(keyboard) == before
    written = read_until(ours, '\x1b[?1049l')
    assert written.startswith('\x1b[?1049h')
    assert '\x1b[?25l' in written
    assert '\x1b[?25h' in written


def test_pictures_are_cut_to_the_screen(ends):
    ours, screen, keyboard = ends
    with Terminal(screen, keyboard) as terminal:
        read_until(ours, '\x1b[?7l')
        terminal.show(
            [[(BOLD, 'bold'), (PLAIN, ' and plain')], [(PLAIN, 'two')], [], [(PLAIN, 'x')]]
        )
        written = read_until(ours, '\x1b[J').replace('\r\r\n', '\r\n')  # the tty adds one
    assert written == ('\x1b[H\x1b[1mbold\x1b[0m and …\x1b[K\r\ntwo\x1b[K\r\n\x1b[K\x1b[J')


def test_keys_come_at_once_and_the_end_is_told(ends):
    ours, screen, keyboard = ends
    with Terminal(screen, keyboard) as terminal:
        assert terminal.read_key(0.0) == ''
        os.write(ours, b'q')
        assert terminal.read_key(20.0) == 'q'


def test_no_keyboard_no_keys(ends, tmp_path):
    _, screen, _ = ends
    path = tmp_path / 'keys'
    path.write_text('q')
    with path.open() as keyboard, Terminal(screen, keyboard) as terminal:
        assert terminal.read_key(0.0) == ''


@pytest.mark.parametrize(
    ('text', 'columns', 'expected'),
    [
        ('abcde', 5, 'abcde'),
        ('abcdef', 5, 'abcd…'),
        ('日本語', 6, '日本語'),
        ('日本語', 5, '日本…'),
        ('日本語', 4, '日…'),
        ('e\u0301te\u0301', 3, 'e\u0301te\u0301'),
        ('abc', 0, ''),
        ('', 5, ''),
    ],
)
def test_texts_are_clipped_by_their_columns(text, columns, expected):
    assert clip(text, columns) == expected
