"""OVO-Bench: the past, the present and the future of a stream."""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from ...policy.triggers import TriggerConfig
from ..metrics.narration import segment_time_f1, TimeF1
from ..metrics.ovo_bench import (
    choice_right,
    crr_right,
    rec_hits,
    ROMA_FORWARD,
    strict_choice_right,
    task_means,
    TASKS,
)
from ..runner import Line
from .benchmark import (
    Benchmark,
    entries,
    Fields,
    find_video,
    Published,
    read_json,
    require,
    Said,
    StreamSample,
)
from .choices import letter, typed_choice
from .lines import ALERT_ID, narrations

_OWNER = 'https://huggingface.co/datasets/JoeLeelyf/OVO-Bench'
_LAYOUT = '  ovo_bench_new.json\n  src_videos/<video>, as in COIN/Hf2AisK1wHY.mp4'
_THRESHOLD, _WINDOW = ROMA_FORWARD
_FORWARD = TriggerConfig(threshold=_THRESHOLD, window_units=_WINDOW, hysteresis=None)
_OWN_FORM = "ROMA's own form of the task; the script is not released"


class _OvoBench:
    """What all tasks share: one annotation, ``data/ovo_bench_new.json`` of the repository."""

    owner = _OWNER
    layout = _LAYOUT
    datasets: tuple[str, ...] = ('ovo-bench',)

    def _tasks(
        self, folder: Path, benchmark: Benchmark, tasks: Sequence[str]
    ) -> Iterator[tuple[str, Path, Fields]]:
        """Yield id, video and entry of each sample of some tasks."""
        path = require(folder, benchmark, 'ovo_bench_new.json', 'data/ovo_bench_new.json')
        videos = require(folder, benchmark, 'src_videos', 'data/src_videos')
        for entry in entries(read_json(path), path):
            if entry['task'] in tasks:
                name = f'{entry["task"]}-{entry["id"]}'
                yield name, find_video(videos, benchmark, entry['video']), entry


class OvoRepetition(_OvoBench):
    """
    REC as ROMA runs it: an alert on the activity, from the begin to the last probe.

    Annotation of a sample: ``activity, start_times, end_times, test_info``.
    """

    name = 'ovo-rec'
    title = 'OVO-Bench REC'
    triggers: Mapping[str, TriggerConfig] = {'alert': _FORWARD}
    published: tuple[Published, ...] = tuple(
        Published(
            system=system,
            figure='intervals with an alert: micro',
            value=value,
            comparable=True,
            note=_OWN_FORM,
        )
        for system, value in (
            ('ROMA', 33.81),
            ('MMDuet', 12.77),
            ('VideoLLM-online', 14.29),
            ('Dispider', 18.05),
        )
    )

    def samples(self, folder: Path) -> list[StreamSample]:
        """Read all samples of REC."""
        return [
            StreamSample(
                id=name,
                media=video,
                parts=((0.0, _end_s(entry, entry['end_times'])),),
                alerts=(Said(text=entry['activity'], time_s=0.0),),
                truth={'start_s': entry['start_times'], 'end_s': entry['end_times']},
            )
            for name, video, entry in self._tasks(folder, self, ('REC',))
        ]

    def score(self, lines: Sequence[Line]) -> dict[str, Any]:
        """Count the repetitions in which an alert came."""
        hits: list[bool] = []
        alerts = outside = 0
        for line in lines:
            spans = list(zip(line['truth']['start_s'], line['truth']['end_s'], strict=True))
            times_s = _fired(line)
            hits += rec_hits(times_s, spans)
            alerts += len(times_s)
            outside += sum(not any(b <= t <= e for b, e in spans) for t in times_s)
        return {
            'intervals with an alert: micro': 100 * float(np.mean(hits)) if hits else None,
            'alerts outside every interval': 100 * outside / alerts if alerts else 0.0,
        }


class OvoClue(_OvoBench):
    """
    CRR as ROMA runs it: the question stands as an alert from the moment at which it is asked.

    Annotation of a sample: ``question, answer, ask_time, clue_time, test_info``; the stream ends
    at the last probe.
    """

    name = 'ovo-crr'
    title = 'OVO-Bench CRR'
    triggers: Mapping[str, TriggerConfig] = {'alert': _FORWARD}
    published: tuple[Published, ...] = tuple(
        Published(
            system=system,
            figure='first alert after the clue: accuracy',
            value=value,
            comparable=True,
            note=_OWN_FORM,
        )
        for system, value in (
            ('ROMA', 35.42),
            ('MMDuet', 16.67),
            ('VideoLLM-online', 27.08),
            ('Dispider', 48.75),
        )
    )

    def samples(self, folder: Path) -> list[StreamSample]:
        """Read all samples of CRR."""
        return [
            StreamSample(
                id=name,
                media=video,
                parts=((0.0, _end_s(entry, [entry['clue_time']])),),
                alerts=(Said(text=entry['question'], time_s=float(entry['ask_time'])),),
                truth={'ask_s': entry['ask_time'], 'clue_s': entry['clue_time']},
            )
            for name, video, entry in self._tasks(folder, self, ('CRR',))
        ]

    def score(self, lines: Sequence[Line]) -> dict[str, Any]:
        """Judge whether the first alert waited for the clue."""
        right = [
            crr_right(
                _fired(line),
                ask_time_s=line['truth']['ask_s'],
                clue_time_s=line['truth']['clue_s'],
            )
            for line in lines
        ]
        return {'first alert after the clue: accuracy': 100 * float(np.mean(right))}


