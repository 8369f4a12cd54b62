import json
from pathlib import Path
import wave

import numpy as np
from PIL import Image
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

from roma_ros.training.streams import (
    Answer,
    load_units,
    Query,
    read_streams,
    records_of_labels,
    StreamRecord,
    supervise_record,
    write_streams,
)

#: Two records in the released format.
RELEASED = [
    {
        'task': 'narration',
        'id': 'a_3',
        'videos': [['a/1.png', 'a/2.png', 'a/3.png', 'a/4.png', 'a/5.png']],
        'images': [],
        'ans': [{'text': 'install the socket', 'time': 0.5}, {'text': 'turn it', 'time': 3.0}],
        'query': [{'text': '<video>Describe.', 'audio': 'a.wav', 'time': 1.25, 'duration': 0.5}],
    },
    {
        'task': 'proactive_gate',
        'id': '908',
        'ans': [{'text': 'alert', 'time': t} for t in (4.0, 5.0, 6.0)],
        'query': [{'text': '<video>Say when it falls', 'audio': '', 'time': 0.0, 'duration': 0.0}],
        'videos': [['clip one.mp4']],
        'images': [],
    },
]


@pytest.fixture
def released(tmp_path: Path) -> list[StreamRecord]:
    (tmp_path / 'data.json').write_text(json.dumps(RELEASED))
    return read_streams(tmp_path / 'data.json')


def test_the_released_format_is_read_and_written(released: list[StreamRecord], tmp_path: Path):
    narration, alert = released
    assert narration.videos == tuple(f'a/{i}.png' for i in range(1, 6))
    assert narration.queries == (Query('Describe.', 1.25, 'a.wav', 0.5),)
    assert alert.answers[0] == Answer('alert', 4.0)

    write_streams(released, tmp_path / 'again.json')

    assert json.loads((tmp_path / 'again.json').read_text()) == RELEASED
    assert read_streams(tmp_path / 'again.json') == released


@pytest.mark.parametrize(
    ('text', 'match'),
    [
        ('{}[', 'JSONDecodeError'),
        ('[{"id": 1}]', 'KeyError'),
        ('[{"id": 1, "task": "dance", "videos": [["v"]]}]', "task of record '1' is 'dance'"),
        ('[{"id": 1, "task": "narration", "videos": [[]]}]', "record '1' has no video"),
        ('[{"id": 1, "task": "turn-taking", "videos": [["v"]]}]', 'needs a query'),
    ],
)
def test_refuses_what_is_no_file_of_streams(tmp_path: Path, text: str, match: str):
    (tmp_path / 'data.json').write_text(text)

    with pytest.raises(ValueError, match=match):
        read_streams(tmp_path / 'data.json')


def test_frames_become_units_and_speech_is_laid_over(released: list[StreamRecord], tmp_path: Path):
    (tmp_path / 'a').mkdir()
    for i in range(1, 6):
        Image.fromarray(np.full((8, 12, 3), 40 * i, np.uint8)).save(tmp_path / f'a/{i}.png')
    with wave.open(str(tmp_path / 'a.wav'), 'wb') as file:
        file.setparams((1, 2, 16_000, 0, 'NONE', ''))
        file.writeframes(np.full(8_000, 8_192, '<i2').tobytes())

    units = load_units(released[0], tmp_path)

    assert [unit.frames[:, 0, 0, 0].tolist() for unit in units] == [
        [40, 80],
        [120, 160],
        [200, 200],  # the last frame serves twice
    ]
    audio = np.concatenate([unit.audio for unit in units])
    heard = np.flatnonzero(audio > 0.2)
    assert (heard[0], heard[-1]) == (20_000, 27_999)
    assert not audio[:19_900].any()


def test_alerts_teach_each_second_and_no_words(released: list[StreamRecord]):
    supervision = supervise_record(released[1], 8)

    (watch,) = supervision.watches
    assert watch.text == 'Say when it falls'
    assert [unit for unit, label in enumerate(watch.labels) if label] == [3, 4, 5]
    assert supervision.labels == (None,) * 8
    assert not supervision.turns


