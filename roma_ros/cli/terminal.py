"""A terminal as a screen: whole pictures out, keys in, left as it was found."""

from contextlib import suppress
import os
import select
import shutil
import sys
import termios
import tty
from types import TracebackType
from typing import Any, TextIO
import unicodedata

# The other screen, without cursor and without line wrap; and back. Any terminal of the last
# decades knows these, over ssh too.
_ENTER, _LEAVE = '\x1b[?1049h\x1b[?25l\x1b[?7l', '\x1b[?7h\x1b[?25h\x1b[?1049l'
_HOME, _CLEAR_LINE, _CLEAR_BELOW = '\x1b[H', '\x1b[K', '\x1b[J'

#: How text may look; the only escapes that are ever written between the texts.
PLAIN, BOLD, DIM, RED, YELLOW, GREEN = '', '1', '2', '31', '33', '32'

#: A piece of a line: how it looks, and what it says.
Piece = tuple[str, str]


class Terminal:
    """
    The terminal inside ``with``.

    :param screen: where to draw.
    :param keyboard: where keys come from; where it is no terminal, there are none.
    """

    def __init__(self, screen: TextIO = sys.stdout, keyboard: TextIO = sys.stdin) -> None:
        self._screen = screen
        self._keyboard = keyboard
        self._settings: list[Any] | None = None

    def __enter__(self) -> 'Terminal':
        if self._keyboard.isatty():
            self._settings = termios.tcgetattr(self._keyboard)
            tty.setcbreak(self._keyboard)  # keys at once and unseen; Ctrl-C still interrupts
        self._write(_ENTER)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # the connection may be gone, and its screen with it
            self._write(_LEAVE)
        if self._settings is not None:
            termios.tcsetattr(self._keyboard, termios.TCSADRAIN, self._settings)

    @property
    def size(self) -> tuple[int, int]:
        """Return columns and rows as they are now."""
        size = shutil.get_terminal_size()
        return size.columns, size.lines

    def show(self, lines: list[list[Piece]]) -> None:
        """Draw a picture over the last one; what does not fit is cut off."""
        columns, rows = self.size
        drawn = [_draw(line, columns) + _CLEAR_LINE for line in lines[:rows]]
        self._write(_HOME + '\r\n'.join(drawn) + _CLEAR_BELOW)

    def read_key(self, timeout_s: float) -> str:
        """
        Wait for keys.

        :return: what was typed; empty after the timeout.
        :raises EOFError: when the terminal is gone.
        """
        if self._settings is None:
            select.select([], [], [], timeout_s)
            return ''
        if not select.select([self._keyboard], [], [], timeout_s)[0]:
            return ''
        try:
            typed = os.read(self._keyboard.fileno(), 64)
        except OSError as error:
            raise EOFError from error
        if not typed:
            raise EOFError
        return typed.decode('ascii', 'replace')

    def _write(self, text: str) -> None:
        encoding = self._screen.encoding or 'ascii'
        self._screen.flush()
        data = text.encode(encoding, 'replace')
        while data:  # a slow line takes it piece by piece
            data = data[os.write(self._screen.fileno(), data) :]


def clip(text: str, columns: int) -> str:
    """
    Return as much of a text as fits, with … where it was cut.

    :param text: printable characters, some of which are two columns wide.
    :param columns: how many there are.
    """
    if columns <= 0:
        return ''
    used, end = 0, 0
    for index, char in enumerate(text):
        used += char_columns(char)
        if used > columns:
            return text[:end] + '…'
        if used < columns:
            end = index + 1
    return text


def char_columns(char: str) -> int:
    """Return how many columns of a terminal a character takes."""
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in 'WF' else 1


def _draw(line: list[Piece], columns: int) -> str:
    drawn = ''
    for look, text in line:
        shown = clip(text, columns)
        columns -= sum(map(char_columns, shown))
        drawn += f'\x1b[{look}m{shown}\x1b[0m' if look else shown
    return drawn
