"""A session whose engine fails at chosen places: what is told, what is lost, and what goes on."""

import time

import pytest
import torch

from roma_ros.policy.instructions import InstructionKind, parse_instruction
from roma_ros.runtime.session import StreamLostError, StreamSession
from roma_ros.runtime.torch_engine import TorchEngine
from roma_ros.runtime.transcript import SpanKind
from roma_ros.runtime.worker import InferenceWorker

NARRATE = parse_instruction('narrate', id='n')
ALERT = parse_instruction('alert: a bell rings', id='a')


class Faulty(TorchEngine):
    """The torch engine, until ``fault`` says otherwise."""

    def __init__(self, model) -> None:
        super().__init__(model)
        self.fault = None

    def encode(self, features, *, video=None):
        embeddings = super().encode(features, video=video).clone()
        if self.fault == 'nan in a unit':
            embeddings[3] = torch.nan
        return embeddings

    def embed(self, token_ids):
        embeddings = super().embed(token_ids).clone()
        if self.fault == 'nan in text':
            embeddings[-1] = torch.inf
        return embeddings

    def step(self, embeddings, position_ids, cache, **options):
        if self.fault == 'out of memory':
            raise torch.OutOfMemoryError('tried to allocate 8 GiB')
        return super().step(embeddings, position_ids, cache, **options)


@pytest.fixture
def faulty(roma):
    return Faulty(roma.model)


@pytest.fixture
def make_session(roma, protocol, session_config):
    def make(engine, *, speak=False, **fields) -> StreamSession:
        return StreamSession(
            engine,
            roma.processor,
            protocol,
            instructions=[NARRATE, ALERT],
            config=session_config(speak=speak, **fields),
        )

    return make


def probabilities(session, units):
    return [[s.probability for s in session.step(unit).scores] for unit in units]


@pytest.mark.parametrize('share_stream', [True, False])
@pytest.mark.parametrize(
    ('fault', 'words'),
    [
        ('nan in a unit', 'FloatingPointError: the network gave a speak probability'),
        ('out of memory', 'OutOfMemoryError: tried to allocate 8 GiB'),
    ],
)
def test_a_fault_is_told_and_the_stream_goes_on_as_a_fresh_one(
    faulty, engine, make_session, make_unit, fault, words, share_stream
):
    session = make_session(faulty, share_stream=share_stream)
    probabilities(session, [make_unit(i) for i in range(3)])
    faulty.fault = fault
    for index in (3, 4):
        with pytest.raises(StreamLostError, match=rf'unit {index} failed \({words}.*goes on with'):
            session.step(make_unit(index))
    faulty.fault = None
    units = [make_unit(i) for i in range(5, 8)]
    fresh = make_session(engine, share_stream=share_stream)
    assert session.instructions == (NARRATE, ALERT)
    assert probabilities(session, units) == probabilities(fresh, units)
    for dialogue in session.dialogues:
        assert dialogue.cache.length == dialogue.transcript.length


def test_a_question_that_poisoned_the_cache_is_answered_from_a_clean_one(
    faulty, make_session, make_unit
):
    session = make_session(faulty)
    session.step(make_unit(0))
    faulty.fault = 'nan in text'
    question_id = session.ask('what do you see?')
    with pytest.raises(StreamLostError, match='not finite'):
        session.step(make_unit(1))
    faulty.fault = None
    result = session.step(make_unit(2))
    assert [s.instruction_id for s in result.segments] == [question_id]
    spans = session.dialogues[0].transcript.spans
    assert [s.kind for s in spans].count(SpanKind.UNIT) == 1
    assert all(0 < s.probability < 1 for s in result.scores)


def test_what_was_being_said_is_ended_so_that_who_speaks_it_knows(faulty, make_session, make_unit):
    session = make_session(faulty)
    question_id = session.ask('what do you see?')
    (first,) = session.step(make_unit(0)).segments
    assert not first.final
    faulty.fault = 'nan in text'  # the unit is read; its second segment fails
    with pytest.raises(StreamLostError, match='scores of words'):
        session.step(make_unit(1))
    faulty.fault = None
    (last,) = session.step(make_unit(2)).segments
    assert (last.utterance_id, last.instruction_id) == (first.utterance_id, question_id)
    assert (last.sequence, last.text, last.final) == (1, '', True)
    assert session.step(make_unit(3)).segments == ()


