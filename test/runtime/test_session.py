from dataclasses import replace

import numpy as np
import pytest
import torch

from roma_ros.policy.highlights import HighlightState
from roma_ros.policy.instructions import Instruction, InstructionKind, parse_instruction
from roma_ros.runtime.dialogue import Decoded
from roma_ros.runtime.session import StreamLostError, StreamSession
from roma_ros.runtime.torch_engine import TorchEngine
from roma_ros.runtime.transcript import SpanKind

NARRATE = parse_instruction('narrate', id='n')
ALERT = parse_instruction('alert: a bell rings', id='a')


@pytest.fixture
def make_session(roma, engine, protocol, session_config):
    def make(*instructions, speak: bool, **fields) -> StreamSession:
        config = session_config(speak=speak, **fields)
        return StreamSession(
            engine, roma.processor, protocol, instructions=instructions, config=config
        )

    return make


def assert_prefilled(session: StreamSession) -> None:
    for dialogue in session.dialogues:
        assert dialogue.cache.length == dialogue.transcript.length


def test_scores_are_those_of_the_unit_and_silence_costs_no_token(make_session, make_unit):
    session = make_session(ALERT, NARRATE, speak=False)
    (dialogue,) = session.dialogues
    before = dialogue.cache.length
    result = session.step(make_unit(0, video=False))
    assert [s.instruction.id for s in result.scores] == ['n', 'a']
    assert all(0 < s.probability < 1 and not s.triggered for s in result.scores)
    assert result.segments == result.highlights == ()
    assert dialogue.cache.length == before + 25 + 2
    assert result.compute_ms > 0


@pytest.mark.parametrize('share_stream', [True, False])
def test_alerts_share_the_stream_or_have_their_own(make_session, make_unit, share_stream):
    session = make_session(NARRATE, ALERT, speak=False, share_stream=share_stream)
    assert len(session.dialogues) == (1 if share_stream else 2)
    narration = session.step(make_unit(0)).scores[0].probability
    alone = make_session(NARRATE, speak=False)
    expected = alone.step(make_unit(0)).scores[0].probability
    assert narration == pytest.approx(expected, abs=1e-5)
    session.remove_instruction('a')
    assert len(session.dialogues) == 1


def test_an_alert_on_a_stream_of_its_own_is_the_published_layout(
    make_session, make_unit, protocol, roma, engine
):
    session = make_session(ALERT, speak=False, share_stream=False)
    spans = session.dialogues[1].transcript.spans
    words = protocol.instruction(ALERT.kind, ALERT.text)
    assert [(s.tokens, s.extent) for s in spans] == [
        (len(protocol.stream_begin),) * 2,
        (len(words),) * 2,
    ]
    scores = session.step(make_unit(0)).scores
    assert [s.instruction.id for s in scores] == ['listen', 'a']


def test_a_later_unit_never_changes_an_earlier_score(make_session, make_unit):
    sessions = [make_session(NARRATE, speak=True) for _ in range(2)]
    first = [
        [s.step(make_unit(i)) for i in range(n)] for s, n in zip(sessions, (3, 5), strict=True)
    ]
    assert [r.scores for r in first[0]] == [r.scores for r in first[1][:3]]
    assert [r.segments for r in first[0]] == [r.segments for r in first[1][:3]]


@pytest.mark.parametrize('share_stream', [True, False])
def test_an_alert_says_its_condition_and_leaves_nothing(make_session, make_unit, share_stream):
    spans = []
    for threshold in ('0.0001', '0.9999'):
        alert = parse_instruction(f'alert[{threshold}]: a bell rings', id='a')
        session = make_session(alert, speak=False, share_stream=share_stream)
        segments = session.step(make_unit(0)).segments
        spans.append([d.transcript.spans for d in session.dialogues])
        if threshold == '0.0001':
            (segment,) = segments
            assert (segment.kind, segment.text) == (InstructionKind.ALERT, 'a bell rings')
            assert (segment.final, segment.sequence, segment.instruction_id) == (True, 0, 'a')
        else:
            assert segments == ()
        assert_prefilled(session)
    assert spans[0] == spans[1]


