"""A dialogue against one forward over the same tokens, and its transcript id by id."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
import itertools

import pytest
import torch

from roma_ros.model.masks import causal_mask
from roma_ros.model.positions import text_positions, unit_positions
from roma_ros.model.thinker import build_roma
from roma_ros.policy.instructions import Instruction, InstructionKind
from roma_ros.runtime.dialogue import Decoded, Dialogue
from roma_ros.runtime.torch_engine import TorchEngine
from roma_ros.runtime.transcript import SpanKind, WindowConfig

NARRATE = Instruction(id='n', kind=InstructionKind.NARRATION)


class Recorder(TorchEngine):
    """The torch engine, remembering every embedding and position in the order they were read."""

    def __init__(self, model) -> None:
        super().__init__(model)
        self.read: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.ids: list[int] = []

    def embed(self, token_ids):
        self.ids += token_ids
        return super().embed(token_ids)

    def step(self, embeddings, position_ids, cache, **options):
        self.read.append((embeddings, torch.from_numpy(position_ids)))
        return super().step(embeddings, position_ids, cache, **options)


class Scripted(Recorder):
    """A recorder whose language head says what a test wants, one token a step."""

    script: Iterator[int] | None = None

    def step(self, embeddings, position_ids, cache, **options):
        output = super().step(embeddings, position_ids, cache, **options)
        if self.script is None:
            return output
        logits = torch.zeros_like(output.lm_logits)
        logits[next(self.script, 0)] = 1.0
        return replace(output, lm_logits=logits)


def one_shot(model, embeddings, positions, mask=None) -> float:
    """Return the speak probability after the last of all tokens, read at once without a cache."""
    if mask is None:
        mask = causal_mask(len(embeddings), len(embeddings))
    with torch.inference_mode():
        output = model.forward_decoder(embeddings[None], positions[:, None], mask=mask)
        return float(torch.sigmoid(model.speak_logits(output.anchor_states)))


def make_dialogue(engine, protocol, *, narrate=True, **window) -> Dialogue:
    dialogue = Dialogue(engine, protocol, window=WindowConfig(**window), unit_tokens=60)
    if narrate:
        dialogue.add(NARRATE, beside=False)
    return dialogue


def test_unit_by_unit_equals_one_forward(roma, protocol, make_unit):
    engine = Recorder(roma.model)
    dialogue = make_dialogue(engine, protocol)
    for index in range(6):
        features = roma.processor(make_unit(index, video=index != 3))
        probability, _ = dialogue.read_unit(features, engine.encode(features))
        embeddings = torch.cat([e for e, _ in engine.read])
        positions = torch.cat([p for _, p in engine.read], dim=1)
        expected = one_shot(roma.model, embeddings, positions)
        assert probability == pytest.approx(expected, abs=1e-5)
        assert dialogue.cache.length == dialogue.transcript.length == len(embeddings)
        if index == 2:
            dialogue.speak(lambda: False)


def test_the_transcript_is_prefilled_id_by_id(roma, protocol, make_unit):
    engine = Scripted(roma.model)
    dialogue = make_dialogue(engine, protocol)
    sink = [*protocol.stream_begin, *protocol.instruction(NARRATE.kind, '')]
    assert engine.ids == sink

    engine.ids.clear()
    said = protocol.encode('a bell rings')
    engine.script = iter([*said, protocol.token_ids.im_end])
    decoded = dialogue.speak(lambda: False)
    assert decoded.finished
    assert list(decoded.token_ids) == said
    assert engine.ids == [
        *protocol.assistant_begin,
        *said,
        protocol.token_ids.im_end,
        *protocol.user_begin,
    ]
    assert dialogue.cache.length == dialogue.transcript.length == len(sink) + len(engine.ids)


def test_an_unfinished_segment_has_25_tokens_and_says_so(roma, protocol):
    engine = Scripted(roma.model)
    dialogue = make_dialogue(engine, protocol)
    engine.ids.clear()
    said = protocol.encode('a') * 25
    engine.script = itertools.cycle(said)
    decoded = dialogue.speak(lambda: False)
    assert not decoded.finished
    assert list(decoded.token_ids) == said
    assert engine.ids == [
        *protocol.assistant_begin,
        *said,
        protocol.token_ids.endoftext,
        protocol.token_ids.im_end,
        *protocol.user_begin,
    ]
    assert dialogue.cache.length == dialogue.transcript.length


def test_an_interrupt_ends_at_the_next_token(roma, protocol):
    engine = Scripted(roma.model)
    dialogue = make_dialogue(engine, protocol)
    token_id = protocol.encode('a')[0]
    engine.script = itertools.cycle([token_id])
    answers = iter([False, False, False, True])
    decoded = dialogue.speak(lambda: next(answers))
    assert decoded == Decoded((token_id,) * 3, finished=False)
    assert dialogue.cache.length == dialogue.transcript.length


def test_the_next_unit_ends_a_segment_but_not_its_first_words(roma, protocol):
    engine = Scripted(roma.model)
    dialogue = make_dialogue(engine, protocol)
    token_id = protocol.encode('a')[0]
    engine.script = itertools.cycle([token_id])
    decoded = dialogue.speak(lambda: False, lambda: True)
    assert decoded == Decoded((token_id,) * 5, finished=False)
    assert dialogue.cache.length == dialogue.transcript.length


def test_special_tokens_are_never_said(roma, protocol):
    engine = Scripted(roma.model)
    dialogue = make_dialogue(engine, protocol)
    engine.script = itertools.cycle([protocol.token_ids.vision_bos])
    assert protocol.token_ids.vision_bos not in dialogue.speak(lambda: False).token_ids


def test_nothing_is_allocated_and_capacity_holds_over_many_windows(roma, protocol, make_unit):
    engine = TorchEngine(roma.model)
    dialogue = make_dialogue(engine, protocol, window_s=4, text_tokens=128, evict_fraction=0.5)
    pointers = dialogue.cache.key.data_ptr(), dialogue.cache.value.data_ptr()
    features = roma.processor(make_unit(0))
    embeddings = engine.encode(features)
    highest = 0
    for index in range(60):
        probability, _ = dialogue.read_unit(features, embeddings)
        assert 0 < probability < 1
        if index % 3 == 0:
            dialogue.speak(lambda: False)
        if index % 7 == 0:
            dialogue.read_question('what is this?')
        highest = max(highest, dialogue.transcript.next_position)
        assert dialogue.cache.length == dialogue.transcript.length <= dialogue.cache.capacity
    assert (dialogue.cache.key.data_ptr(), dialogue.cache.value.data_ptr()) == pointers
    assert highest <= dialogue.cache.capacity


@pytest.mark.parametrize(('num_layers', 'tolerance'), [(1, 1e-5), (6, None)])
def test_after_eviction_equals_a_forward_over_what_was_kept(
    roma, protocol, make_unit, num_layers, tolerance
):
    """
    Compare with a fresh forward over exactly the kept tokens at their new positions.

    One layer's keys and values depend on its token alone, so there it is equal; deeper layers
    were computed while they could see what has been evicted, and differ by design.
    """
    config = deepcopy(roma.config)
    config.thinker.text_config.num_hidden_layers = num_layers
    config.thinker.text_config.layer_types = ['full_attention'] * num_layers
    mixed = replace(config.speak_head, num_layers_mixed=min(num_layers, 4))
    model = build_roma(replace(config, speak_head=mixed), seed=0)
    engine = Recorder(model)
    dialogue = make_dialogue(engine, protocol, window_s=5, evict_fraction=0.4)
    units, texts = [], []
    for index in range(9):
        features = roma.processor(make_unit(index, video=index % 3 > 0))
        units.append((features, engine.encode(features)))
        probability, _ = dialogue.read_unit(*units[-1])
        texts.append(None)
        if index == 2:
            before = len(engine.ids)
            dialogue.speak(lambda: False)
            texts[-1] = engine.ids[before:]
    kept_units = [s for s in dialogue.transcript.spans if s.kind is SpanKind.UNIT]
    assert 0 < len(kept_units) < 9
    kinds = [s.kind for s in dialogue.transcript.spans[:3]]
    assert kinds == [SpanKind.SINK, SpanKind.SINK, SpanKind.TEXT]

    embeddings, positions = [], []
    next_position = 0
    sink = [*protocol.stream_begin, *protocol.instruction(NARRATE.kind, '')]
    for ids in (sink, texts[2]):
        embeddings.append(engine.embed(ids))
        ids_positions, next_position = text_positions(len(ids), next_position)
        positions.append(torch.from_numpy(ids_positions))
    for features, embedding in units[9 - len(kept_units) :]:
        embeddings.append(embedding)
        unit_ids, next_position = unit_positions(features.grid_thw, 25, next_position)
        positions.append(torch.from_numpy(unit_ids))
    assert next_position == dialogue.transcript.next_position
    expected = one_shot(model, torch.cat(embeddings), torch.cat(positions, dim=1))
    if tolerance is None:
        assert 0 < abs(probability - expected) < 0.5
    else:
        assert probability == pytest.approx(expected, abs=tolerance)


def test_reset_equals_fresh(roma, protocol, engine, make_unit):
    dialogue, fresh = make_dialogue(engine, protocol), make_dialogue(engine, protocol)
    features = [roma.processor(make_unit(i)) for i in range(3)]
    for feature in features:
        dialogue.read_unit(feature, engine.encode(feature))
    dialogue.speak(lambda: False)
    dialogue.reset()
    for feature in features:
        embeddings = engine.encode(feature)
        assert dialogue.read_unit(feature, embeddings) == fresh.read_unit(feature, embeddings)


def test_a_question_that_would_crowd_out_the_rest_is_refused(engine, protocol):
    dialogue = make_dialogue(engine, protocol, text_tokens=64)
    with pytest.raises(ValueError, match='tokens, at most 32 are allowed'):
        dialogue.check_question('zq ' * 40)


WATCHES = [
    Instruction(id=f'w{n}', kind=InstructionKind.ALERT, text=text)
    for n, text in enumerate(['a bell rings', 'the blue box leaves the table', 'glass breaks'])
]


def run(dialogue, engine, processor, units):
    """Read units and return what the stream and the watches said of each."""
    results = []
    for unit in units:
        features = processor(unit)
        results.append(dialogue.read_unit(features, engine.encode(features)))
        assert dialogue.cache.length == dialogue.transcript.length
    return results


def test_a_watch_equals_one_forward_in_which_nothing_else_sees_it(roma, protocol, make_unit):
    engine = TorchEngine(roma.model)
    dialogue = make_dialogue(engine, protocol)
    for watch in WATCHES:
        dialogue.add(watch, beside=True)
    units = [make_unit(i, video=i != 1) for i in range(4)]
    _, beside = run(dialogue, engine, roma.processor, units)[-1]

    system, narration = protocol.stream_begin, protocol.instruction(NARRATE.kind, '')
    for watch in WATCHES:
        words = protocol.instruction(watch.kind, watch.text)
        embeddings = [engine.embed([*system, *narration, *words])]
        next_position = len(system) + len(narration)
        positions = [
            torch.arange(next_position).expand(3, -1),
            len(system) + torch.arange(len(words)).expand(3, -1),
        ]
        for unit in units:
            features = roma.processor(unit)
            embeddings.append(engine.encode(features))
            ids, next_position = unit_positions(features.grid_thw, 25, next_position)
            positions.append(torch.from_numpy(ids))
        embeddings, positions = torch.cat(embeddings), torch.cat(positions, dim=1)
        mask = causal_mask(len(embeddings), len(embeddings))[0, 0].clone()
        first = len(system) + len(narration)
        block = slice(first, first + len(words))
        mask[block.stop : -1, block] = False  # the stream does not see the watch
        mask[block, len(system) : first] = False  # nor it the narration
        expected = one_shot(roma.model, embeddings, positions, mask[None, None])
        assert beside[watch.id] == pytest.approx(expected, abs=1e-5)


def test_watches_change_neither_the_stream_nor_each_other(roma, protocol, engine, make_unit):
    units = [make_unit(i) for i in range(3)]
    plain = make_dialogue(engine, protocol)
    alone = make_dialogue(engine, protocol)
    alone.add(WATCHES[1], beside=True)
    together = make_dialogue(engine, protocol)
    for watch in WATCHES:
        together.add(watch, beside=True)
    texts = []
    for dialogue in (plain, alone, together):
        dialogue.results = run(dialogue, engine, roma.processor, units)
        texts.append(dialogue.speak(lambda: False))
    for a, b, c in zip(plain.results, alone.results, together.results, strict=True):
        assert a[0] == pytest.approx(b[0], abs=1e-5) == pytest.approx(c[0], abs=1e-5)
        assert b[1]['w1'] == pytest.approx(c[1]['w1'], abs=1e-5)
    assert texts[0] == texts[1] == texts[2]
    assert len({round(p, 4) for p in together.results[-1][1].values()}) == 3


def test_a_watch_sees_the_stream_from_before_it_was_added_and_through_evictions(
    roma, protocol, engine, make_unit
):
    """Added late, or early and moved by evictions and by the removal of another: all equal."""
    units = [make_unit(i) for i in range(7)]
    window = {'window_s': 3, 'evict_fraction': 0.4}
    early = make_dialogue(engine, protocol, **window)
    early.add(WATCHES[0], beside=True)
    early.add(WATCHES[1], beside=True)
    run(early, engine, roma.processor, units[:2])
    early.remove('w0')
    late = make_dialogue(engine, protocol, **window)
    run(late, engine, roma.processor, units[:2])
    late.add(WATCHES[1], beside=True)
    for dialogue in (early, late):
        dialogue.results = run(dialogue, engine, roma.processor, units[2:])
    for a, b in zip(early.results, late.results, strict=True):
        assert a[0] == pytest.approx(b[0], abs=1e-5)
        assert a[1].keys() == b[1].keys() == {'w1'}
        assert a[1]['w1'] == pytest.approx(b[1]['w1'], abs=1e-5)


def test_reset_keeps_what_stands(roma, protocol, engine, make_unit):
    dialogue = make_dialogue(engine, protocol)
    dialogue.add(WATCHES[0], beside=True)
    units = [make_unit(i) for i in range(2)]
    first = run(dialogue, engine, roma.processor, units)
    dialogue.reset()
    assert run(dialogue, engine, roma.processor, units) == first


def test_a_removed_instruction_leaves_no_trace_in_the_cache(protocol, engine):
    dialogue = make_dialogue(engine, protocol, narrate=False)
    before = list(dialogue.transcript.spans)
    dialogue.add(NARRATE, beside=False)
    dialogue.add(WATCHES[0], beside=True)
    for name in ('n', 'w0'):
        dialogue.remove(name)
    assert dialogue.transcript.spans == before
    assert dialogue.transcript.next_position == dialogue.cache.length


def test_instructions_that_do_not_fit_are_refused(protocol, engine):
    dialogue = make_dialogue(engine, protocol, standing_tokens=30)
    with pytest.raises(ValueError, match=r'takes \d+ tokens beside \d+ .* at most 30'):
        dialogue.add(replace(WATCHES[0], text='zq ' * 30), beside=True)
    assert dialogue.cache.length == dialogue.transcript.length


def test_full_budgets_leave_room_for_the_anchors(roma, protocol, engine, make_unit):
    """The watches' anchors stand behind a unit for a moment, where nothing else may go."""
    features = roma.processor(make_unit(0))
    embeddings = engine.encode(features)
    words = sum(len(protocol.instruction(w.kind, w.text)) for w in WATCHES)
    dialogues = []
    for standing_tokens in (words + len(WATCHES) - 1, words + len(WATCHES)):
        window = WindowConfig(window_s=2, text_tokens=64, standing_tokens=standing_tokens)
        dialogues.append(Dialogue(engine, protocol, window=window, unit_tokens=len(embeddings)))
        for watch in WATCHES[:2]:
            dialogues[-1].add(watch, beside=True)
    with pytest.raises(ValueError, match=r'at most \d+ are allowed'):
        dialogues[0].add(WATCHES[2], beside=True)
    dialogue = dialogues[1]
    dialogue.add(WATCHES[2], beside=True)
    dialogue._read_text(SpanKind.TEXT, protocol.encode('a') * 64)  # the text budget, to the last
    for _ in range(3):
        dialogue.read_unit(features, embeddings)
    assert dialogue.cache.length + len(WATCHES) == dialogue.cache.capacity


