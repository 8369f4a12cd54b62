from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch

from roma_ros.model.processor import UnitProcessor
from roma_ros.training.curriculum import Phase
from roma_ros.training.encoded import encode_streams, EncodedMaker
from roma_ros.training.spoken import Aloud, draw_sentence, encode_sentences, SpokenSentence
from roma_ros.training.supervision import SPOKEN_ALERT, Supervision, Turn, WatchLabels
from roma_ros.training.tabletop.labels import Alert, Sound
from roma_ros.training.tabletop.language import things_of, WORDS


def make_phase(**fields):
    values = {
        'name': 'look',
        'objective': 'speak',
        'steps': 1,
        'streams': 1,
        'duration_s': 8,
        'learning_rate': 1e-3,
        'train': 'decoder',
        'drill': True,
        'encoded': 1,
        'spoken': 4,
    }
    return Phase(**{**values, **fields})


@pytest.fixture
def encode(small_roma, protocol):
    def run(phase, **shared):
        processor = UnitProcessor(small_roma.config.processor)
        options = {'seed': 0, 'changed': False, 'report': lambda _: None, **shared}
        return encode_sentences(small_roma, processor, protocol, phase, **options)

    return run


def sentence(text, units=2, value=1.0):
    return SpokenSentence(0, text, torch.full((units, 3, 4), value))


def ask(stream, supervision, *sentences, tries=40):
    """Return what comes of many tries."""
    aloud = Aloud(sentences)
    return [aloud(stream, supervision, np.random.default_rng(seed)) for seed in range(tries)]


QUESTION = Turn('red', 'color', 'what color is the ball')


def asking(unit, **fields):
    labels = [False] * 8
    labels[unit] = None
    values = {'turns': {unit: QUESTION}, 'labels': tuple(labels), **fields}
    return Supervision(8, **values)


def test_what_is_drawn_can_be_said_in_training():
    rng = np.random.default_rng(0)
    texts = [draw_sentence(rng) for _ in range(2000)]
    assert {word for text in texts for word in text.split()} <= set(WORDS)
    held_back = {f'{color} {shape}' for shape, color in things_of('validation')}
    held_back -= {f'{color} {shape}' for shape, color in things_of('train')}
    assert held_back
    assert not [text for text in texts if any(pair in text for pair in held_back)]
    instructions = sum(text.startswith(('tell me when', 'say alert when')) for text in texts)
    assert 0.2 < instructions / len(texts) < 0.4
    # Each topic, and each place of a thing, often enough to be found when it is asked for.
    begins = Counter(' '.join(text.split()[:2]) for text in texts)
    assert min(begins.values()) > 50
    assert len({text for text in texts if text.startswith('where')}) > 30


def test_sentences_are_heard_as_far_as_they_reach(encode, small_roma):
    sentences = encode(make_phase(spoken=6))
    assert [item.number for item in sentences] == list(range(6))
    for item in sentences:
        assert item.audio.shape[1:] == (25, 48)
        assert item.audio.dtype == torch.float16
        assert 1 <= len(item.audio) <= 1 + 0.3 + 0.068 * len(item.text)
    assert len({item.text for item in sentences}) > 2


def test_processes_say_what_one_would(encode):
    alone = encode(make_phase())
    shares = [encode(make_phase(), rank=rank, world=2) for rank in range(2)]
    together = sorted(chain(*shares), key=lambda item: item.number)
    assert [item.text for item in together] == [item.text for item in alone]
    for ours, expected in zip(together, alone, strict=True):
        assert torch.equal(ours.audio, expected.audio)


def test_a_typed_question_is_asked_aloud_in_quiet_units(make_stream):
    stream = make_stream(duration_s=8, alerts=())
    outcomes = ask(stream, asking(5), sentence(QUESTION.question), sentence('what is red'))
    said = [(supervision, audio) for supervision, audio in outcomes if audio]
    assert 0.6 < len(said) / len(outcomes) < 1
    for supervision, audio in said:
        assert supervision.turns == {5: Turn('red', 'spoken color')}
        assert supervision.labels == (*[False] * 5, True, *[False] * 2)
        assert sorted(audio) == [4, 5]
        assert torch.equal(audio[5], torch.ones(3, 4))
    for supervision, audio in outcomes:
        assert audio or supervision == asking(5)