def test_an_alert_makes_a_highlight_with_an_id_of_its_own(make_session, make_unit):
    session = make_session(ALERT, speak=True)
    told = [h for i in range(3) for _, h in session.step(make_unit(i)).highlights]
    assert [(h.number, h.state) for h in told] == [
        (1, HighlightState.BEGIN),
        (1, HighlightState.UPDATE),
        (1, HighlightState.UPDATE),
    ]
    assert told[-1].end_ns - told[-1].start_ns == 3_000_000_000


def test_a_narration_goes_on_in_the_next_unit_and_ends(make_session, make_unit):
    # It fires once: the probability never falls far enough to arm the trigger again.
    session = make_session(NARRATE, speak=False, max_segments=3)
    session.ask('what do you see?')
    segments = [s for i in range(5) for s in session.step(make_unit(i)).segments]
    assert {s.utterance_id for s in segments} == {1}
    assert [s.sequence for s in segments] == list(range(len(segments)))
    assert [s.final for s in segments] == [False] * (len(segments) - 1) + [True]
    assert len(segments) <= 3
    assert {s.kind for s in segments} == {InstructionKind.ANSWER}
    assert_prefilled(session)


def test_who_has_nothing_to_add_and_does_not_end_is_done(make_session, make_unit, monkeypatch):
    session = make_session(NARRATE, speak=False, max_segments=3)
    monkeypatch.setattr(session.dialogues[0], 'speak', lambda *args: Decoded((), finished=False))
    session.ask('what do you see?')
    (segment,) = (s for i in range(3) for s in session.step(make_unit(i)).segments)
    assert (segment.text, segment.final) == ('', True)


def test_what_gives_way_to_the_next_unit_goes_on_after_it(make_session, make_unit):
    texts = []
    for is_due in (False, True):
        session = make_session(NARRATE, speak=False, max_segments=1)
        session.ask('what do you see?')
        results = [session.step(make_unit(i), is_due=lambda due=is_due: due) for i in range(9)]
        segments = [s for r in results for s in r.segments]
        assert {s.utterance_id for s in segments} == {1}
        assert [s.final for s in segments] == [False] * (len(segments) - 1) + [True]
        texts.append([s.text for s in segments])
        assert_prefilled(session)
    whole, parts = texts
    assert len(whole) == 1 < len(parts)
    assert whole[0].startswith(parts[0])


def test_scores_and_alerts_are_known_before_a_word_is_decoded(make_session, make_unit):
    session = make_session(NARRATE, ALERT, speak=True)
    cached = []
    readings = []

    def on_reading(reading):
        cached.append(session.dialogues[0].cache.length)
        readings.append(reading)

    result = session.step(make_unit(0), on_reading=on_reading)
    (reading,) = readings
    assert cached[0] < session.dialogues[0].cache.length  # words came after it
    assert reading.scores == result.scores
    assert [s.kind for s in reading.segments] == [InstructionKind.ALERT]
    assert [s.kind for s in result.said] == [InstructionKind.NARRATION]
    assert result.segments == reading.segments + result.said
    assert result.highlights == reading.highlights


def test_a_unit_encoded_ahead_gives_the_same(make_session, make_unit):
    plain, ahead = (make_session(NARRATE, ALERT, speak=True) for _ in range(2))
    encoded = [ahead.encoder(make_unit(i)) for i in range(3)]
    for index in range(3):
        first, second = plain.step(make_unit(index)), ahead.step(encoded[index])
        assert (first.scores, first.segments) == (second.scores, second.segments)


def test_a_new_answer_discards_the_rest_and_ends_the_old_one(make_session, make_unit):
    session = make_session(NARRATE, speak=True)
    first = session.step(make_unit(0)).segments
    assert not first[-1].final
    second = session.step(make_unit(1)).segments
    assert [(s.utterance_id, s.final, s.text == '') for s in second[:1]] == [(1, True, True)]
    assert second[1].utterance_id == 2
    assert_prefilled(session)


def test_each_question_gets_an_answer_of_its_own(make_session, make_unit):
    session = make_session(ALERT, speak=False)
    ids = [session.ask('what is this?'), session.ask('and that?')]
    segments = [s for i in range(2) for s in session.step(make_unit(i)).segments]
    answered = [s.instruction_id for s in segments if s.sequence == 0]
    assert answered == ids == ['question-1', 'question-2']


