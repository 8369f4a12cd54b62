"""
OVO-Bench: questions about the past, the present and the future of a stream.

Official definitions from ``utils/OVOBenchScore.py`` of github.com/JoeLeelyf/OVO-Bench (Li et al.,
CVPR 2025), where the online evaluation is empty: the forward tasks are judged offline there, by
asking again and again. ROMA's forms of REC, CRR and SSR are streaming ones of its own (paper
A.3); the figures of the two forms cannot be compared.
"""

from collections.abc import Mapping, Sequence
import re

import numpy as np

from .spans import check_spans, check_times, Span

#: Tasks by mode; the official total is the mean over modes of the mean over tasks.
TASKS: dict[str, tuple[str, ...]] = {
    'backward': ('EPM', 'ASI', 'HLD'),
    'realtime': ('OCR', 'ACR', 'ATR', 'STU', 'FPD', 'OJR'),
    'forward': ('REC', 'SSR', 'CRR'),
}
#: The paper's presets for REC and CRR (A.3): threshold and units in a row.
ROMA_FORWARD = (0.7, 2)


def choice_right(response: str | None, letter: str) -> bool:
    """
    Judge a multiple choice answer (backward and real-time tasks), officially.

    Right iff the letter is anywhere in the response. Traps: ``Answer: C`` holds an A; ``A, B, C
    or D`` is always right, and so is the alphabet. Ask for the letter alone, and report
    :func:`strict_choice_right` beside it.

    :param response: what the model said; None: nothing.
    :param letter: the true option.
    """
    return response is not None and letter in response


def strict_choice_right(response: str | None, letter: str) -> bool:
    """
    Judge a multiple choice answer without gifts: the first letter that stands alone counts.

    This project's own: not the official definition.

    :param response: what the model said.
    :param letter: the true option.
    """
    alone = re.search(r'(?<![A-Za-z])[A-Z](?![A-Za-z])', response or '')
    return alone is not None and alone.group() == letter


def count_right(response: str | None, count: int) -> bool:
    """
    Judge REC officially: all digits of the response in a row are the count.

    Trap: ``between 1 and 2`` says 12, and ``three`` says nothing.

    :param response: what the model said at one probe time.
    :param count: how often it had happened.
    """
    return response is not None and ''.join(re.findall(r'\d+', response)) == str(count)


def probe_right(response: str | None, *, positive: bool) -> bool:
    """
    Judge SSR and CRR officially: ``Yes`` or ``No`` is in the response, or it is ``Y`` or ``N``.

    Traps: case counts; ``No`` is in ``Not yet`` and in ``Now``. Saying Yes always gets the share
    of positive probes.

    :param response: what the model said at one probe time.
    :param positive: whether Yes is true there (``type`` 1).
    """
    if response is None:
        return False
    return response == ('Y' if positive else 'N') or ('Yes' if positive else 'No') in response


def task_means(right: Mapping[str, Sequence[bool]]) -> dict[str, float]:
    """
    Average as the official script does.

    Each task is the mean over its answers (forward: over all probes of all samples), each mode
    the mean over its tasks, and the total the mean over modes: a task of 50 samples weighs as much
    as one of 500. Modes without any task are left out, the total is given only when all three are
    there.

    :param right: for each task (``EPM``...) whether each answer was right.
    :return: shares 0..1 by task, by mode (``backward``...), and ``total``.
    :raises ValueError: for a task that is not known.
    """
    known = [task for tasks in TASKS.values() for task in tasks]
    unknown = sorted(set(right) - set(known))
    if unknown:
        raise ValueError(f'there are no tasks {unknown}; tasks: {", ".join(known)}')
    means = {task: float(np.mean(right[task])) for task in known if right.get(task)}
    modes = {
        mode: float(np.mean([means[task] for task in tasks if task in means]))
        for mode, tasks in TASKS.items()
        if any(task in means for task in tasks)
    }
    total = {'total': float(np.mean(list(modes.values())))} if len(modes) == len(TASKS) else {}
    return means | modes | total


def rec_hits(responses_s: Sequence[float], intervals: Sequence[Span]) -> list[bool]:
    """
    Judge REC as ROMA does: one point for each interval with a response inside, both ends included.

    Source: paper A.3 ("micro success": hits over intervals, over all samples); the script is not
    released. Traps: responses outside cost nothing, so one every second gets 100 %; the count
    itself is not asked for.

    :param responses_s: when the model responded.
    :param intervals: each repetition: ``start_times`` and ``end_times``.
    """
    check_times(responses_s, what='the model')
    check_spans(intervals, what='the annotation')
    return [any(start <= t <= end for t in responses_s) for start, end in intervals]


def crr_right(responses_s: Sequence[float], *, ask_time_s: float, clue_time_s: float) -> bool:
    """
    Judge CRR as ROMA does: the first response after being asked comes after the clue.

    Source: paper A.3; the script is not released. Right iff the first response later than
    ``ask_time`` is later than ``clue_time``; none is wrong. Traps: there is no upper bound, so
    waiting for the end of the stream is always right; what is said does not count.

    :param responses_s: when the model responded, in any order.
    :param ask_time_s: when it was asked.
    :param clue_time_s: when the answer could be known.
    """
    check_times([*responses_s, ask_time_s, clue_time_s], what='the sample')
    after = [time_s for time_s in responses_s if time_s > ask_time_s]
    return bool(after) and min(after) > clue_time_s
