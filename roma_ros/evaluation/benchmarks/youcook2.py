"""YouCook2: narrate a recipe, step by step."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...policy.triggers import TriggerConfig
from ..metrics.captions import Caption, localization_f1, soda_c
from ..metrics.narration import segment_time_f1, TimeF1
from ..runner import Line
from .benchmark import Fields, find_video, Published, read_json, require, StreamSample
from .lines import narrations


class YouCook2:
    """
    Narration of the validation split, as the paper adapts it: only annotated segments are shown.

    Annotation: ``youcookii_annotations_trainval.json`` of youcook2.eecs.umich.edu: ``database`` of
    videos with ``subset, recipe_type, annotations``, each annotation ``segment, sentence``. What
    lies between segments is cut out and the segments are laid end to end (paper A.4), so that
    they tile the stream. For the dense-caption figures a narration stands for the time since the
    one before it.
    """

    name = 'youcook2'
    title = 'YouCook2'
    owner = 'http://youcook2.eecs.umich.edu/download'
    layout = (
        '  youcookii_annotations_trainval.json\n'
        '  raw_videos/validation/<recipe_type>/<video>.mp4 (or .mkv, .webm)'
    )
    datasets: tuple[str, ...] = ('youcook2',)
    triggers: Mapping[str, TriggerConfig] = {
        'narration': TriggerConfig(threshold=0.975, hysteresis=None)
    }
    published: tuple[Published, ...] = tuple(
        Published(
            system=system,
            figure='time in segment: F1',
            value=value,
            comparable=comparable,
            note=note,
        )
        for system, value, comparable, note in (
            ('ROMA', 35.21, True, 'the same definition; size of its subset not stated'),
            ('MMDuet', 17.81, True, 'as run by the ROMA authors'),
            ('VideoLLM-online', 18.82, True, 'as run by the ROMA authors'),
            ('TimeChat', 21.70, False, 'dense-caption localization F1: another metric'),
            ('VTG-LLM', 17.50, False, 'dense-caption localization F1: another metric'),
        )
    )

    def samples(self, folder: Path) -> list[StreamSample]:
        """Read the validation split."""
        name = 'youcookii_annotations_trainval.json'
        path = require(folder, self, name, f'annotations/{name}')
        videos = require(folder, self, 'raw_videos/validation', 'validation')
        database = Fields(read_json(path), path.name)['database']
        samples = []
        for video, values in database.items():
            entry = Fields(values, f'{video} in {path.name}')
            if entry['subset'] != 'validation':
                continue
            steps = [Fields(step, entry.where) for step in entry['annotations']]
            parts = [(float(s['segment'][0]), float(s['segment'][1])) for s in steps]
            ends_s = np.cumsum([end - start for start, end in parts]).tolist()
            segments = [list(span) for span in zip([0.0, *ends_s[:-1]], ends_s, strict=True)]
            samples.append(
                StreamSample(
                    id=video,
                    media=find_video(videos / str(entry['recipe_type']), self, video),
                    parts=tuple(parts),
                    narrate=True,
                    truth={'segments': segments, 'texts': [s['sentence'] for s in steps]},
                )
            )
        return samples

    def score(self, lines: Sequence[Line]) -> dict[str, Any]:
        """Judge when steps were narrated, and the words as far as no other network is needed."""
        total = TimeF1(0, 0, 0)
        localization, soda = [], []
        for line in lines:
            truth, said = line['truth'], narrations(line)
            segments = [(b, e) for b, e in truth['segments']]
            total += segment_time_f1([time_s for time_s, _ in said], segments)
            begins_s = [0.0, *(time_s for time_s, _ in said[:-1])]
            captions = [
                Caption((begin_s, time_s), text)
                for begin_s, (time_s, text) in zip(begins_s, said, strict=False)
            ]
            true = [Caption(s, t) for s, t in zip(segments, truth['texts'], strict=True)]
            localization.append(localization_f1([c.span for c in captions], segments).f1)
            soda.append(soda_c(captions, true))
        return {
            'time in segment: F1': 100 * total.f1,
            'time in segment: precision': 100 * total.precision,
            'time in segment: recall': 100 * total.recall,
            'dense captions: localization F1': 100 * float(np.mean(localization)),
            'dense captions: SODA_c-style, word F1': 100 * float(np.mean(soda)),
        }
