from pathlib import Path

import numpy as np
import pytest

from roma_ros.cli.tabletop import main
from roma_ros.training.streams import load_units, read_streams, supervise_record
from roma_ros.training.supervision import supervise_tabletop
from roma_ros.training.tabletop.generator import make_stream
from roma_ros.training.tabletop.records import records_of_tabletop

#: Of these, some narrate, some do not; in both somebody types and somebody speaks.
SEEDS = range(12)


@pytest.fixture(scope='module')
def streams():
    return [make_stream(seed, split='train', duration_s=16, audible=False) for seed in SEEDS]


def test_a_record_teaches_what_the_stream_teaches(streams):
    compared = {'watches': 0, 'narrations': 0, 'typed': 0, 'spoken': 0}
    for stream in streams:
        truth = supervise_tabletop(stream)
        records = records_of_tabletop(stream, 'a.mp4')
        found = [
            supervise_record(record, stream.duration_s, learn_narration=True) for record in records
        ]
        watches = [watch for supervision in found for watch in supervision.watches]
        assert [watch.text for watch in watches] == [watch.text for watch in truth.watches]
        for mine, true in zip(watches, truth.watches, strict=True):
            compared['watches'] += 1
            assert mine.labels == tuple(bool(label) for label in true.labels)
        own = [supervision for supervision in found if not supervision.watches]
        assert len(own) == bool(truth.narrate or truth.turns)
        for supervision in own:
            assert supervision.narrate == truth.narrate
            expected = {
                unit: (turn.question, turn.text)
                for unit, turn in truth.turns.items()
                if not (truth.narrate and turn.question)
            }
            turns = supervision.turns
            assert {u: (t.question, t.text) for u, t in turns.items()} == expected
            assert all(turn.learn for turn in turns.values())
            spoken = {unit for unit, (question, _) in expected.items() if not question}
            positives = {unit for unit, label in enumerate(supervision.labels) if label}
            assert positives == spoken
            # What the stream calls silence, no record calls speech, and the other way round.
            for unit, label in enumerate(truth.labels):
                assert label is None or supervision.labels[unit] in (None, label), unit
            compared['narrations'] += truth.narrate
            compared['typed'] += sum(bool(question) for question, _ in expected.values())
            compared['spoken'] += 0 if truth.narrate else len(spoken)
    assert min(compared.values()) >= 2, compared


def test_the_command_writes_media_and_records_that_load(tmp_path: Path):
    pytest.importorskip('av', reason='PyAV is not installed')
    options = ['--records', '2', '--size', '160x120', '--duration', '8']
    assert main(['--seed', '3', *options, '--out', str(tmp_path)]) == 0

    records = read_streams(tmp_path / 'streams.json')
    assert {record.videos for record in records} == {
        ('train-000003.mp4',),
        ('train-000004.mp4',),
    }
    stream = make_stream(3, split='train', duration_s=8, size=(160, 120))
    units = load_units(records[0], tmp_path)[:8]
    assert len(units) == 8
    for unit in units:
        truth = stream.unit(unit.index)
        assert len(unit.frames) == len(truth.frames) == 2
        # The codecs lose a little, and nothing stands beneath the picture.
        error = np.abs(unit.frames.astype(float) - truth.frames).mean()
        assert error < 12
        level = np.sqrt(np.mean(np.square(truth.audio)))
        assert np.sqrt(np.mean(np.square(unit.audio))) == pytest.approx(level, rel=0.3)
