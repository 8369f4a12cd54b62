from dataclasses import replace
from itertools import pairwise

from hypothesis import given, strategies as st
import numpy as np
import pytest
import torch

from roma_ros.model.processor import UnitProcessor
from roma_ros.policy.instructions import Instruction, InstructionKind
from roma_ros.policy.triggers import TriggerConfig
from roma_ros.runtime.engine import StepOutput
from roma_ros.runtime.session import SessionConfig, StreamSession
from roma_ros.runtime.torch_engine import TorchEngine
from roma_ros.training.batching import collate, make_sample, mishear, pack
from roma_ros.training.forward import (
    embed_batch,
    encode_audio,
    encode_video,
    forward_batch,
)
from roma_ros.training.losses import language_loss, speak_loss
from roma_ros.training.supervision import supervise_tabletop, Supervision, Turn
from roma_ros.training.tabletop.labels import Event, Question

LONG = ' '.join(['the red ball hits the blue box and falls'] * 4)


def run_session(model, protocol, stream, supervision):
    """Return the speak logits of each unit, and the words' logits, as a session gives them."""
    speak, lm = [], []
    words: list[int] = []
    engine = TorchEngine(model)
    plain_step = engine.step
    plain_embed = engine.embed
    state = {'unit': -1, 'ids': None}

    def embed(token_ids):
        state['ids'] = list(token_ids)
        return plain_embed(token_ids)

    def step(embeddings, position_ids, cache, *, mask=None, num_anchors=1):
        output = plain_step(embeddings, position_ids, cache, mask=mask, num_anchors=num_anchors)
        ids, state['ids'] = state['ids'], None
        if ids is None:  # a unit: it is encoded, and not looked up
            state['unit'] += 1
            speak.append(output.speak_logits)
            turn = supervision.turns.get(state['unit'])
            if turn is not None:
                words[:] = [*protocol.encode(turn.text), protocol.token_ids.im_end]
            speaks = turn is not None and not turn.question
            forced = torch.full_like(output.speak_logits, -50.0)
            forced[0] = 50.0 if speaks else -50.0
            return StepOutput(forced, output.lm_logits)
        # After the begin of a turn, or one word: the next word is chosen from this.
        if words and (len(embeddings) == 1 or ids == protocol.assistant_begin):
            lm.append(output.lm_logits)
            forced = torch.zeros_like(output.lm_logits)
            forced[words.pop(0)] = 1.0
            return StepOutput(output.speak_logits, forced)
        return output

    engine.step, engine.embed = step, embed
    trigger = TriggerConfig(threshold=0.5, hysteresis=None)
    instructions = [
        Instruction(id=f'alert-{i}', kind=InstructionKind.ALERT, text=watch.text)
        for i, watch in enumerate(supervision.watches)
    ]
    if supervision.narrate:
        instructions.append(Instruction(id='narrate', kind=InstructionKind.NARRATION))
    session = StreamSession(
        engine,
        UnitProcessor(model.config.processor),
        protocol,
        instructions=instructions,
        config=SessionConfig(triggers=dict.fromkeys(InstructionKind, trigger)),
    )
    for index in range(stream.duration_s):
        turn = supervision.turns.get(index)
        if turn is not None and turn.question:
            session.ask(turn.question)
        session.step(stream.unit(index))
    return torch.stack(speak), torch.stack(lm)


