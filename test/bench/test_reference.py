import pytest

from roma_ros.bench.reference import ReferenceLoop
from roma_ros.bench.synthetic import SyntheticStream
from roma_ros.model.checkpoint import load_roma
from roma_ros.model.prompts import MAX_SEGMENT_TOKENS, Protocol
from roma_ros.policy.instructions import InstructionKind
from roma_ros.policy.triggers import TriggerConfig
from roma_ros.runtime.factory import default_model
from roma_ros.runtime.session import SessionConfig, StreamSession
from roma_ros.runtime.torch_engine import TorchEngine


@pytest.fixture(scope='module')
def loaded():
    return load_roma(default_model())


def test_the_reference_reads_as_our_session_does_and_keeps_what_it_says(loaded):
    protocol = Protocol(loaded.tokenizer)
    protocol.stop_ids = frozenset({protocol.token_ids.endoftext})
    reference = ReferenceLoop(loaded.model, loaded.processor, protocol)
    silent = TriggerConfig(threshold=1 - 1e-12)
    session = StreamSession(
        TorchEngine(loaded.model),
        loaded.processor,
        protocol,
        config=SessionConfig(triggers=dict.fromkeys(InstructionKind, silent)),
    )
    stream = SyntheticStream(0)
    for index in range(3):
        unit = stream.unit(index)
        (score,) = session.step(unit).scores
        assert reference.step(unit) == pytest.approx(score.probability, abs=1e-4)
    before = reference.length
    said = reference.reply()
    assert len(said) == MAX_SEGMENT_TOKENS
    around = len(protocol.assistant_begin + protocol.segment_unfinished + protocol.user_begin)
    assert reference.length - before == MAX_SEGMENT_TOKENS + around


def test_ageing_grows_the_cache(loaded):
    reference = ReferenceLoop(loaded.model, loaded.processor, Protocol(loaded.tokenizer))
    before = reference.length
    reference.age(1000)
    assert reference.length == before + 1000
    assert 0 < reference.step(SyntheticStream(0).unit(0)) < 1
