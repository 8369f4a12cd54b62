from copy import deepcopy
from pathlib import Path
import sys

import pytest
import torch
from torch import nn

from roma_ros.model.checkpoint import load_roma
from roma_ros.model.identity import model_identity
from roma_ros.policy.instructions import parse_instruction
from roma_ros.runtime.engine_check import compare_engines
from roma_ros.runtime.factory import choose_engine, load_runtime
from roma_ros.runtime.session import StreamSession
from roma_ros.runtime.torch_engine import TorchEngine

QUANTIZATIONS = ('int8', 'int4')
ROMA_TINY = Path(__file__).parents[2] / 'models' / 'roma-tiny'


@pytest.fixture(scope='module', autouse=True)
def torchao():
    """Let it be found, where ``make lint`` laid it, by these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'path', [*sys.path, str(Path(sys.prefix) / 'quantize')])
        yield pytest.importorskip('torchao', reason='pip install -r requirements/quantize.txt')


def linear_layers(engine: TorchEngine) -> dict[str, nn.Linear]:
    """Return the engine's linear layers by name, the speak head's left out."""
    parts = {'decoder': engine._decoder, 'thinker': engine._model.thinker}
    return {
        f'{part}.{name}': module
        for part, whole in parts.items()
        for name, module in whole.named_modules()
        if isinstance(module, nn.Linear)
    }


def is_plain(layer: nn.Linear) -> bool:
    return type(layer.weight) is nn.Parameter


def num_bytes(layer: nn.Linear) -> int:
    weight = layer.weight
    parts = [weight] if is_plain(layer) else [getattr(weight, n) for n in weight.tensor_data_names]
    return sum(part.numel() * part.element_size() for part in parts)


@torch.inference_mode()
def rounded_twin(engine: TorchEngine, model) -> TorchEngine:
    """Return the plain engine whose weights are those that the quantized one multiplies by."""
    twin = TorchEngine(deepcopy(model))
    layers = linear_layers(engine)
    for name, layer in linear_layers(twin).items():
        if name in layers and not is_plain(layers[name]):
            product = layers[name](torch.eye(layer.in_features))
            bias = 0 if layer.bias is None else layer.bias
            if name == 'thinker.lm_head':  # the embeddings, which it may share, stay
                layer.weight = nn.Parameter(layer.weight.clone())
            layer.weight.copy_((product - bias).T)
    return twin


@pytest.fixture(scope='module')
def trained():
    """Return roma-tiny: where weights are drawn, words lie so close that rounding chooses."""
    return load_roma(ROMA_TINY)


@pytest.fixture(scope='module', params=QUANTIZATIONS)
def engines(request, trained):
    """A quantized engine, and the plain one with the same rounded weights."""
    engine = TorchEngine(deepcopy(trained.model), quantize=request.param)
    return engine, rounded_twin(engine, trained.model)


def test_gives_what_the_rounded_weights_give(engines, trained):
    differences, largest = compare_engines(*engines, trained.config)
    for name, difference in differences.items():
        assert difference <= 1e-4 * max(1, largest[name]), name
    unrounded = TorchEngine(deepcopy(trained.model))
    assert compare_engines(engines[0], unrounded, trained.config)[0]['lm_logits'] > 1e-3


def test_a_whole_stream_reads_as_with_the_rounded_weights(
    engines, trained, protocol, make_unit, session_config, assert_streams_alike
):
    results = []
    for engine in engines:
        session = StreamSession(
            engine,
            trained.processor,
            protocol,
            instructions=[
                parse_instruction('narrate', id='n'),
                parse_instruction('alert: a bell rings', id='a'),
            ],
            config=session_config(speak=True, window_s=3, text_tokens=64),
        )
        results.append([session.step(make_unit(index)) for index in range(6)])
    assert_streams_alike(*results)
    assert sum(len(result.said) for result in results[0]) > 3


@pytest.mark.parametrize(('quantize', 'share'), [('int8', 0.28), ('int4', 0.2)])
def test_weights_shrink_and_exist_once(roma, quantize, share):
    plain = TorchEngine(deepcopy(roma.model))
    engine = TorchEngine(deepcopy(roma.model), quantize=quantize)
    sizes = {
        each: sum(map(num_bytes, layers.values()))
        for each, layers in (
            (e, {n: m for n, m in linear_layers(e).items() if n.startswith('decoder')})
            for e in (plain, engine)
        )
    }
    assert sizes[engine] < share * sizes[plain]
    assert not engine._model.decoder.layers
    # The embeddings are looked up as they were, also where the lm head shared them.
    assert torch.equal(engine.embed([5]), plain.embed([5]))


@pytest.mark.parametrize('quantize', QUANTIZATIONS)
def test_layers_that_no_group_fits_stay_as_they_are(make_checkpoint, quantize):
    engine = TorchEngine(load_roma(make_checkpoint()).model, quantize=quantize)
    layers = linear_layers(engine).values()
    assert {is_plain(layer) for layer in layers} == {False, True}
    for layer in layers:
        assert is_plain(layer) == bool(layer.in_features % 32 or layer.out_features % 16)


def test_the_runtime_takes_bfloat16_unless_told(drawn):
    runtime = load_runtime(drawn, quantize='int4', engine='auto', device='cpu', threads=1)
    assert runtime.engine.name == 'torch'
    embedded = runtime.engine.embed([1, 2])
    assert embedded.dtype == torch.bfloat16
    cpu = torch.device('cpu')
    assert choose_engine(drawn, cpu, torch.float32, quantize='int8').engine == 'torch'
    runtime = load_runtime(drawn, quantize='int8', dtype='float32', device='cpu', threads=1)
    assert runtime.engine.embed([1]).dtype == torch.float32


def test_results_of_rounded_weights_are_no_others(drawn):
    plain, rounded = model_identity(drawn), model_identity(drawn, quantize='int8')
    assert rounded == plain | {'quantize': 'int8'} != plain


def test_what_cannot_be_quantized_says_why(graphs, drawn, roma, monkeypatch):
    for model, engine in ((graphs, ''), (graphs, 'torch'), (drawn, 'onnxruntime')):
        with pytest.raises(ValueError, match='graphs are quantized when they are made: roma exp'):
            load_runtime(model, engine=engine, quantize='int8', device='cpu', threads=1)
    with pytest.raises(ValueError, match="quantize is 'int3', expected int8, int4"):
        TorchEngine(roma.model, quantize='int3')
    monkeypatch.setitem(sys.modules, 'torchao.quantization', None)
    with pytest.raises(ImportError, match=r"needs torchao 0\.18: pip install 'torchao>=0\.18'"):
        TorchEngine(roma.model, quantize='int8')
    assert roma.model.decoder.layers  # nothing is lost
