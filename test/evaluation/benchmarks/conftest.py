"""Small tabletop streams made by hand, clips that tell their seconds, and a real model."""

import json

import numpy as np
import pytest

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


RATE_HZ, FPS = 16_000, 10


class Clips:
    """Clips that say by themselves which second of them is shown and heard."""

    fps = FPS

    @staticmethod
    def level_of(second):
        """Return the grey level of a second of a clip."""
        return 30 + 20 * int(second)

    @staticmethod
    def write(path, seconds, *, sound=True):
        """Write a clip: each second has a grey level and a loudness of its own."""
        import av

        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), 'w') as container:
            video = container.add_stream('libx264', rate=FPS)
            video.width, video.height, video.pix_fmt = 96, 64, 'yuv420p'
            video.options = {'preset': 'ultrafast', 'bf': '0'}
            audio = container.add_stream('flac', rate=RATE_HZ, layout='mono', format='s16')
            for index in range(round(seconds * FPS)):
                picture = np.full((64, 96, 3), Clips.level_of(index / FPS), np.uint8)
                container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
                step = RATE_HZ // FPS
                amplitude = 1000 * (1 + index // FPS) * sound
                samples = np.full((1, step), amplitude, np.int16)
                samples[:, ::2] *= -1
                piece = av.AudioFrame.from_ndarray(samples, format='s16', layout='mono')
                piece.sample_rate, piece.pts = RATE_HZ, index * step
                container.mux(audio.encode(piece))
            container.mux(video.encode(None))
            container.mux(audio.encode(None))
        return path

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
    root = tmp_path_factory.mktemp('data')
    for name, write in _WRITERS.items():
        write(root / name, clips.write)
    return {name: root / name for name in _WRITERS}


def _json(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def _qvhighlights(folder, write):
    write(folder / 'videos' / 'NUs_0.0_6.0.mp4', 6)
    entry = {
        'qid': 2579,
        'query': 'A girl cooks.',
        'duration': 6,
        'vid': 'NUs_0.0_6.0',
        'relevant_clip_ids': [1, 2],
        'saliency_scores': [[4, 4, 4], [1, 2, 0]],
        'relevant_windows': [[2, 6]],
    }
    (folder / 'highlight_val_release.jsonl').write_text(json.dumps(entry) + '\n')


def _charades(folder, write):
    write(folder / 'Charades_v1_480' / '3MSZA.mp4', 6)
    lines = ('3MSZA 2.3 4.4##person turn a light on.', '3MSZA 0.0 9.9##a person sits.')
    (folder / 'charades_sta_test.txt').write_text('\n'.join(lines) + '\n')


def _omnimmi(folder, write):
    write(folder / 'videos' / 'a.mp4', 6)
    entry = {'video': 'a.mp4', 'question': 'Tell me when the dog barks.', 'answer': [3.0, 5.0]}
    _json(folder / 'proactive_alerting.json', [entry])


def _po(folder, write):
    write(folder / 'proactive' / 'sample_17_proactive.mp4', 10)
    question = {
        'task_type': 'Proactive Output',
        'question': 'When the scoreboard shows 3 points, output "3".',
        'time_stamp': '00:00:02',
        'ground_truth_time_stamp': '00:00:05',
        'ground_truth_output': '3',
        'required_ability': 'working memory',
    }
    video = './videos/sample_17_proactive.mp4'
    entry = {'time': '[0:00:00 - 0:00:30]', 'questions': [question], 'video_path': video}
    _json(folder / 'questions_proactive.json', [entry])


def _streamingbench(folder, write):
    def entry(group, time, options, task):
        write(folder / group / f'sample_{group}.mp4', 8)
        question = {
            'task_type': task,
            'question': 'What is on the table now?',
            'time_stamp': time,
            'answer': 'C',
            'options': options,
        }
        video = f'./videos/sample_{group}.mp4'
        return {'time': '', 'questions': [question], 'video_path': video}

    lettered = ['A. a cup', 'B. a box', 'C. a ball', 'D. nothing']
    _json(folder / 'questions_real.json', [entry('real', '00:00:07', lettered, 'Clips Summarize')])
    plain = ['a cup.', 'a box.', 'a ball.', 'nothing.']
    task = 'Sequential Question Answering'
    sequence = [entry('sqa', time, plain, task) for time in ('00:00:03', '00:00:06')]
    _json(folder / 'questions_sqa.json', [sequence])


def _ovo(folder, write):
    for name in ('perception_test/a', 'MovieNet/b', 'COIN/c', 'Ego4D/d'):
        write(folder / 'src_videos' / f'{name}.mp4', 6)
    values = [
        {
            'id': 1558,
            'task': 'REC',
            'video': 'perception_test/a.mp4',
            'activity': 'breaking something',
            'start_times': [1, 4],
            'end_times': [2, 5],
            'test_info': [{'realtime': 2, 'count': 1}, {'realtime': 5.0, 'count': 2}],
        },
        {
            'id': 1468,
            'task': 'CRR',
            'video': 'MovieNet/b.mp4',
            'question': 'What does she do to the car?',
            'answer': 'She walks past it.',
            'ask_time': 2,
            'clue_time': 4,
            'test_info': [{'realtime': 2, 'type': 0}, {'realtime': 6, 'type': 1}],
        },
        {
            'id': 1516,
            'task': 'SSR',
            'video': 'COIN/c.mp4',
            'tutorial': 'PutOnHairExtensions',
            'all_steps': ['pull up the hair', 'put on the hair extensions'],
            'start_time': [1, 3],
            'end_time': [3, 6],
            'test_info': [{'realtime': 2, 'step': 'pull up the hair', 'type': 1}],
        },
        {
            'id': 0,
            'task': 'EPM',
            'video': 'Ego4D/d.mp4',
            'realtime': 4.2,
            'question': 'Who did I talk to?',
            'answer': 'a man in blue',
            'options': ['a man in red', 'a man in green', 'a man in blue', 'nobody'],
            'gt': 2,
        },
    ]
    _json(folder / 'ovo_bench_new.json', values)


def _youcook2(folder, write):
    write(folder / 'raw_videos' / 'validation' / '212' / '9GX8f5EwwE4.mkv', 8)
    entry = {
        'duration': 8.2,
        'subset': 'validation',
        'recipe_type': '212',
        'video_url': 'https://www.youtube.com/watch?v=9GX8f5EwwE4',
        'annotations': [
            {'segment': [1, 3], 'id': 0, 'sentence': 'cut the onion'},
            {'segment': [5, 8], 'id': 1, 'sentence': 'boil the potatoes'},
        ],
    }
    other = entry | {'subset': 'training'}
    database = {'9GX8f5EwwE4': entry, 'not-there': other}
    _json(folder / 'youcookii_annotations_trainval.json', {'database': database})


def _video_mme(folder, write):
    write(folder / 'data' / 'fFjv93ACGo8.mp4', 3)
    row = {
        'video_id': '001',
        'duration': 'short',
        'domain': 'Knowledge',
        'sub_category': 'Humanity & History',
        'url': 'https://www.youtube.com/watch?v=fFjv93ACGo8',
        'videoID': 'fFjv93ACGo8',
        'question_id': '001-1',
        'task_type': 'Counting Problem',
        'question': 'What is red?',
        'options': ['A. Apples.', 'B. Candles.', 'C. Berries.', 'D. All.'],
        'answer': 'C',
    }
    _json(folder / 'test.json', [row])


def _egoschema(folder, write):
    write(folder / 'videos' / '001934bb.mp4', 3)
    options = {
        f'option {i}': text for i, text in enumerate(('cook', 'clean', 'eat', 'run', 'sit'))
    }
    known = {'q_uid': '001934bb', 'google_drive_id': 'x', 'question': 'What does C do?', **options}
    secret = known | {'q_uid': 'not-public'}
    _json(folder / 'questions.json', [known, secret])
    _json(folder / 'subset_answers.json', {'001934bb': 1})


_WRITERS = {
    'qvhighlights': _qvhighlights,
    'charades-sta': _charades,
    'omnimmi-pa': _omnimmi,
    'streamingbench-po': _po,
    'streamingbench': _streamingbench,
    'ovo-rec': _ovo,
    'ovo-crr': _ovo,
    'ovo-ssr': _ovo,
    'ovo-qa': _ovo,
    'youcook2': _youcook2,
    'video-mme': _video_mme,
    'egoschema': _egoschema,
}