def test_a_fault_while_an_answer_begins_leaves_one_answer(faulty, make_session, make_unit):
    session = make_session(faulty, max_segments=1)
    session.ask('what do you see?')
    session.step(make_unit(0))
    question_id = session.ask('and now?')
    real = session._dialogue.speak
    session._dialogue.speak = lambda *_: (_ for _ in ()).throw(MemoryError('no more'))
    with pytest.raises(StreamLostError, match='MemoryError: no more'):
        session.step(make_unit(1))
    session._dialogue.speak = real
    segments = [s for i in range(2, 4) for s in session.step(make_unit(i)).segments]
    assert [(s.instruction_id, s.sequence, s.final) for s in segments] == [(question_id, 0, True)]


def test_the_journal_outlives_a_fault(faulty, make_session, make_unit):
    session = make_session(faulty, max_segments=1)
    session.ask('where is the blue box?')
    session.step(make_unit(0))
    faulty.fault = 'out of memory'
    with pytest.raises(StreamLostError, match='OutOfMemoryError'):
        session.step(make_unit(1))
    faulty.fault = None
    session.step(make_unit(2))
    recalled = session._journal.recall('the blue box?', make_unit(3).start_ns)
    assert any('where is the blue box?' in line for line in recalled)


def test_a_reset_that_fails_is_made_up_for_at_the_next_unit(
    faulty, engine, make_session, make_unit
):
    session = make_session(faulty)
    session.step(make_unit(0))
    faulty.fault = 'out of memory'
    with pytest.raises(torch.OutOfMemoryError, match='tried to allocate'):
        session.reset()
    faulty.fault = None
    units = [make_unit(i) for i in range(2)]
    assert probabilities(session, units) == probabilities(make_session(engine), units)
    assert session.instructions == (NARRATE, ALERT)


def test_a_refused_unit_costs_nothing_else(faulty, engine, make_session, make_unit, monkeypatch):
    session, expected = make_session(faulty), make_session(engine)
    for each in (session, expected):
        each.step(make_unit(0))
    monkeypatch.setattr(
        faulty, 'encode', lambda *_, **__: (_ for _ in ()).throw(ValueError('frames are odd'))
    )
    with pytest.raises(ValueError, match='frames are odd'):
        session.step(make_unit(1))
    monkeypatch.undo()
    assert probabilities(session, [make_unit(2)]) == probabilities(expected, [make_unit(2)])


def test_the_worker_tells_of_a_fault_and_goes_on(faulty, make_session, make_unit):
    session = make_session(faulty)
    results, errors = [], []
    worker = InferenceWorker(
        session, queue_capacity=4, on_result=results.append, on_error=errors.append
    )
    worker.start()
    try:
        for index, fault in enumerate((None, 'nan in a unit', None)):
            worker.call(lambda session, fault=fault: setattr(faulty, 'fault', fault)).result(10)
            worker.submit(make_unit(index))
            while worker.counters.units + worker.counters.units_failed <= index:
                time.sleep(0.005)
    finally:
        assert worker.stop(10)
    assert [r.unit.index for r in results] == [0, 2]
    assert (worker.counters.units, worker.counters.units_failed) == (2, 1)
    assert ['unit 1 failed' in str(e) and 'not finite' in str(e) for e in errors] == [True]


def test_two_sessions_on_one_model_do_as_each_does_alone(engine, make_session, make_unit):
    """Interleaved, through evictions, with replies and a question in one of them."""
    options = ({'speak': True, 'window_s': 3}, {'speak': False, 'window_s': 4})
    streams = [[make_unit(100 * n + i, video=i != 2) for i in range(8)] for n in range(2)]

    def step(session, index, unit):
        if index == 1 and session.config.window.window_s == 4:
            session.ask('what do you see?')
        result = session.step(unit)
        return result.scores, result.segments, result.highlights

    alone = []
    for fields, units in zip(options, streams, strict=True):
        session = make_session(engine, **fields)
        alone.append([step(session, i, unit) for i, unit in enumerate(units)])
    sessions = [make_session(engine, **fields) for fields in options]
    together = [[], []]
    for index in range(8):
        for session, units, results in zip(sessions, streams, together, strict=True):
            results.append(step(session, index, units[index]))
    assert together == alone
    assert any(segments for _, segments, _ in together[1])
    kinds = {s.kind for _, segments, _ in together[0] for s in segments}
    assert kinds == {InstructionKind.NARRATION, InstructionKind.ALERT}
