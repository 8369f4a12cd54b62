"""Video-MME and EgoSchema: a question is spoken when the video has been seen."""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ...policy.triggers import TriggerConfig
from ..runner import Line
from .benchmark import (
    entries,
    Fields,
    find_video,
    MissingDataError,
    Published,
    read_json,
    require,
    Said,
    StreamSample,
)
from .choices import chosen, letter, shares, spoken_choice
from .lines import spoken_reply
from .sample_units import duration_s

#: How long a reply is waited for once the question is over [s].
WAIT_S = 5.0
_JUDGED = 'judged by GPT-4o there, by letter and words of the option here'


def _judged(*values: tuple[str, float]) -> tuple[Published, ...]:
    """Return what systems were given by GPT-4o, as figures that do not compare."""
    return tuple(
        Published(
            system=system,
            figure='letter or words: accuracy',
            value=value,
            comparable=False,
            note=_JUDGED,
        )
        for system, value in values
    )


class _SpokenQuestions:
    """
    What both share: the whole video, then the question and its options, spoken.

    The paper lays the question over the sound of the video; here it begins as the video ends,
    over its last frame, so that it drowns nothing. The stream decides when to answer: silence is
    wrong, and so is what it says before the question is over.
    """

    triggers: Mapping[str, TriggerConfig] = {}

    def _sample(
        self, name: str, media: Path, question: str, options: Sequence[str], truth: dict[str, Any]
    ) -> StreamSample:
        said = Said(text=spoken_choice(question, options), time_s=duration_s(media))
        return StreamSample(
            id=name,
            media=media,
            spoken=(said,),
            tail_s=WAIT_S,
            truth=truth | {'options': list(options)},
        )

    def score(self, lines: Sequence[Line]) -> dict[str, Any]:
        """Judge the first reply by its letter, or by the words of the option."""
        right: dict[str, list[bool]] = {}
        answered = []
        for line in lines:
            truth, reply = line['truth'], spoken_reply(line)
            is_right = chosen(reply, truth['options']) == truth['letter']
            right.setdefault(truth['group'], []).append(is_right)
            answered.append(reply is not None)
        every = [value for values in right.values() for value in values]
        return {
            'letter or words: accuracy': 100 * float(np.mean(every)),
            **{
                f'letter or words: {name}': share
                for name, share in shares(right, mean='mean').items()
                if len(right) > 1
            },
            'answered': 100 * float(np.mean(answered)),
        }


class VideoMme(_SpokenQuestions):
    """
    Video-MME without subtitles, the questions spoken.

    Annotation: ``videomme/test-00000-of-00001.parquet`` of
    huggingface.co/datasets/lmms-lab/Video-MME, columns ``videoID, question_id, duration, question,
    options, answer`` and others; or the same rows as a list in ``test.json``.
    """

    name = 'video-mme'
    title = 'Video-MME, spoken'
    owner = 'https://huggingface.co/datasets/lmms-lab/Video-MME'
    layout = '  videomme/test-00000-of-00001.parquet (or test.json)\n  data/<videoID>.mp4'
    datasets: tuple[str, ...] = ('video-mme',)
    published: tuple[Published, ...] = _judged(
        ('ROMA', 33.30),
        ('Qwen2.5-Omni', 20.50),
        ('VITA-1.5', 28.56),
        ('MiniCPM-o 2.6', 19.37),
    )

    def samples(self, folder: Path) -> list[StreamSample]:
        """Read all questions."""
        parquet = 'test-00000-of-00001.parquet'
        path = require(folder, self, f'videomme/{parquet}', parquet, 'test.json')
        videos = require(folder, self, 'data', 'videos')
        return [
            self._sample(
                entry['question_id'],
                find_video(videos, self, entry['videoID']),
                entry['question'],
                list(entry['options']),
                {'letter': entry['answer'], 'group': entry['duration']},
            )
            for entry in entries(_rows(path), path)
        ]


class EgoSchema(_SpokenQuestions):
    """
    EgoSchema, the questions spoken; the 500 whose answers are public.

    Annotation: ``questions.json`` (a list of ``q_uid, question, "option 0".."option 4"``) and
    ``subset_answers.json`` (the number of the right option by ``q_uid``) of
    github.com/egoschema/EgoSchema.
    """

    name = 'egoschema'
    title = 'EgoSchema, spoken'
    owner = 'https://github.com/egoschema/EgoSchema'
    layout = '  questions.json\n  subset_answers.json\n  videos/<q_uid>.mp4'
    datasets: tuple[str, ...] = ('egoschema',)
    published: tuple[Published, ...] = _judged(
        ('ROMA', 55.40),
        ('Qwen2.5-Omni', 58.40),
        ('VITA-1.5', 45.40),
        ('MiniCPM-o 2.6', 55.20),
    )

    def samples(self, folder: Path) -> list[StreamSample]:
        """Read the questions whose answers are public."""
        path = require(folder, self, 'questions.json')
        answers = read_json(require(folder, self, 'subset_answers.json'))
        videos = require(folder, self, 'videos')
        return list(self._public(path, answers, videos))

    def _public(self, path: Path, answers: dict[str, int], videos: Path) -> Iterator[StreamSample]:
        for entry in entries(read_json(path), path):
            name = entry['q_uid']
            if name in answers:
                yield self._sample(
                    name,
                    find_video(videos, self, name),
                    entry['question'],
                    [_option(entry, i) for i in range(5)],
                    {'letter': letter(int(answers[name])), 'group': 'subset'},
                )


def _option(entry: Fields, index: int) -> str:
    return str(entry[f'option {index}'])


def _rows(path: Path) -> Any:
    """Read a table, or the same rows from JSON."""
    if path.suffix == '.json':
        return read_json(path)
    try:
        parquet = import_module('pyarrow.parquet')
    except ImportError as error:
        raise MissingDataError(
            f'reading {path.name} needs pyarrow: pip install -r requirements/fleet.txt'
        ) from error
    return parquet.read_table(path).to_pylist()
