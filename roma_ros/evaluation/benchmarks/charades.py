"""Charades-STA: where in a video is what a sentence says."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...policy.triggers import TriggerConfig
from ..metrics.grounding import recall_at, second_iou
from ..runner import Line
from .benchmark import find_video, Published, require, Said, StreamSample
from .lines import alert_scores


class CharadesSta:
    """
    Grounding on the test split; the sentence is an alert from the begin.

    Annotation: ``charades_sta_test.txt`` of Gao et al., ICCV 2017 (github.com/jiyanggao/TALL), one
    line a sentence: ``3MSZA 24.3 30.4##person turn a light on.``: video, begin, end, sentence.
    """

    name = 'charades-sta'
    title = 'Charades-STA'
    owner = 'https://github.com/jiyanggao/TALL (sentences), https://prior.allenai.org/projects/charades'
    layout = '  charades_sta_test.txt\n  Charades_v1_480/<video>.mp4, as in 3MSZA.mp4'
    datasets: tuple[str, ...] = ('charades-sta', 'charades')
    triggers: Mapping[str, TriggerConfig] = {}
    published: tuple[Published, ...] = tuple(
        Published(
            system=system,
            figure=f'sets of seconds: R@{at}',
            value=value,
            comparable=True,
            note=note,
        )
        for system, note, values in (
            ('ROMA', 'same definition and presets; trained on its training split', (44.3, 19.9)),
            ('MMDuet', 'same family; smoothing and threshold swept', (42.4, 18.0)),
        )
        for at, value in zip((0.5, 0.7), values, strict=True)
    )

    def samples(self, folder: Path) -> list[StreamSample]:
        """Read the test split."""
        path = require(folder, self, 'charades_sta_test.txt')
        videos = require(folder, self, 'Charades_v1_480', 'Charades_v1')
        samples = []
        for number, text in enumerate(path.read_text(encoding='utf-8').splitlines(), start=1):
            if not text.strip():
                continue
            head, mark, sentence = text.partition('##')
            words = head.split()
            if not mark or len(words) != 3:
                raise ValueError(
                    f'line {number} is {text!r}, expected "VIDEO BEGIN END##SENTENCE": {path}'
                )
            samples.append(
                StreamSample(
                    id=f'{words[0]}-{number}',
                    media=find_video(videos, self, words[0]),
                    alerts=(Said(text=sentence.strip(), time_s=0.0),),
                    truth={'span': [float(words[1]), float(words[2])]},
                )
            )
        return samples

    def score(self, lines: Sequence[Line]) -> dict[str, Any]:
        """Judge by the overlap of sets of seconds, as ROMA and MMDuet do."""
        overlaps = []
        for line in lines:
            begin_s, end_s = line['truth']['span']
            # Some spans end before they begin, or behind the video.
            span = (min(begin_s, end_s), max(begin_s, end_s))
            overlaps.append(second_iou(alert_scores(line), span))
        figures: dict[str, Any] = {}
        for at in (0.5, 0.7):
            share = recall_at(overlaps, at)
            figures[f'sets of seconds: R@{at}'] = None if share is None else 100 * share
        return figures
