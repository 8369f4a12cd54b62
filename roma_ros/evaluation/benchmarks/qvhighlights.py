"""QVHighlights: which seconds of a video a sentence is about."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...policy.triggers import TriggerConfig
from ..metrics.highlights import (
    clip_ratings,
    ClipQuery,
    official_score,
    Rating,
    roma_score,
    SecondQuery,
    seconds_to_clips,
)
from ..runner import Line
from .benchmark import entries, find_video, Published, read_json, require, Said, StreamSample
from .lines import alert_scores

_NOT_PUBLIC = 'the annotation that ROMA compares with is not public'


class QvHighlights:
    """
    Highlight detection on the validation split; the sentence is an alert from the begin.

    Annotation: ``data/highlight_val_release.jsonl`` of github.com/jayleicn/moment_detr, one
    object a line: ``qid, query, duration, vid, relevant_clip_ids, saliency_scores,
    relevant_windows``. Scores of one a second, two added up to a clip of 2 s for the official
    evaluator, as MMDuet does.
    """

    name = 'qvhighlights'
    title = 'QVHighlights'
    owner = 'https://github.com/jayleicn/moment_detr/blob/main/data/README.md'
    layout = '  highlight_val_release.jsonl\n  videos/<vid>.mp4, as in NUsG9BgSes0_210.0_360.0.mp4'
    datasets: tuple[str, ...] = ('qvhighlights',)
    triggers: Mapping[str, TriggerConfig] = {}
    published: tuple[Published, ...] = (
        Published(
            system='ROMA',
            figure='ROMA, per second, smoothing 5: mAP',
            value=53.7,
            comparable=False,
            note=_NOT_PUBLIC,
        ),
        Published(
            system='ROMA',
            figure='ROMA, per second, smoothing 5: HIT@1',
            value=53.0,
            comparable=False,
            note=_NOT_PUBLIC,
        ),
        Published(
            system='MMDuet',
            figure='official, VeryGood: mAP',
            value=31.3,
            comparable=True,
            note='the official evaluator; smoothing was chosen on the same data',
        ),
        Published(
            system='MMDuet',
            figure='official, VeryGood: HIT@1',
            value=49.6,
            comparable=True,
            note='the official evaluator; smoothing was chosen on the same data',
        ),
    )

    def samples(self, folder: Path) -> list[StreamSample]:
        """Read the validation split."""
        path = require(folder, self, 'highlight_val_release.jsonl')
        videos = require(folder, self, 'videos')
        return [
            StreamSample(
                id=str(entry['qid']),
                media=find_video(videos, self, entry['vid']),
                alerts=(Said(text=entry['query'], time_s=0.0),),
                truth={
                    name: entry[name]
                    for name in (
                        'duration',
                        'relevant_clip_ids',
                        'saliency_scores',
                        'relevant_windows',
                    )
                },
            )
            for entry in entries(read_json(path), path)
        ]

    def score(self, lines: Sequence[Line]) -> dict[str, Any]:
        """Judge by the official definition at each rating, and by ROMA's."""
        clips, seconds = [], []
        for line in lines:
            truth, scores = line['truth'], alert_scores(line)
            ratings = clip_ratings(
                truth['duration'], truth['relevant_clip_ids'], truth['saliency_scores']
            )
            clips.append(ClipQuery(ratings, seconds_to_clips(scores)))
            windows = [(begin, end) for begin, end in truth['relevant_windows']]
            seconds.append(SecondQuery(windows, scores))
        results = [official_score(clips, rating) for rating in Rating] + [roma_score(seconds)]
        figures: dict[str, Any] = {}
        for result in results:
            figures[f'{result.definition}: mAP'] = 100 * result.mean_ap
            figures[f'{result.definition}: HIT@1'] = 100 * result.hit1
        return figures