def test_an_interrupt_ends_what_is_being_said(make_session, make_unit):
    session = make_session(NARRATE, speak=False)
    session.ask('what do you see?')
    assert not session.step(make_unit(0)).segments[-1].final
    session.interrupt()
    segments = session.step(make_unit(1)).segments
    assert [(s.utterance_id, s.text, s.final) for s in segments] == [(1, '', True)]
    assert session.step(make_unit(2)).segments == ()
    assert_prefilled(session)


def test_a_question_can_be_taken_back_before_and_while_it_is_answered(make_session, make_unit):
    session = make_session(NARRATE, speak=False)
    first, second = session.ask('what is this?'), session.ask('and that?')
    session.withdraw(second)
    assert [s.instruction_id for s in session.step(make_unit(0)).segments] == [first]
    session.withdraw(first)
    assert [s.final for s in session.step(make_unit(1)).segments] == [True]
    assert session.step(make_unit(2)).segments == ()


def test_a_narration_takes_over_from_the_listener(make_session, make_unit):
    session = make_session(ALERT, speak=False)
    assert session.instructions == (ALERT,)
    assert [s.instruction.id for s in session.step(make_unit(0)).scores] == ['listen', 'a']
    session.ask('what is this?')
    session.add_instruction(NARRATE)
    result = session.step(make_unit(1))
    assert [s.instruction.id for s in result.scores] == ['n', 'a']
    assert [s.instruction_id for s in result.segments] == ['question-1']
    session.remove_instruction('n')
    assert [s.instruction.id for s in session.step(make_unit(2)).scores] == ['listen', 'a']


def test_instructions_have_their_own_thresholds(make_session, make_unit):
    own = parse_instruction('alert[0.123]: a bell rings', id='own')
    session = make_session(own, ALERT, speak=False)
    thresholds = {s.instruction.id: s.threshold for s in session.step(make_unit(0)).scores}
    assert thresholds['own'] == 0.123
    assert thresholds['a'] == session.config.triggers[InstructionKind.ALERT].threshold


@pytest.mark.parametrize(
    ('instruction', 'message'),
    [
        (ALERT, "named 'a' stands"),
        (Instruction(id='q', kind=InstructionKind.ANSWER, text='why'), 'ask it instead'),
        (parse_instruction('alert: b', id='listen'), "named 'listen' stands"),
        (parse_instruction('alert: c', id='c'), '2 instructions stand, which is the limit'),
    ],
)
def test_bad_instructions_are_refused(make_session, instruction, message):
    session = make_session(NARRATE, ALERT, speak=False, max_instructions=2)
    with pytest.raises(ValueError, match=message):
        session.add_instruction(instruction)
    assert session.instructions == (NARRATE, ALERT)


def test_one_narration_stands(make_session):
    session = make_session(NARRATE, speak=False)
    with pytest.raises(ValueError, match="the narration 'n' stands; remove it first"):
        session.add_instruction(parse_instruction('narrate: the door', id='m'))


@pytest.mark.parametrize('name', ['b', 'listen'])
def test_removing_what_does_not_stand_is_refused(make_session, name):
    session = make_session(ALERT, speak=False)
    with pytest.raises(ValueError, match=f"named '{name}'; there are: 'a'"):
        session.remove_instruction(name)


@pytest.mark.parametrize(
    ('question', 'message'),
    [('  ', 'is empty'), ('a\nb', r'U\+000A'), ('x' * 501, 'at most 500')],
)
def test_bad_questions_are_refused(make_session, question, message):
    with pytest.raises(ValueError, match=message):
        make_session(NARRATE, speak=False).ask(question)


def test_reset_equals_fresh(make_session, make_unit):
    session, fresh = (make_session(NARRATE, ALERT, speak=True) for _ in range(2))
    for index in range(3):
        session.step(make_unit(index))
    session.reset()
    for index in range(3):
        a, b = session.step(make_unit(index)), fresh.step(make_unit(index))
        assert a.scores == b.scores
        assert [s.text for s in a.segments] == [s.text for s in b.segments]
        assert [h.state for _, h in a.highlights] == [h.state for _, h in b.highlights]


def test_an_error_at_a_unit_leaves_the_session_usable(make_session, make_unit, monkeypatch):
    session = make_session(NARRATE, speak=False)
    expected = make_session(NARRATE, speak=False)
    real = session._engine.step
    monkeypatch.setattr(
        session._engine, 'step', lambda *a, **k: (_ for _ in ()).throw(MemoryError())
    )
    with pytest.raises(StreamLostError, match='MemoryError'):
        session.step(make_unit(0))
    monkeypatch.setattr(session._engine, 'step', real)
    assert_prefilled(session)
    probabilities = [s.step(make_unit(1)).scores[0].probability for s in (session, expected)]
    np.testing.assert_allclose(*probabilities)


