"""Small tabletop streams made by hand, clips that tell their seconds, and a real model."""

import numpy as np
import pytest

from roma_ros.evaluation.benchmarks.small_clips import FPS, write_clip
from roma_ros.evaluation.benchmarks.small_sets import write_small_sets
from roma_ros.runtime.factory import load_runtime
from roma_ros.training.tabletop.labels import Alert, Event, Question, Speech, TabletopStream


@pytest.fixture(scope='session')
def runtime():
    return load_runtime(threads=1)


@pytest.fixture(scope='session')
def make_stream():
    """Make a stream of six seconds with a known truth; it notes when each frame was rendered."""

    def make(seed: int = 0, *, narrate: bool = False, split='test', rendered=None):
        rng = np.random.default_rng(seed)
        audio = (rng.standard_normal(6 * 16_000) * 0.01).astype(np.float32)
        audio[3 * 16_000 : 4 * 16_000] *= 30

        def frame_at(time_s: float):
            if rendered is not None:
                rendered.append(time_s)
            frame = np.full((112, 140, 3), 90, np.uint8)
            if time_s >= 2.5:
                frame[40:80, 40:80] = (200, 30, 30)
            return frame

        return TabletopStream(
            seed=seed,
            split=split,
            duration_s=6,
            frame_at=frame_at,
            objects_at=lambda time_s: (),
            audio=audio,
            events=(Event(2.3, 'enters', 'ball', 'red', 'the red ball enters'),),
            sounds=(),
            speech=(_said('what is red', 4.0),),
            alerts=(
                Alert('the red ball enters', 'sight', ((2.3, 3.3),)),
                Alert('the bell rings', 'sound', ((3.1, 3.9),)),
                Alert('you hear a siren', 'sound', ()),
                Alert('a star falls', 'sight', (), speech=_said('tell me', 1.0)),
            ),
            questions=(
                Question('what color is the ball', 3.4, 'color', 'red'),
                Question('what is red', 4.0, 'shape', 'a ball', _said('what is red', 4.0)),
            ),
            narrate=narrate,
        )

    return make


def _said(text: str, end_s: float) -> Speech:
    return Speech(text, 'voice', end_s - 1, end_s, ())


@pytest.fixture(scope='session')
def make_line():
    """Make the line of a six-second stream; keywords replace what is in it."""

    def make(name: str = 'a', **fields):
        return {
            'id': name,
            'seconds': 6,
            'narrate': False,
            'events': [
                {
                    'time_s': 2.3,
                    'verb': 'enters',
                    'shape': 'ball',
                    'color': 'red',
                    'text': 'the red ball enters',
                }
            ],
            'alerts': [
                alert('sight', [[2.3, 3.3]], fired=3),
                alert('sound', [[4.0, 4.6]], fired=5),
                alert('joint', [], fired=None),
            ],
            'questions': [
                question('typed', 3.4, 'red', said='Red.'),
                question('spoken', 4.0, 'a ball'),
            ],
            'speech': [{'text': 'what is red', 'start_s': 3.0, 'end_s': 4.0}],
            'probabilities': [0.1, 0.1, 0.1, 0.1, 0.9, 0.1],
            'fired_s': [5.0],
            'utterances': [{'time_s': 5.0, 'kind': 'answer', 'text': 'the ball'}],
            'motion': [0.0, 0.0, 5.0, 0.0, 0.0, 0.0],
            'loudness_db': [-40.0, -40.0, -40.0, -20.0, -20.0, -40.0],
        } | fields

    return make


def alert(sense, windows, *, fired, spoken_at_s=None):
    probabilities = [0.9 if i + 1 == fired else 0.1 for i in range(6)]
    return {
        'text': sense,
        'sense': sense,
        'windows': windows,
        'spoken_at_s': spoken_at_s,
        'probabilities': probabilities,
        'fired_s': [] if fired is None else [float(fired)],
    }


def question(kind, time_s, answer, **fields):
    entry = {'text': '?', 'time_s': time_s, 'topic': 'color', 'answer': answer}
    return entry | {'spoken': kind == 'spoken'} | fields


class Clips:
    """Clips that say by themselves which second of them is shown and heard."""

    fps = FPS
    write = staticmethod(write_clip)

    @staticmethod
    def second_shown(frame):
        """Return which second of a clip a frame is of."""
        return round((float(frame.mean()) - 30) / 20)

    @staticmethod
    def second_heard(audio):
        """Return which second of a clip is heard; silence: -1."""
        return round(float(np.abs(audio).max()) * 32768 / 1000) - 1


@pytest.fixture(scope='session')
def clips():
    pytest.importorskip('av', reason='PyAV is not installed')
    return Clips


@pytest.fixture(scope='session')
def official(tmp_path_factory, clips):
    """Return, by name, a folder for each benchmark with a few samples in its official format."""
    return write_small_sets(tmp_path_factory.mktemp('data'))
