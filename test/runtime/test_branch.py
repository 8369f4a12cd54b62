"""A branch against one forward over the same tokens, and its transcript id by id."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
import itertools

import pytest
import torch

from roma_ros.model.positions import text_positions, unit_positions
from roma_ros.model.thinker import build_roma, causal_mask
from roma_ros.policy.instructions import Instruction, InstructionKind
from roma_ros.runtime.branch import Branch, Decoded
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

    def step(self, embeddings, position_ids, cache):
        self.read.append((embeddings, torch.from_numpy(position_ids)))
        return super().step(embeddings, position_ids, cache)


class Scripted(Recorder):
    """A recorder whose language head says what a test wants, one token a step."""

    script: Iterator[int] | None = None

    def step(self, embeddings, position_ids, cache):
        output = super().step(embeddings, position_ids, cache)
        if self.script is None:
            return output
        logits = torch.zeros_like(output.lm_logits)
        logits[next(self.script, 0)] = 1.0
        return replace(output, lm_logits=logits)


def one_shot(model, embeddings, positions) -> tuple[float, torch.Tensor]:
    """Return speak probability and logits after the last of all tokens, read at once."""
    with torch.inference_mode():
        output = model.forward_decoder(
            embeddings[None],
            positions[:, None],
            mask=causal_mask(len(embeddings), len(embeddings)),
        )
        probability = torch.sigmoid(model.speak_logits(output.anchor_states))
        return float(probability), model.lm_logits(output.last_hidden)[0]


def make_branch(engine, protocol, **window) -> Branch:
    return Branch(engine, protocol, NARRATE, window=WindowConfig(**window), unit_tokens=60)


def test_unit_by_unit_equals_one_forward(roma, protocol, make_unit):
    engine = Recorder(roma.model)
    branch = make_branch(engine, protocol)
    for index in range(6):
        features = roma.processor(make_unit(index, video=index != 3))
        probability = branch.read_unit(features, engine.encode(features))
        embeddings = torch.cat([e for e, _ in engine.read])
        positions = torch.cat([p for _, p in engine.read], dim=1)
        expected, _ = one_shot(roma.model, embeddings, positions)
        assert probability == pytest.approx(expected, abs=1e-5)
        assert branch.cache.length == branch.transcript.length == len(embeddings)
        if index == 2:
            branch.speak(lambda: False)


def test_the_transcript_is_prefilled_id_by_id(roma, protocol, make_unit):
    engine = Scripted(roma.model)
    branch = make_branch(engine, protocol)
    sink = [*protocol.stream_begin, *protocol.instruction(NARRATE.kind, '')]
    assert engine.ids == sink

    engine.ids.clear()
    said = protocol.encode('a bell rings')
    engine.script = iter([*said, protocol.token_ids.im_end])
    decoded = branch.speak(lambda: False)
    assert decoded.finished
    assert list(decoded.token_ids) == said
    assert engine.ids == [
        *protocol.assistant_begin,
        *said,
        protocol.token_ids.im_end,
        *protocol.user_begin,
    ]
    assert branch.cache.length == branch.transcript.length == len(sink) + len(engine.ids)


def test_an_unfinished_segment_has_25_tokens_and_says_so(roma, protocol):
    engine = Scripted(roma.model)
    branch = make_branch(engine, protocol)
    engine.ids.clear()
    said = protocol.encode('a') * 25
    engine.script = itertools.cycle(said)
    decoded = branch.speak(lambda: False)
    assert not decoded.finished
    assert list(decoded.token_ids) == said
    assert engine.ids == [
        *protocol.assistant_begin,
        *said,
        protocol.token_ids.endoftext,
        protocol.token_ids.im_end,
        *protocol.user_begin,
    ]
    assert branch.cache.length == branch.transcript.length


def test_an_interrupt_ends_at_the_next_token(roma, protocol):
    engine = Scripted(roma.model)
    branch = make_branch(engine, protocol)
    token_id = protocol.encode('a')[0]
    engine.script = itertools.cycle([token_id])
    answers = iter([False, False, False, True])
    decoded = branch.speak(lambda: next(answers))
    assert decoded == Decoded((token_id,) * 3, finished=False)
    assert branch.cache.length == branch.transcript.length


def test_special_tokens_are_never_said(roma, protocol):
    engine = Scripted(roma.model)
    branch = make_branch(engine, protocol)
    engine.script = itertools.cycle([protocol.token_ids.vision_bos])
    assert protocol.token_ids.vision_bos not in branch.speak(lambda: False).token_ids


def test_nothing_is_allocated_and_capacity_holds_over_many_windows(roma, protocol, make_unit):
    engine = TorchEngine(roma.model)
    branch = make_branch(engine, protocol, window_s=4, text_tokens=128, evict_fraction=0.5)
    pointers = branch.cache.key.data_ptr(), branch.cache.value.data_ptr()
    features = roma.processor(make_unit(0))
    embeddings = engine.encode(features)
    highest = 0
    for index in range(60):
        probability = branch.read_unit(features, embeddings)
        assert 0 < probability < 1
        if index % 3 == 0:
            branch.speak(lambda: False)
        if index % 7 == 0:
            branch.read_question(branch.tokenize_question('what is this?'))
        highest = max(highest, branch.transcript.next_position)
        assert branch.cache.length == branch.transcript.length <= branch.cache.capacity
    assert (branch.cache.key.data_ptr(), branch.cache.value.data_ptr()) == pointers
    assert highest <= branch.cache.capacity


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
    branch = make_branch(engine, protocol, window_s=5, evict_fraction=0.4)
    units, texts = [], []
    for index in range(9):
        features = roma.processor(make_unit(index, video=index % 3 > 0))
        units.append((features, engine.encode(features)))
        probability = branch.read_unit(*units[-1])
        texts.append(None)
        if index == 2:
            before = len(engine.ids)
            branch.speak(lambda: False)
            texts[-1] = engine.ids[before:]
    kept_units = [s for s in branch.transcript.spans if s.kind is SpanKind.UNIT]
    assert 0 < len(kept_units) < 9
    assert [s.kind for s in branch.transcript.spans[:2]] == [SpanKind.SINK, SpanKind.TEXT]

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
    assert next_position == branch.transcript.next_position
    expected, _ = one_shot(model, torch.cat(embeddings), torch.cat(positions, dim=1))
    if tolerance is None:
        assert 0 < abs(probability - expected) < 0.5
    else:
        assert probability == pytest.approx(expected, abs=tolerance)


def test_reset_equals_fresh(roma, protocol, engine, make_unit):
    branch, fresh = make_branch(engine, protocol), make_branch(engine, protocol)
    features = [roma.processor(make_unit(i)) for i in range(3)]
    for feature in features:
        branch.read_unit(feature, engine.encode(feature))
    branch.speak(lambda: False)
    branch.reset()
    for feature in features:
        embeddings = engine.encode(feature)
        assert branch.read_unit(feature, embeddings) == fresh.read_unit(feature, embeddings)


def test_a_question_that_would_crowd_out_the_rest_is_refused(engine, protocol):
    branch = make_branch(engine, protocol, text_tokens=64)
    with pytest.raises(ValueError, match='tokens, at most 32 are allowed'):
        branch.tokenize_question('zq ' * 40)
