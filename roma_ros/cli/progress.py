"""One line that says how far the work is."""

import shutil
import sys
import time
from typing import TextIO

_BAR_CELLS = 12
# Where the line cannot be written over, a new one comes this often [s].
_LINE_PERIOD_S = 5.0


class ProgressLine:
    """
    Write a line over and over on a terminal, now and then elsewhere.

    :param stream: where to write; a terminal is written over.
    """

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._next_s = 0.0
        self._shown = ''

    def show(self, text: str) -> None:
        """Show the newest state."""
        if self._terminal:
            width = shutil.get_terminal_size().columns
            self._shown = text[: width - 1]
            self._stream.write('\r\x1b[K' + self._shown)
            self._stream.flush()
        elif text != self._shown and time.monotonic() >= self._next_s:
            self._shown, self._next_s = text, time.monotonic() + _LINE_PERIOD_S
            self._stream.write(text + '\n')
            self._stream.flush()

    def finish(self) -> None:
        """Leave the line as it is and go on below it."""
        if self._terminal and self._shown:
            self._stream.write('\n')
            self._stream.flush()
        self._shown = ''


def bar(value: float, mark: float) -> str:
    """
    Draw a number between 0 and 1, with a mark.

    :param value: length of the bar.
    :param mark: place of the mark.
    """
    filled = round(min(max(value, 0.0), 1.0) * _BAR_CELLS)
    cells = ['█'] * filled + ['░'] * (_BAR_CELLS - filled)
    if 0 < mark < 1:
        cells[min(int(mark * _BAR_CELLS), _BAR_CELLS - 1)] = '│'
    return ''.join(cells)


def plain(text: str) -> str:
    """Replace what could move the cursor: a text from a model is data."""
    return ''.join(char if char.isprintable() else ' ' for char in text)