class OvoSteps(_OvoBench):
    """
    SSR as ROMA runs it: narration of the steps of a tutorial.

    Annotation of a sample: ``tutorial, all_steps, start_time, end_time, test_info``. The stream
    runs from the begin to the end of the last step, what lies between steps included.
    """

    name = 'ovo-ssr'
    title = 'OVO-Bench SSR'
    triggers: Mapping[str, TriggerConfig] = {
        'narration': TriggerConfig(threshold=0.97, hysteresis=None)
    }
    published: tuple[Published, ...] = tuple(
        Published(
            system=system,
            figure='time in segment: F1',
            value=value,
            comparable=False,
            note='whether gaps between steps are cut out is not stated',
        )
        for system, value in (('ROMA', 14.54), ('MMDuet', 9.02), ('VideoLLM-online', 10.24))
    )

    def samples(self, folder: Path) -> list[StreamSample]:
        """Read all samples of SSR."""
        return [
            StreamSample(
                id=name,
                media=video,
                parts=((0.0, float(ceil(max(entry['end_time'])))),),
                narrate=True,
                truth={
                    'segments': [
                        list(span)
                        for span in zip(entry['start_time'], entry['end_time'], strict=True)
                    ],
                    'texts': entry['all_steps'],
                },
            )
            for name, video, entry in self._tasks(folder, self, ('SSR',))
        ]

    def score(self, lines: Sequence[Line]) -> dict[str, Any]:
        """Judge when steps were narrated."""
        total = TimeF1(0, 0, 0)
        for line in lines:
            times_s = [time_s for time_s, _ in narrations(line)]
            total += segment_time_f1(times_s, [(b, e) for b, e in line['truth']['segments']])
        return {
            'time in segment: F1': 100 * total.f1,
            'time in segment: precision': 100 * total.precision,
            'time in segment: recall': 100 * total.recall,
        }


class OvoQuestions(_OvoBench):
    """
    Backward tracing and real-time perception: a typed question at its time.

    Annotation of a sample: ``question, options, gt, realtime``; the stream ends at ``realtime``,
    rounded up as ``utils/chunk_videos.py`` does.
    """

    name = 'ovo-qa'
    title = 'OVO-Bench RT and BT'
    triggers: Mapping[str, TriggerConfig] = {}
    published: tuple[Published, ...] = (
        Published(
            system='ROMA',
            figure='letter anywhere (official): realtime',
            value=58.53,
            comparable=True,
            note='mean of six published tasks',
        ),
        Published(
            system='ROMA',
            figure='letter anywhere (official): backward',
            value=42.28,
            comparable=True,
            note='mean of three published tasks',
        ),
    )

    def samples(self, folder: Path) -> list[StreamSample]:
        """Read all samples of both modes."""
        tasks = TASKS['backward'] + TASKS['realtime']
        samples = []
        for name, video, entry in self._tasks(folder, self, tasks):
            end_s = float(max(1, ceil(entry['realtime'])))
            text = typed_choice(entry['question'], entry['options'])
            samples.append(
                StreamSample(
                    id=name,
                    media=video,
                    parts=((0.0, end_s),),
                    questions=(Said(text=text, time_s=end_s),),
                    truth={'task': entry['task'], 'letter': letter(entry['gt'])},
                )
            )
        return samples

    def score(self, lines: Sequence[Line]) -> dict[str, Any]:
        """Judge as the official script does, and without its gifts."""
        figures: dict[str, Any] = {}
        for label, is_right in (
            ('letter anywhere (official)', choice_right),
            ('letter alone', strict_choice_right),
        ):
            right: dict[str, list[bool]] = {}
            for line in lines:
                truth = line['truth']
                right.setdefault(truth['task'], []).append(
                    is_right(line['answers'][0], truth['letter'])
                )
            for task, share in task_means(right).items():
                figures[f'{label}: {task}'] = 100 * share
        return figures


def _fired(line: Line) -> list[float]:
    return list(line['fired_s'].get(ALERT_ID.format(0), []))


def _end_s(entry: Fields, at_least_s: Sequence[float]) -> float:
    """Return where the last probe is, or what is to be seen, if that is later."""
    probes = [probe['realtime'] for probe in entry['test_info']]
    return float(ceil(max([*probes, *at_least_s])))