def test_text_is_whole_characters_and_steers_no_terminal(
    roma, protocol, session_config, make_unit
):
    """A character of four bytes comes in the segment that completes it."""
    said = [*protocol.encode('a') * 23, *protocol.encode('\U0001f514\x1b[2Jb')]
    assert len(said) > 25
    script = iter([*said[:25], *said[25:], protocol.token_ids.im_end])

    class Scripted(TorchEngine):
        speaking = False

        def embed(self, token_ids):
            self.speaking = token_ids == protocol.assistant_begin or len(token_ids) == 1
            return super().embed(token_ids)

        def step(self, embeddings, position_ids, cache, **options):
            output = super().step(embeddings, position_ids, cache, **options)
            if not self.speaking:
                return output
            logits = torch.zeros_like(output.lm_logits)
            logits[next(script)] = 1.0
            return replace(output, lm_logits=logits)

    session = StreamSession(
        Scripted(roma.model),
        roma.processor,
        protocol,
        instructions=[NARRATE],
        config=session_config(speak=False),
    )
    session.ask('what is this?')
    texts = [session.step(make_unit(i)).segments[0].text for i in range(2)]
    assert texts == ['a' * 23, '\U0001f514 [2Jb']


def test_what_was_said_before_the_window_comes_back_with_a_question(
    roma, protocol, session_config, make_unit
):
    """The network reads it again; whether it makes use of it is a matter of its weights."""

    class Recorder(TorchEngine):
        def __init__(self, model) -> None:
            super().__init__(model)
            self.ids: list[int] = []

        def embed(self, token_ids):
            self.ids += token_ids
            return super().embed(token_ids)

    engine = Recorder(roma.model)
    session = StreamSession(
        engine,
        roma.processor,
        protocol,
        instructions=[parse_instruction('alert[0.0001]: the red cup falls', id='a')],
        config=session_config(speak=False, window_s=3, text_tokens=256),
    )
    session.ask('where is the spoon?')
    session.step(make_unit(0, video=False))
    session.remove_instruction('a')
    for index in range(1, 3):
        session.step(make_unit(index, video=False))
    session.ask('did the red cup fall?')
    for index in range(3, 3600, 400):
        session.step(make_unit(index, video=False))
    engine.ids.clear()
    session.ask('what happened to the cup and the spoon?')
    session.step(make_unit(7205, video=False))
    read = protocol.decode(engine.ids)
    assert '(2 hours ago you alerted: the red cup falls)\n' in read
    assert '(2 hours ago you were asked: where is the spoon?)\n' in read
    assert read.index('the red cup falls') < read.index('what happened to the cup')
    assert_prefilled(session)
    session.reset()
    engine.ids.clear()
    session.ask('what happened to the cup?')
    session.step(make_unit(0))
    assert 'the red cup falls' not in protocol.decode(engine.ids)


def test_a_longer_question_may_be_let_pass(engine, roma, protocol, session_config):
    question = 'what ' * 120
    shy = StreamSession(engine, roma.processor, protocol, config=session_config(speak=False))
    with pytest.raises(ValueError, match='at most 500 are allowed'):
        shy.ask(question)
    config = session_config(speak=False, max_question_chars=1000, text_tokens=1024)
    bold = StreamSession(engine, roma.processor, protocol, config=config)
    assert bold.ask(question)


def test_other_thresholds_and_lengths_count_from_the_next_unit(
    make_session, make_unit, session_config
):
    session = make_session(NARRATE, ALERT, speak=False)
    silent = session.step(make_unit(0))
    assert silent.segments == ()
    session.configure(session_config(speak=True))
    spoken = session.step(make_unit(1))
    assert all(score.triggered for score in spoken.scores)
    assert spoken.highlights[0][1].state is HighlightState.BEGIN
    session.configure(session_config(speak=False))
    ended = session.step(make_unit(2))
    assert ended.highlights[0][1].state is HighlightState.END