def test_until_the_first_eviction_a_bounded_cache_changes_no_bit(
    roma, protocol, engine, make_unit
):
    units = [make_unit(i) for i in range(5)]
    bounded = make_dialogue(engine, protocol, window_s=4)
    roomy = make_dialogue(engine, protocol, window_s=100)
    one, other = (run(d, engine, roma.processor, units) for d in (bounded, roomy))
    assert one[:4] == other[:4]
    assert one[4] != other[4]  # the first unit has gone
    assert bounded.transcript.next_position < roomy.transcript.next_position


def test_a_unit_after_missed_ones_equals_a_forward_at_its_time(roma, protocol, make_unit):
    engine = Recorder(roma.model)
    dialogue = make_dialogue(engine, protocol)
    for index, missed in ((0, 0), (3, 2)):
        features = roma.processor(make_unit(index))
        probability, _ = dialogue.read_unit(features, engine.encode(features), missed=missed)
    *_, (_, first), (_, second) = engine.read
    assert int(second.min() - first.min()) == 3 * 27
    embeddings = torch.cat([e for e, _ in engine.read])
    positions = torch.cat([p for _, p in engine.read], dim=1)
    expected = one_shot(roma.model, embeddings, positions)
    assert probability == pytest.approx(expected, abs=1e-5)
