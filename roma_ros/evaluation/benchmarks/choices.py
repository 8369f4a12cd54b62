"""Multiple choice: how it is asked, and which option an answer means."""

from collections.abc import Mapping, Sequence
import re

import numpy as np

from ..metrics.ovo_bench import strict_choice_right

_LABEL = re.compile(r'^\s*\(?([A-Z])[).:]\s*')


def plain_options(options: Sequence[str]) -> list[str]:
    """Return the texts of options, without the ``A.`` or ``(A)`` that some sets write before."""
    return [_LABEL.sub('', _one_line(option)) for option in options]


def typed_choice(question: str, options: Sequence[str]) -> str:
    """
    Put a question and its options on one line, as a session reads it.

    :param question: the words.
    :param options: their texts, with or without letters.
    """
    listed = ' '.join(f'{letter(i)}. {text};' for i, text in enumerate(plain_options(options)))
    return (
        f'Question: {_one_line(question)} Options: {listed} '
        'Answer with the letter of the right option alone.'
    )


def spoken_choice(question: str, options: Sequence[str]) -> str:
    """Put a question and its options into one spoken sentence."""
    texts = [text.rstrip('.') for text in plain_options(options)]
    listed = ', '.join(f'{letter(i)}: {text}' for i, text in enumerate(texts))
    return f'{_one_line(question)} The options are {listed}.'


def letter(index: int) -> str:
    """Return the letter of the option of that place."""
    return chr(ord('A') + index)


def chosen(response: str | None, options: Sequence[str]) -> str | None:
    """
    Return the letter of the option that an answer means.

    The first letter that stands alone; without one, the option whose text is in the answer, the
    longest of several. This project's own: published figures of spoken questions are judged by
    GPT-4o, and the two cannot be compared.

    :param response: what was said; None: nothing.
    :param options: their texts.
    """
    if response is None:
        return None
    texts = plain_options(options)
    for index in range(len(texts)):
        # An answer may begin with the word "A": as a letter it stands before a stop or alone.
        if strict_choice_right(_without_article(response), letter(index)):
            return letter(index)
    said = _normal(response)
    inside = [i for i, text in enumerate(texts) if _normal(text) and _normal(text) in said]
    return letter(max(inside, key=lambda i: len(texts[i]))) if inside else None


def first_letter_right(response: str | None, answer: str) -> bool:
    """
    Judge as StreamingBench does: the first character of the answer is the letter.

    Source: ``src/data/count.py`` of github.com/THUNLP-MT/StreamingBench. Trap: ``The answer is
    C`` is wrong, and ``All of them`` is A; answers that are empty are not counted there, here
    they are wrong.

    :param response: what was said; None: nothing.
    :param answer: the letter.
    """
    return (response or '').strip()[:1] == answer


def shares(right: Mapping[str, Sequence[bool]], *, mean: str) -> dict[str, float]:
    """
    Return the share of right answers of each task [%], and the mean over tasks.

    :param right: for each task, whether each answer was right.
    :param mean: what the mean over tasks is called; left out where there is no task.
    """
    figures = {task: 100 * float(np.mean(values)) for task, values in right.items() if values}
    return figures | ({mean: float(np.mean(list(figures.values())))} if figures else {})


def _one_line(text: str) -> str:
    return ' '.join(text.split())


def _normal(text: str) -> str:
    return ' '.join(re.findall(r'\w+', text.lower()))


def _without_article(text: str) -> str:
    """Take the word "A" out where another word follows: ``A dog`` names no option."""
    return re.sub(r'\bA (?=[a-z])', '', text)
