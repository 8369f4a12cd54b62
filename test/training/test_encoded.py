import numpy as np
import pytest
import torch

from roma_ros.model.processor import UnitProcessor
from roma_ros.training.curriculum import Phase
from roma_ros.training.data import StreamMaker
from roma_ros.training.encoded import encode_streams, EncodedMaker, encodes_alike, part_of
from roma_ros.training.objective import Objective
from roma_ros.training.tabletop.labels import Event, Sound


def make_phase(**fields):
    values = {
        'name': 'look',
        'objective': 'speak',
        'steps': 1,
        'streams': 2,
        'duration_s': 8,
        'learning_rate': 1e-3,
        'train': 'decoder',
        'encoded': 2,
        'anchor_weight': 0.4,
    }
    return Phase(**{**values, **fields})


@pytest.fixture
def encode(small_roma, protocol):
    def run(phase):
        processor = UnitProcessor(small_roma.config.processor)
        lines = []
        streams = encode_streams(
            small_roma, processor, protocol, phase, seed=0, changed=False, report=lines.append
        )
        assert lines == [f'look: streams encoded: {phase.encoded}/{phase.encoded}']
        return streams

    return run


def test_an_encoded_stream_teaches_what_the_stream_does(encode, small_roma, protocol):
    phase = make_phase(encoded=1, streams=1)
    encoded = EncodedMaker(encode(phase), protocol, phase, learn_narration=True)([0])
    live = StreamMaker(
        UnitProcessor(small_roma.config.processor),
        protocol,
        split='train',
        objective='speak',
        duration_s=8,
        learn_narration=True,
    )([0])
    assert torch.equal(live.batch.token_ids, encoded.batch.token_ids)
    assert torch.equal(live.batch.speak_labels, encoded.batch.speak_labels)
    objective = Objective(small_roma).eval()
    with torch.no_grad():
        expected, found = objective(live, phase), objective(encoded, phase)
    # The tokens are kept in float16.
    for name, loss in expected.losses.items():
        torch.testing.assert_close(found.losses[name], loss, atol=0.02, rtol=0.02)
    assert 'known' in found.losses


def test_short_lessons_are_parts_of_a_stream_with_other_questions_each_time(encode, protocol):
    phase = make_phase(encoded=1, streams=1, duration_s=2, cards=1.0, drill=True)
    (stream,) = streams = encode(phase)
    make = EncodedMaker(streams, protocol, phase, learn_narration=True)
    lessons = [make([seed]) for seed in range(12)]
    firsts = set()
    for lesson in lessons:
        count = stream.video.shape[1]
        begin = next(
            i for i in range(7) if torch.equal(stream.video[i].float(), lesson.video[:count])
        )
        firsts.add(begin)
        units = slice(begin, begin + 2)
        assert torch.equal(lesson.audio, stream.audio[units].flatten(0, 1).float())
        assert torch.equal(lesson.towers.cells, stream.towers.cells[units])
        assert lesson.batch.speak_units.max() == 1
    assert len(firsts) > 2
    assert len({lesson.batch.speak_texts for lesson in lessons}) == len(lessons)


def test_each_round_has_every_stream_once(encode, protocol):
    phase = make_phase(encoded=4, streams=2)
    streams = encode(phase)
    make = EncodedMaker(streams, protocol, phase, learn_narration=True)

    def place(seed):
        video = make([seed]).video
        return next(i for i, s in enumerate(streams) if torch.equal(s.video.flatten(0, 1), video))

    rounds = [[place(4 * turn + i) for i in range(4)] for turn in range(3)]
    assert all(sorted(found) == [0, 1, 2, 3] for found in rounds)
    assert len(np.unique(rounds, axis=0)) > 1


def test_a_part_has_what_is_seen_and_heard_in_it_in_its_own_time(make_stream):
    stream = make_stream(
        objects_at=lambda t: (t,),
        events=(
            Event(1.5, 'falls', 'box', 'red', 'the red box falls'),
            Event(3.5, 'enters', 'ball', 'red', 'the red ball enters'),
        ),
        sounds=(Sound('bell', 0.5, 1.5), Sound('knock', 1.8, 2.4), Sound('hum', 2.9, 9.0)),
    )
    part = part_of(stream, 2, 2)
    assert part.duration_s == 2
    assert part.objects_at(0.5) == (2.5,)
    assert [(e.verb, e.time_s) for e in part.events] == [('enters', 1.5)]
    assert [s.name for s in part.sounds] == ['knock', 'hum']
    assert part.sounds[0].start_s == pytest.approx(-0.2)
    assert part.alerts == part.questions == part.speech == ()


def test_streams_are_shared_where_phases_want_the_same():
    look = make_phase(duration_s=2)
    assert encodes_alike(look, make_phase(duration_s=8, drill=True, steps=9))
    assert not encodes_alike(look, make_phase(duration_s=16))
    assert not encodes_alike(look, make_phase(encoded=3))
    assert not encodes_alike(look, make_phase(cards=0.5))


def test_an_encoded_stream_has_no_frames_left(encode):
    (stream,) = encode(make_phase(encoded=1))
    with pytest.raises(ValueError, match='keeps no frames'):
        stream.truth.frame_at(0.0)
    with pytest.raises(ValueError, match='its towers would learn'):
        make_phase(train='all')
