"""People on the same task: which clips they see, and what their key presses become."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..policy.instructions import InstructionKind
from ..training.tabletop.labels import Split, TabletopStream
from ..units.unit import SAMPLE_RATE_HZ
from .benchmarks.sample_units import duration_s
from .runner import Line
from .score_files import load_labels

#: Size [px] and rate [Hz] of the clips that people see.
SIZE, FRAME_RATE_HZ = (480, 360), 20


@dataclass(frozen=True, kw_only=True)
class Trial:
    """
    One clip, and one thing to watch for in it.

    :param id: its own in the run.
    :param text: what to watch for.
    :param clip: a file that a browser plays.
    :param line: the truth: a tabletop line with this alert alone, in which nothing fired.
    """

    id: str
    text: str
    clip: Path
    line: Line

    def answered(self, presses_s: Sequence[float]) -> Line:
        """Return the line with the key presses in the place of a model's alerts."""
        alert = self.line['alerts'][0] | {'fired_s': sorted(presses_s)}
        return self.line | {'alerts': [alert]}


def tabletop_trials(
    folder: Path, *, split: Split, seed: int, count: int, seconds: int
) -> list[Trial]:
    """
    Make clips of tabletop streams, each with one of its typed alerts.

    :param folder: where the clips go; those that are there are kept.
    :param split: as in ``roma eval tabletop``: the same streams.
    :param seed: of the first one.
    :param count: how many.
    :param seconds: length of each.
    """
    from ..training.tabletop.generator import make_stream

    trials = []
    for number in range(seed, seed + count):
        stream = make_stream(number, split=split, duration_s=seconds, size=SIZE)
        places = [i for i, alert in enumerate(stream.alerts) if alert.speech is None]
        place = places[number % len(places)]
        name = f'{split}-{number}-{seconds}'
        clip = folder / f'{name}.webm'
        if not clip.is_file():
            write_web_clip(stream, clip)
        alert = stream.alerts[place]
        line = _line(
            f'{name}-alert-{place}', alert.text, alert.sense, alert.windows, float(seconds)
        )
        trials.append(Trial(id=line['id'], text=alert.text, clip=clip, line=line))
    return trials


def recording_trials(recording: Path, labels: Path) -> list[Trial]:
    """
    Make a trial of each labelled alert of a recording.

    :param recording: a media file that a browser plays.
    :param labels: as ``roma calibrate`` reads them.
    :raises ValueError: when there is no alert among the labels, or the recording is none.
    """
    length_s = duration_s(recording)
    trials = []
    for number, label in enumerate(load_labels(labels)):
        if label.kind is not InstructionKind.ALERT:
            continue
        line = _line(f'{recording.name}-{number}', label.text, 'sight', label.windows, length_s)
        trials.append(Trial(id=line['id'], text=label.text, clip=recording, line=line))
    if not trials:
        raise ValueError(f'people are asked for alerts alone, and there is none in {labels}')
    return trials


def write_web_clip(stream: TabletopStream, path: Path) -> None:
    """
    Write a stream without any label in it: VP9 and Opus, which every browser plays.

    :param stream: to write.
    :param path: of the clip, ``.webm``.
    """
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix('.part')
    with av.open(str(part), 'w', format='webm') as container:
        video = container.add_stream('libvpx-vp9', rate=FRAME_RATE_HZ)
        video.width, video.height, video.pix_fmt = *SIZE, 'yuv420p'
        video.options = {'deadline': 'realtime', 'cpu-used': '8', 'b': '1M', 'row-mt': '1'}
        audio = container.add_stream('libopus', rate=48_000, layout='mono')
        for index in range(stream.duration_s * FRAME_RATE_HZ):
            picture = stream.frame_at(index / FRAME_RATE_HZ)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        container.mux(video.encode(None))
        samples = np.round(stream.audio * 32767).astype(np.int16)[None]
        sound = av.AudioFrame.from_ndarray(samples, format='s16', layout='mono')
        sound.sample_rate, sound.pts = SAMPLE_RATE_HZ, 0
        resampler = av.AudioResampler(format='s16', layout='mono', rate=48_000)
        for piece in (*resampler.resample(sound), *resampler.resample(None)):
            container.mux(audio.encode(piece))
        container.mux(audio.encode(None))
    part.replace(path)


def model_on_trials(trials: Sequence[Trial], lines: Sequence[Line]) -> list[Line]:
    """
    Return what a model did on the very alerts that a person had.

    :param trials: of :func:`tabletop_trials`.
    :param lines: of ``roma eval tabletop`` on these streams.
    :raises ValueError: when a stream is not among the lines.
    """
    known = {line['id']: line for line in lines}
    found = []
    for trial in trials:
        stream, _, place = trial.id.rpartition('-alert-')
        if stream not in known or int(place) >= len(known[stream]['alerts']):
            raise ValueError(
                f'the lines have nothing of {trial.id}; run roma eval tabletop on the same split, '
                'seeds and seconds'
            )
        found.append(trial.answered(known[stream]['alerts'][int(place)]['fired_s']))
    return found


def _line(
    name: str,
    text: str,
    sense: str,
    windows: Sequence[tuple[float, float]],
    seconds: float,
) -> dict[str, Any]:
    alert = {
        'text': text,
        'sense': sense,
        'windows': [list(window) for window in windows],
        'spoken_at_s': None,
        'fired_s': [],
    }
    return {
        'id': name,
        'seconds': seconds,
        'narrate': False,
        'events': [],
        'alerts': [alert],
        'questions': [],
        'utterances': [],
    }