def test_another_window_begins_the_transcript_anew_and_keeps_what_stands(
    make_session, make_unit, session_config
):
    session = make_session(NARRATE, ALERT, speak=False)
    fresh = session.step(make_unit(0)).scores
    config = session_config(speak=False)
    window = replace(config.window, window_s=config.window.window_s + 5)
    (dialogue,) = session.dialogues
    capacity = dialogue.cache.capacity
    session.configure(replace(config, window=window))
    assert dialogue.cache.capacity > capacity
    assert_prefilled(session)
    again = session.step(make_unit(0)).scores
    assert [s.probability for s in again] == pytest.approx([s.probability for s in fresh])
    with pytest.raises(ValueError, match='share_stream cannot change'):
        session.configure(session_config(speak=False, share_stream=False))


def test_a_narration_does_not_cut_off_an_answer(make_session, make_unit):
    session = make_session(NARRATE, speak=True, max_segments=3)
    session.ask('what do you see?')
    segments = [s for i in range(6) for s in session.step(make_unit(i)).segments]
    answer = [s for s in segments if s.kind is InstructionKind.ANSWER]
    last = segments.index(answer[-1])
    assert segments[: last + 1] == answer  # nothing came between
    assert answer[-1].final
    assert answer[-1].text or len(answer) > 1  # it was not cut off as it began


def test_an_alert_stops_a_narration_and_no_answer(make_session, make_unit):
    alert = parse_instruction('alert[0.0001]: a bell rings', id='a')
    session = make_session(NARRATE, speak=True, max_segments=4)
    first = session.step(make_unit(0)).segments
    assert [(s.kind, s.final) for s in first] == [(InstructionKind.NARRATION, False)]
    session.add_instruction(alert)
    result = session.step(make_unit(1))
    ended, said = result.segments[:2]
    assert (ended.utterance_id, ended.final, ended.text) == (first[0].utterance_id, True, '')
    assert (said.kind, said.text) == (InstructionKind.ALERT, 'a bell rings')
    assert_prefilled(session)

    session = make_session(NARRATE, speak=False, max_segments=4)
    session.ask('what do you see?')
    answer = session.step(make_unit(0)).segments[0]
    session.add_instruction(alert)
    said, goes_on = session.step(make_unit(1)).segments
    assert said.kind is InstructionKind.ALERT
    assert (goes_on.utterance_id, goes_on.sequence) == (answer.utterance_id, 1)
    assert goes_on.text


def test_what_is_being_said_is_told_token_by_token(make_session, make_unit):
    session = make_session(NARRATE, speak=False, max_segments=2)
    session.ask('what do you see?')
    for index in range(2):
        partial = []
        (segment,) = session.step(make_unit(index), on_partial=partial.append).segments
        texts = [p.text for p in partial]
        assert len(texts) > 3
        for shorter, longer in zip(texts, [*texts[1:], segment.text], strict=True):
            assert longer.startswith(shorter)
        assert {(p.utterance_id, p.sequence, p.final) for p in partial} == {
            (segment.utterance_id, index, False)
        }


def test_the_time_of_units_that_were_dropped_passes_for_the_network(make_session, make_unit):
    whole, gap = (make_session(NARRATE, ALERT, speak=False) for _ in range(2))
    for index in range(6):
        whole.step(make_unit(index))
    for index in (0, 1, 5):
        gap.step(make_unit(index))
    times = [session.dialogues[0].transcript.next_position for session in (whole, gap)]
    assert times[0] == times[1]
    assert_prefilled(gap)
    # What is remembered reaches back as far in time, and positions stay bounded.
    most = times[0] - 6 * 27 + 60 * 27
    for index in range(6, 900, 3):
        gap.step(make_unit(index, video=False))
        assert gap.dialogues[0].transcript.next_position <= most
    units = [s for s in gap.dialogues[0].transcript.spans if s.kind is SpanKind.UNIT]
    assert 50 <= sum(span.seconds for span in units) <= 60
    gap.step(make_unit(10**6))  # all that is remembered is older than the window
    units = [s for s in gap.dialogues[0].transcript.spans if s.kind is SpanKind.UNIT]
    assert len(units) == 1
    assert gap.dialogues[0].transcript.next_position <= most


def test_no_time_passes_where_a_stream_begins_anew(make_session, make_unit):
    session = make_session(NARRATE, speak=False)
    session.step(make_unit(3))
    begin = session.dialogues[0].transcript.next_position
    session.reset()
    session.step(make_unit(100))
    assert session.dialogues[0].transcript.next_position == begin