@pytest.mark.parametrize('narrate', [True, False])
@torch.inference_mode()
def test_the_batch_is_what_a_session_reads(
    small_roma, protocol, make_stream, speech, narrate: bool
):
    asked = speech('what color is the ball', 4.6)
    stream = make_stream(
        1,
        duration_s=6,
        narrate=narrate,
        events=(Event(1.3, 'hits', 'ball', 'red', LONG),),
        questions=(
            Question('how many things are there', 0.4, 'count', 'one'),
            Question(asked.text, asked.end_s, 'color', 'red', asked),
        ),
        speech=(asked,),
    )
    supervision = supervise_tabletop(stream)
    assert len(supervision.watches) == 2
    assert set(supervision.turns) == ({0, 1, 4} if narrate else {0, 4})
    processor = UnitProcessor(small_roma.config.processor)
    features = [processor(stream.unit(i)) for i in range(6)]
    # A label at each anchor, so that all can be compared.
    everywhere = replace(
        supervision,
        labels=(False,) * 6,
        watches=tuple(replace(w, labels=(False,) * 6) for w in supervision.watches),
    )
    sample = make_sample(features, everywhere, protocol)
    shorter = make_sample(features[:2], Supervision(2, labels=(False,) * 2), protocol)

    output = forward_batch(small_roma, collate([sample, shorter], protocol))
    speak, lm = run_session(small_roma, protocol, stream, supervision)

    ours = output.speak_logits[: 6 * 3].view(6, 3)
    assert speak.std() > 0.1
    torch.testing.assert_close(ours, speak, atol=1e-4, rtol=0)
    words = output.lm_logits
    assert len(words) == len(lm)
    assert lm.std() > 0.1
    torch.testing.assert_close(words, lm, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_towers_over_all_units_equal_unit_by_unit(small_roma, protocol, make_stream):
    stream = make_stream(2)
    processor = UnitProcessor(small_roma.config.processor)
    features = [processor(stream.unit(i)) for i in range(5)]
    sample = make_sample(features, Supervision(5, labels=(False,) * 5), protocol)

    batch = collate([sample], protocol)
    video, audio = encode_video(small_roma, batch), encode_audio(small_roma, batch)
    embeddings = embed_batch(small_roma, batch, video, audio)[0]

    begin = len(protocol.stream_begin)
    for unit, unit_features in enumerate(features):
        alone = small_roma.encode(unit_features)
        part = embeddings[begin + unit * len(alone) : begin + (unit + 1) * len(alone)]
        torch.testing.assert_close(part, alone, atol=1e-5, rtol=0)


def test_a_long_text_goes_on_after_the_next_unit(small_roma, protocol, make_stream):
    stream = make_stream(duration_s=3)
    processor = UnitProcessor(small_roma.config.processor)
    features = [processor(stream.unit(i)) for i in range(3)]
    words = protocol.encode(LONG)
    assert 25 < len(words) < 50
    supervision = Supervision(3, turns={0: Turn(LONG, 'x')}, labels=(False,) * 3)

    sample = make_sample(features, supervision, protocol)

    ids = protocol.token_ids
    assert sample.lm_targets.tolist() == [*words, ids.im_end]
    ends = np.flatnonzero(sample.token_ids == ids.endoftext)
    assert len(ends) == 1
    assert sample.token_ids[ends[0] - 25 : ends[0]].tolist() == words[:25]
    units = np.flatnonzero(sample.token_ids == ids.vision_eos)
    assert units[0] < ends[0] < units[1] < sample.lm_rows[-1] < units[2]
    # Each target follows the token after which it is said.
    following = sample.token_ids[sample.lm_rows + 1]
    assert following.tolist() == sample.lm_targets.tolist()


def test_a_new_turn_discards_what_is_left(small_roma, protocol, make_stream):
    stream = make_stream(duration_s=3)
    processor = UnitProcessor(small_roma.config.processor)
    features = [processor(stream.unit(i)) for i in range(3)]
    supervision = Supervision(
        3, turns={0: Turn(LONG, 'x'), 1: Turn('red', 'color')}, labels=(False,) * 3
    )

    sample = make_sample(features, supervision, protocol)

    targets = [*protocol.encode(LONG)[:25], *protocol.encode('red'), protocol.token_ids.im_end]
    assert sample.lm_targets.tolist() == targets
    assert [turn for turn, _, _ in sample.lm_turns] == ['x', 'color']


def test_what_is_not_to_be_learned_is_no_target(small_roma, protocol, make_stream):
    stream = make_stream(duration_s=3, narrate=True)
    processor = UnitProcessor(small_roma.config.processor)
    features = [processor(stream.unit(i)) for i in range(3)]
    supervision = supervise_tabletop(stream, learn_narration=False)

    sample = make_sample(features, supervision, protocol)

    assert len(sample.lm_rows) == 0
    said = protocol.decode(sample.token_ids.tolist())
    assert 'the red ball enters' in said
    main = [
        label
        for label, name in zip(sample.speak_labels, sample.speak_names, strict=True)
        if name == 'narrate'
    ]
    assert main == [0.0, 0.0, 1.0]


def test_misheard_words_are_inputs_alone(small_roma, protocol, make_stream):
    processor = UnitProcessor(small_roma.config.processor)
    features = [processor(make_stream(duration_s=3).unit(i)) for i in range(3)]
    turns = {0: Turn('the red ball enters', 'x'), 2: Turn('a knock', 'y', 'what do you hear')}
    sample = make_sample(features, Supervision(3, turns=turns, labels=(None,) * 3), protocol)
    batch = collate([sample, sample], protocol)

    changed = [mishear(batch, 0.5, seed=seed) for seed in range(20)]

    said = {batch.lm_rows[i].item() for _, a, b in batch.lm_turns for i in range(a + 1, b)}
    words = {batch.token_ids.view(-1)[row].item() for row in said}
    moved = set()
    for other in changed:
        differs = (other.token_ids != batch.token_ids).view(-1).nonzero().flatten().tolist()
        moved |= set(differs)
        assert {other.token_ids.view(-1)[row].item() for row in differs} <= words
        assert torch.equal(other.lm_targets, batch.lm_targets)
    assert moved == said
    assert (
        0.2
        < np.mean(
            [(other.token_ids != batch.token_ids).sum().item() / len(said) for other in changed]
        )
        < 0.5
    )
    assert torch.equal(mishear(batch, 0.0, seed=0).token_ids, batch.token_ids)


def test_labels_and_units_must_fit(small_roma, protocol, make_stream):
    features = [UnitProcessor(small_roma.config.processor)(make_stream().unit(0))]

    with pytest.raises(ValueError, match='1 units, 2 stated'):
        make_sample(features, Supervision(2, labels=(False,) * 2), protocol)


def test_streams_of_different_lengths_share_rows_and_learn_what_they_learn_alone(
    small_roma, protocol, make_stream
):
    processor = UnitProcessor(small_roma.config.processor)
    samples = []
    for seed, duration_s in enumerate((12, 2, 3, 1)):
        stream = make_stream(seed, duration_s=duration_s, narrate=seed != 1)
        features = [processor(stream.unit(i)) for i in range(duration_s)]
        samples.append(make_sample(features, supervise_tabletop(stream), protocol))

    packed = collate(samples, protocol)
    alone = [collate([sample], protocol) for sample in samples]

    assert packed.token_ids.shape == (2, len(samples[0].token_ids))
    with torch.no_grad():
        together = forward_batch(small_roma, packed)
        apart = [forward_batch(small_roma, batch) for batch in alone]
    for name in ('speak_logits', 'lm_logits'):
        expected = torch.cat([getattr(output, name) for output in apart])
        torch.testing.assert_close(getattr(together, name), expected, atol=1e-4, rtol=1e-4)
    labels = torch.cat([batch.speak_labels for batch in alone])
    targets = torch.cat([batch.lm_targets for batch in alone])
    assert torch.equal(packed.speak_labels, labels)
    assert torch.equal(packed.lm_targets, targets)
    assert len(labels) > 10
    assert len(targets) > 5
    for loss, logits, truth in (
        (speak_loss, 'speak_logits', labels),
        (language_loss, 'lm_logits', targets),
    ):
        expected = loss(torch.cat([getattr(output, logits) for output in apart]), truth)
        torch.testing.assert_close(loss(getattr(together, logits), truth), expected)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_packed_lengths_never_meet_and_leave_no_two_rows_that_fit_in_one(lengths):
    places = pack(lengths)

    rows: dict[int, list[tuple[int, int]]] = {}
    for (row, start), length in zip(places, lengths, strict=True):
        rows.setdefault(row, []).append((start, start + length))
    for spans in rows.values():
        spans.sort()
        assert spans[0][0] == 0
        assert all(a[1] == b[0] for a, b in pairwise(spans))
        assert spans[-1][1] <= max(lengths)
    used = sorted(spans[-1][1] for spans in rows.values())
    assert len(used) == 1 or used[0] + used[1] > max(lengths)
    assert sorted(rows) == list(range(len(rows)))