def test_a_spoken_alert_counts_from_when_it_has_been_said():
    record = StreamRecord(
        'x',
        'proactive_gate',
        ('v.mp4',),
        (Query('Say when it falls', 1.0, 'x.wav', 1.5),),
        tuple(Answer('alert', t) for t in (2.0, 3.0, 4.0)),
    )
    supervision = supervise_record(record, 5)

    assert not supervision.watches
    assert supervision.labels == (False, False, True, True, False)


@pytest.mark.parametrize('learn', [True, False])
def test_narration_teaches_when_and_words_only_where_asked(
    released: list[StreamRecord], learn: bool
):
    supervision = supervise_record(released[0], 3, learn_narration=learn)

    assert supervision.narrate
    assert supervision.labels == (True, False, True)
    assert {u: (t.text, t.learn) for u, t in supervision.turns.items()} == {
        0: ('install the socket', learn),
        2: ('turn it', learn),
    }


def test_questions_teach_words_and_only_the_moments_of_spoken_ones():
    record = StreamRecord(
        'q',
        'turn-taking',
        ('v.mp4',),
        (Query('what is it', 0.5), Query('what color', 2.0, 'q.wav', 0.8)),
        (Answer('a cup', 1.0), Answer('red', 2.9)),
    )
    supervision = supervise_record(record, 4)

    assert supervision.labels == (None, None, True, None)
    assert [(u, t.question, t.text) for u, t in sorted(supervision.turns.items())] == [
        (0, 'what is it', 'a cup'),
        (2, '', 'red'),
    ]


def test_what_is_asked_aloud_in_the_recording_teaches_when_it_ends():
    record = StreamRecord(
        'q', 'turn-taking', ('v.mp4',), (Query(''),), (Answer('a cup', 1.0), Answer('red', 2.9))
    )
    supervision = supervise_record(record, 4)

    assert supervision.labels == (True, None, True, None)
    assert [turn.question for turn in supervision.turns.values()] == ['', '']


def test_a_labelled_bag_becomes_records(tmp_path: Path):
    store = get_typestore(Stores.ROS2_KILTED)
    image, header, stamp = (
        store.types[name]
        for name in (
            'sensor_msgs/msg/Image',
            'std_msgs/msg/Header',
            'builtin_interfaces/msg/Time',
        )
    )
    with Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        topic = bag.add_connection('/image', 'sensor_msgs/msg/Image', typestore=store)
        for i in range(40):
            time_ns = 1_700_000_000_000_000_000 + i * 100_000_000
            message = image(
                header=header(stamp=stamp(*divmod(time_ns, 10**9)), frame_id=''),
                height=8,
                width=8,
                encoding='rgb8',
                is_bigendian=0,
                step=24,
                data=np.full(192, 5 * i, np.uint8),
            )
            bag.write(topic, time_ns, store.serialize_cdr(message, 'sensor_msgs/msg/Image'))
    (tmp_path / 'labels.json').write_text(
        json.dumps(
            {
                'labels': [
                    {'instruct': 'alert: it is bright', 'windows': [[1.2, 2.9]]},
                    {'instruct': 'narrate', 'windows': [[2.5, 2.5]], 'texts': ['it brightens']},
                    {'instruct': 'answer', 'windows': [[3.4, 4.0]]},
                ]
            }
        )
    )

    records = records_of_labels('bag', tmp_path / 'labels.json')

    assert [record.task for record in records] == ['proactive_gate', 'narration']
    units = load_units(records[0], tmp_path)
    assert len(units) == 4
    alert, narration = (supervise_record(record, 4) for record in records)
    assert alert.watches[0].labels == (False, True, True, False)
    assert narration.turns[2].text == 'it brightens'


def test_texts_must_fit_the_windows(tmp_path: Path):
    label = {'instruct': 'narrate', 'windows': [[1.0, 2.0]], 'texts': ['a', 'b']}
    (tmp_path / 'labels.json').write_text(json.dumps({'labels': [label]}))

    with pytest.raises(ValueError, match='2 texts and 1 windows'):
        records_of_labels('bag', tmp_path / 'labels.json')
