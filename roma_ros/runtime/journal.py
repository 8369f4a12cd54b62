"""What was said and asked, for longer than the cache can hold it."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
import re

#: Entries that are kept: some hours of a talkative robot, about 1 MB.
MAX_ENTRIES = 4096
#: Entries that one question brings back.
MAX_RECALLED = 5
_WORD = re.compile(r'\w{3,}')


@dataclass(frozen=True, eq=False)
class Entry:
    """
    One thing that was said.

    :param time_ns: capture time of the unit that it followed [ns].
    :param who: how the network is told of it, as in ``you said``.
    :param text: in words.
    :param is_remembered: tells whether the transcript still holds it.
    """

    time_ns: int
    who: str
    text: str
    is_remembered: Callable[[], bool]


class Journal:
    """
    A bounded record of utterances, alerts and questions, with their times.

    A question brings back the entries that share most words with it and that the transcript no
    longer holds, the newest first where it makes no difference. What was seen and never said is
    not here: a summary of it would be added as entries.
    """

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=MAX_ENTRIES)

    def add(
        self, time_ns: int, who: str, text: str, is_remembered: Callable[[], bool] = lambda: False
    ) -> None:
        """Record something; empty text is left out."""
        if text.strip():
            self.entries.append(Entry(time_ns, who, text.strip(), is_remembered))

    def recall(self, question: str, now_ns: int) -> list[str]:
        """
        Return what bears on a question and is forgotten, in order of time, a line each.

        :param question: in words.
        :param now_ns: capture time of now [ns].
        """
        words = _words(question)
        forgotten = [e for e in self.entries if not e.is_remembered()]
        # Sorting is stable: of equals, the newest come last, and are taken first.
        best = sorted(forgotten, key=lambda e: len(words & _words(e.text)))[-MAX_RECALLED:]
        best.sort(key=lambda entry: entry.time_ns)
        return [f'{_ago(now_ns - e.time_ns)} ago {e.who}: {e.text}' for e in best]

    def clear(self) -> None:
        """Forget everything."""
        self.entries.clear()


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


def _ago(duration_ns: int) -> str:
    seconds = max(0, duration_ns // 1_000_000_000)
    if seconds < 120:
        return f'{seconds} seconds'
    if seconds < 7200:
        return f'{seconds // 60} minutes'
    return f'{seconds // 3600} hours'