@pytest.mark.parametrize(
    ('unit', 'why'), [(0, 'no room before'), (2, 'a bell'), (6, 'other words')]
)
def test_it_stays_typed_where_it_cannot_be_heard(make_stream, speech, unit, why):
    alert = Alert('glass breaks', 'sound', (), speech('tell me when glass breaks', 6.5))
    stream = make_stream(duration_s=8, alerts=(alert,), speech=(alert.speech,))
    for supervision, audio in ask(stream, asking(unit), sentence(QUESTION.question)):
        assert supervision == asking(unit), why
        assert not audio


def test_it_stays_typed_where_nobody_said_it(make_stream):
    for supervision, audio in ask(make_stream(duration_s=8), asking(5), sentence('what is red')):
        assert supervision == asking(5)
        assert not audio


def test_what_is_said_in_a_deck_makes_room(make_stream, speech):
    stream = make_stream(
        duration_s=8, alerts=(), events=(), sounds=(), speech=(speech('what is red', 6.5),)
    )
    assert any(audio for _, audio in ask(stream, asking(6), sentence(QUESTION.question)))


def watching(**fields):
    labels = (False, True, None, True, True, False, None, True)
    watches = (WatchLabels('you see a ball', 'sight', labels),)
    return Supervision(8, **{'watches': watches, 'labels': (False,) * 8, **fields})


def test_an_alert_is_told_aloud_and_holds_from_then_on(make_stream):
    stream = make_stream(duration_s=8, alerts=(), sounds=())
    text = 'tell me when you see a ball'
    outcomes = ask(stream, watching(), sentence(text, units=1), tries=80)
    told = {min(audio): supervision for supervision, audio in outcomes if audio}
    assert set(told) == {1, 2, 3}
    # After unit 2 it was asked for: it held in 3 and 4, and began again in 7.
    assert told[2].labels == (False, False, False, True, True, False, None, True)
    assert {unit: turn.topic for unit, turn in told[2].turns.items()} == {
        3: SPOKEN_ALERT,
        7: SPOKEN_ALERT,
    }
    assert told[2].watches == watching().watches
    assert Aloud([])(stream, watching(), np.random.default_rng(0)) == (watching(), {})


def test_no_alert_is_told_beside_another_or_a_narration(make_stream, speech):
    text = 'tell me when you see a ball'
    spoken = Alert('glass breaks', 'sound', (), speech('tell me when glass breaks', 3.0))
    for supervision, alerts in ((watching(narrate=True), ()), (watching(), (spoken,))):
        stream = make_stream(duration_s=8, alerts=alerts, sounds=())
        assert not any(audio for _, audio in ask(stream, supervision, sentence(text, units=1)))


def test_a_batch_hears_the_sentence_in_place_of_the_stream(small_roma, protocol):
    phase = make_phase()
    processor = UnitProcessor(small_roma.config.processor)
    options = {'seed': 0, 'changed': False, 'report': lambda _: None}
    streams = encode_streams(small_roma, processor, protocol, phase, **options)
    (sound,) = (streams[0].audio.flatten(0, 1).float(),)
    value = 7.0
    # Whatever is asked in writing is at hand.
    names = [f'{color} {shape}' for shape, color in things_of('train')]
    texts = [f'where is the {name}' for name in names] + ['how many things do you see']
    tokens = torch.full((1, *streams[0].audio.shape[1:]), value)
    sentences = [SpokenSentence(i, text, tokens) for i, text in enumerate(texts)]
    make = EncodedMaker(streams, protocol, phase, sentences=sentences, learn_narration=True)
    heard = []
    for seed in range(8):
        batch = make([seed])
        said = (batch.audio == value).all(dim=1)
        assert torch.equal(batch.audio[~said], sound[~said])
        heard.append(int(said.sum()) // tokens.shape[1])
        spoken = [t for t, *_ in batch.batch.lm_turns if t in ('spoken where', 'spoken count')]
        assert len(spoken) >= heard[-1]
    assert max(heard) > 0
    # What was encoded is as it was.
    assert torch.equal(streams[0].audio.flatten(0, 1).float(), sound)


def test_sounds_do_not_hide_a_sentence(make_stream):
    stream = make_stream(duration_s=8, alerts=(), sounds=(Sound('hum', 3.0, 4.2),))
    aloud = [audio for _, audio in ask(stream, asking(5), sentence(QUESTION.question))]
    assert not any(aloud)
    aloud = [audio for _, audio in ask(stream, asking(6), sentence(QUESTION.question))]
    assert any(aloud)


def test_sentences_want_drills_beside_encoded_streams():
    with pytest.raises(ValueError, match='says sentences aloud'):
        make_phase(drill=False)
    with pytest.raises(ValueError, match='says sentences aloud'):
        make_phase(encoded=0)
