"""
A small set in each benchmark's official format, with clips rendered here: to try things out.

::

    python -m roma_ros.evaluation.benchmarks.small_sets FOLDER
    roma eval all --data FOLDER --json small.json

Questions and answers are made up and have nothing to do with what the clips show: figures on
these sets say that everything runs, and nothing about a model.
"""

from collections.abc import Callable, Sequence
import json
from pathlib import Path
import sys
from typing import Any

from .small_clips import write_clip


def write_small_sets(folder: Path) -> dict[str, Path]:
    """
    Write one small set per benchmark, as its owners lay it out.

    :param folder: is made; each set lies in a folder of its benchmark's name, where
        ``roma eval all --data`` looks for it.
    :return: the folders by the benchmarks' names.
    :raises ImportError: when PyAV, which writes the clips, is not installed.
    """
    for name, write in _WRITERS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        write(folder / name)
    return {name: folder / name for name in _WRITERS}


def main(argv: Sequence[str] | None = None) -> int:
    """
    Write the sets.

    :param argv: the folder.
    :return: exit code: 0; 1 when they cannot be written; 2 without a folder.
    """
    arguments = sys.argv[1:] if argv is None else [*argv]
    if len(arguments) != 1 or arguments[0].startswith('-'):
        print('python -m roma_ros.evaluation.benchmarks.small_sets FOLDER', file=sys.stderr)
        return 2
    try:
        written = write_small_sets(Path(arguments[0]))
    except (OSError, ImportError) as error:
        print(f'small sets: {error}', file=sys.stderr)
        return 1
    print(f'{len(written)} sets: {arguments[0]}')
    return 0


def _json(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding='utf-8')


def _qvhighlights(folder: Path) -> None:
    write_clip(folder / 'videos' / 'NUs_0.0_6.0.mp4', 6)
    entry = {
        'qid': 2579,
        'query': 'A girl cooks.',
        'duration': 6,
        'vid': 'NUs_0.0_6.0',
        'relevant_clip_ids': [1, 2],
        'saliency_scores': [[4, 4, 4], [1, 2, 0]],
        'relevant_windows': [[2, 6]],
    }
    (folder / 'highlight_val_release.jsonl').write_text(json.dumps(entry) + '\n', encoding='utf-8')


def _charades(folder: Path) -> None:
    write_clip(folder / 'Charades_v1_480' / '3MSZA.mp4', 6)
    lines = ('3MSZA 2.3 4.4##person turn a light on.', '3MSZA 0.0 9.9##a person sits.')
    (folder / 'charades_sta_test.txt').write_text('\n'.join(lines) + '\n', encoding='utf-8')


def _omnimmi(folder: Path) -> None:
    write_clip(folder / 'videos' / 'a.mp4', 6)
    entry = {'video': 'a.mp4', 'question': 'Tell me when the dog barks.', 'answer': [3.0, 5.0]}
    _json(folder / 'proactive_alerting.json', [entry])


def _po(folder: Path) -> None:
    write_clip(folder / 'proactive' / 'sample_17_proactive.mp4', 10)
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


def _streamingbench(folder: Path) -> None:
    def entry(group: str, time: str, options: list[str], task: str) -> dict[str, Any]:
        write_clip(folder / group / f'sample_{group}.mp4', 8)
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


def _ovo(folder: Path) -> None:
    for name in ('perception_test/a', 'MovieNet/b', 'COIN/c', 'Ego4D/d'):
        write_clip(folder / 'src_videos' / f'{name}.mp4', 6)
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


def _youcook2(folder: Path) -> None:
    write_clip(folder / 'raw_videos' / 'validation' / '212' / '9GX8f5EwwE4.mkv', 8)
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


def _video_mme(folder: Path) -> None:
    write_clip(folder / 'data' / 'fFjv93ACGo8.mp4', 3)
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


def _egoschema(folder: Path) -> None:
    write_clip(folder / 'videos' / '001934bb.mp4', 3)
    options = {
        f'option {i}': text for i, text in enumerate(('cook', 'clean', 'eat', 'run', 'sit'))
    }
    known = {'q_uid': '001934bb', 'google_drive_id': 'x', 'question': 'What does C do?', **options}
    secret = known | {'q_uid': 'not-public'}
    _json(folder / 'questions.json', [known, secret])
    _json(folder / 'subset_answers.json', {'001934bb': 1})


_WRITERS: dict[str, Callable[[Path], None]] = {
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

if __name__ == '__main__':
    sys.exit(main())
