"""Pieces of the reports' pages: one style, rows of tracks, tables."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from .timeline import Track

# Texts in tables that are longer than this may go over several lines [characters].
_LONG_CHARS = 30


def style() -> str:
    """Return the style sheet of all reports; light and dark."""
    return files(__package__).joinpath('report.css').read_text(encoding='utf-8')


def row(track: Track, width: int) -> str:
    """Return a track with its name before it; ``width`` is that of the plot [px]."""
    return (
        f'<div class="row"><div class="name"><b>{escape(track.name)}</b>'
        f'<small title="{escape(track.note)}">{escape(track.note)}</small></div>'
        f'<svg class="plot" width="{width}" height="{track.height}">{track.svg}</svg></div>'
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> str:
    """
    Return a table.

    :param head: names of the columns.
    :param rows: texts; they are escaped here.
    :param empty: what to say without rows.
    """
    if not rows:
        return f'<p class="empty">{escape(empty)}</p>'
    header = ''.join(f'<th>{escape(cell)}</th>' for cell in head)
    body = ''.join(f'<tr>{"".join(_cell(cell) for cell in cells)}</tr>' for cells in rows)
    return f'<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>'


def _cell(text: str) -> str:
    # Only long texts may be broken.
    kind = ' class="long"' if len(text) > _LONG_CHARS else ''
    return f'<td{kind}>{escape(text)}</td>'
