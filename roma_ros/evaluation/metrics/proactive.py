"""OmniMMI Proactive Alerting and StreamingBench Proactive Output: speak at the right time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .spans import check_spans, check_times, Span

#: StreamingBench: how far from the true time an output still is in time [s].
TIME_TOLERANCE_S = 2.0
#: The paper's presets (A.3): threshold and units in a row.
OMNIMMI_PA = (0.5, 5)
STREAMINGBENCH_PO = (0.2, 4)


class Outcome(Enum):
    """What became of one sample: when it was spoken first."""

    CORRECT = 'correct'
    EARLY = 'early'
    LATE = 'late'
    MISSED = 'missed'


def triggers_in_a_row(probabilities: npt.ArrayLike, *, threshold: float, window: int) -> list[int]:
    """
    Return each second that ends ``window`` seconds in a row at or above the threshold.

    Source: ``get_trigger_events`` in ROMA's ``eval/proactive/omnimmi/eval_window.py``: without
    rest and without hysteresis, so one long event triggers many times. NaN is below.

    :param probabilities: raw, one a second.
    :param threshold: from where on a second counts.
    :param window: how many in a row; at least 1.
    """
    if window < 1:
        raise ValueError(f'window is {window}, expected at least 1')
    high = np.asarray(probabilities, np.float64) >= threshold
    run, triggers = 0, []
    for second, is_high in enumerate(high.tolist()):
        run = run + 1 if is_high else 0
        if run >= window:
            triggers.append(second)
    return triggers


def interval_outcome(first_s: float | None, span: Span) -> Outcome:
    """
    Judge the first time that was spoken against a closed span.

    Source: ROMA's ``eval_window.py`` (OmniMMI PA) and ``eval_spo.py`` (StreamingBench PO): correct
    iff start <= first <= end; what came later does not count. OmniMMI's own script has the same
    rule, see :func:`alerting_score`. Traps: one early word loses the sample; ROMA's time is the
    index of a second (its begin), a session speaks at its end.

    :param first_s: when it was spoken first; None: never.
    :param span: when it was due [s].
    """
    check_spans([span], what='the annotation')
    if first_s is None:
        return Outcome.MISSED
    if first_s < span[0]:
        return Outcome.EARLY
    return Outcome.LATE if first_s > span[1] else Outcome.CORRECT


@dataclass(frozen=True)
class OutcomeShares:
    """
    Shares of samples, 0..1.

    :param accuracy: correct ones: ROMA's PA and PO.
    :param repeated: with triggers in at least two groups apart, whatever the outcome.
    """

    accuracy: float
    early: float
    late: float
    missed: float
    repeated: float
    count: int


def interval_accuracy(
    samples: Sequence[tuple[npt.ArrayLike, Span]], *, threshold: float, window: int
) -> OutcomeShares:
    """
    Judge scores of one a second by ROMA's interval rule; see :func:`interval_outcome`.

    For StreamingBench PO this is *not* the official metric (:func:`po_accuracy`): the paper
    says ±2 s, the released script has intervals.

    :param samples: raw probabilities of one a second, and when it was due.
    :param threshold: as in :func:`triggers_in_a_row`.
    :param window: likewise.
    :raises ValueError: without samples.
    """
    if not samples:
        raise ValueError('there are no samples to judge')
    outcomes: Counter[Outcome] = Counter()
    num_repeated = 0
    for probabilities, span in samples:
        triggers = triggers_in_a_row(probabilities, threshold=threshold, window=window)
        outcomes[interval_outcome(triggers[0] if triggers else None, span)] += 1
        num_repeated += any(later - earlier > 1 for earlier, later in pairwise(triggers))
    count = len(samples)
    return OutcomeShares(
        accuracy=outcomes[Outcome.CORRECT] / count,
        early=outcomes[Outcome.EARLY] / count,
        late=outcomes[Outcome.LATE] / count,
        missed=outcomes[Outcome.MISSED] / count,
        repeated=num_repeated / count,
        count=count,
    )


@dataclass(frozen=True)
class AlertingScore:
    """
    OmniMMI PA by its own script: shares 0..1, means over samples.

    :param accuracy: the first response is in the span.
    :param precision: share of a sample's responses in the span.
    :param mean_iou: overlap of the span with that from the first to the last response.
    """

    accuracy: float
    precision: float
    mean_iou: float
    count: int


def alerting_score(samples: Sequence[tuple[Sequence[float], Span]]) -> AlertingScore:
    """
    Judge OmniMMI Proactive Alerting by the official definition.

    Source: ``evaluations/evaluate.py --benchmark_name pa`` of github.com/OmniMMI/OmniMMI. The span
    is closed; a sample without responses has 0 in all three. Its driver drops responses before
    second 1. Traps: the accuracy sees the first response alone; the overlap is over the hull, and
    0 for a single response, so it rewards to go on speaking until the end.

    :param samples: when the model responded, in order, and when it was due.
    :raises ValueError: without samples, or when a time or span is none.
    """
    if not samples:
        raise ValueError('there are no samples to judge')
    right, inside, overlaps = 0, 0.0, 0.0
    for times_s, (start_s, end_s) in samples:
        check_times(times_s, what='the model')
        check_spans([(start_s, end_s)], what='the annotation')
        given = [time_s for time_s in times_s if time_s >= 1]
        if not given:
            continue
        hits = [start_s <= time_s <= end_s for time_s in given]
        right += hits[0]
        inside += sum(hits) / len(hits)
        hull = max(given[-1], end_s) - min(given[0], start_s)
        both = min(given[-1], end_s) - max(given[0], start_s)
        overlaps += max(0.0, both) / hull if hull else 0.0
    count = len(samples)
    return AlertingScore(right / count, inside / count, overlaps / count, count)


@dataclass(frozen=True)
class ProactiveOutput:
    """
    One StreamingBench PO sample.

    :param time_s: when the model put something out first after being asked; None: never.
    :param text: what it put out.
    :param true_time_s: ``ground_truth_time_stamp``.
    :param true_text: ``ground_truth_output``.
    """

    time_s: float | None
    text: str
    true_time_s: float
    true_text: str

    @property
    def in_time(self) -> bool:
        """Whether it came within 2 s before or after, both included."""
        return self.time_s is not None and (
            -TIME_TOLERANCE_S <= self.time_s - self.true_time_s <= TIME_TOLERANCE_S
        )

    @property
    def correct(self) -> bool:
        """Whether it came in time and holds the true text as it is, letter by letter."""
        return self.in_time and self.true_text in self.text


@dataclass(frozen=True)
class PoAccuracy:
    """Shares of samples, 0..1: in time, and in time with the right text."""

    time: float
    answer: float
    count: int


def po_accuracy(outputs: Sequence[ProactiveOutput]) -> PoAccuracy:
    """
    Judge StreamingBench Proactive Output by the official definition.

    Source: ``src/data/count.py --task proactive`` of github.com/THUNLP-MT/StreamingBench: in time
    iff -2 <= time - truth <= 2; the answer is right iff besides the true output is a substring.
    The official driver polls every second until truth + 4 s, and counts the last poll's time;
    a streaming model's first output after the question stands in its place. Traps: 2 s *before*
    the event counts, so a lucky guess is right; silence is wrong; which of both shares a paper
    means by "PO" is often not said (ROMA's A.3: time alone, ±2 s); the substring is case
    sensitive and finds ``5`` in ``15``.

    :param outputs: all samples.
    :raises ValueError: without samples.
    """
    if not outputs:
        raise ValueError('there are no samples to judge')
    return PoAccuracy(
        time=sum(output.in_time for output in outputs) / len(outputs),
        answer=sum(output.correct for output in outputs) / len(outputs),
        count=len(outputs),
    )
