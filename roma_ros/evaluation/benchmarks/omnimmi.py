"""OmniMMI Proactive Alerting: say it when it happens, once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...policy.triggers import TriggerConfig
from ..metrics.proactive import alerting_score, interval_accuracy, OMNIMMI_PA
from ..runner import Line
from .benchmark import entries, find_video, Published, read_json, require, Said, StreamSample
from .lines import ALERT_ID, alert_scores

_THRESHOLD, _WINDOW = OMNIMMI_PA


class OmniMmiAlerting:
    """
    Proactive alerting; the question is an alert from the begin.

    Annotation: ``proactive_alerting.json`` of huggingface.co/datasets/ColorfulAI/OmniMMI, a list
    of ``video, question, answer``, the answer being begin and end [s], as
    ``evaluations/evaluate.py`` of github.com/OmniMMI/OmniMMI reads it.
    """

    name = 'omnimmi-pa'
    title = 'OmniMMI PA'
    owner = 'https://huggingface.co/datasets/ColorfulAI/OmniMMI'
    layout = '  proactive_alerting.json\n  videos/<video>'
    datasets: tuple[str, ...] = ('omnimmi',)
    triggers: Mapping[str, TriggerConfig] = {
        'alert': TriggerConfig(threshold=_THRESHOLD, window_units=_WINDOW, hysteresis=None)
    }
    published: tuple[Published, ...] = tuple(
        Published(
            system=system,
            figure='first alert inside (official): accuracy',
            value=value,
            comparable=True,
            note='the same definition; a second is named by its end here, by its begin there',
        )
        for system, value in (
            ('ROMA', 37.5),
            ('MMDuet', 22.0),
            ('VideoLLM-online', 0.5),
            ('M4-a', 25.5),
        )
    )

    def samples(self, folder: Path) -> list[StreamSample]:
        """Read all samples."""
        path = require(folder, self, 'proactive_alerting.json')
        videos = require(folder, self, 'videos')
        return [
            StreamSample(
                id=f'{index}-{entry["video"]}',
                media=find_video(videos, self, entry['video']),
                alerts=(Said(text=entry['question'], time_s=0.0),),
                truth={'span': [float(time_s) for time_s in entry['answer']]},
            )
            for index, entry in enumerate(entries(read_json(path), path))
        ]

    def score(self, lines: Sequence[Line]) -> dict[str, Any]:
        """Judge the times at which the session alerted, and the probabilities as ROMA does."""
        official = alerting_score(
            [
                (line['fired_s'].get(ALERT_ID.format(0), []), tuple(line['truth']['span']))
                for line in lines
            ]
        )
        by_second = interval_accuracy(
            [(alert_scores(line), tuple(line['truth']['span'])) for line in lines],
            threshold=_THRESHOLD,
            window=_WINDOW,
        )
        return {
            'first alert inside (official): accuracy': 100 * official.accuracy,
            'first alert inside (official): precision': 100 * official.precision,
            'first alert inside (official): overlap': 100 * official.mean_iou,
            'by second index (ROMA): accuracy': 100 * by_second.accuracy,
            'by second index (ROMA): early': 100 * by_second.early,
            'by second index (ROMA): late': 100 * by_second.late,
            'by second index (ROMA): missed': 100 * by_second.missed,
        }
