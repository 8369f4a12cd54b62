import json
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
import pytest
import torch

from roma_ros.cli.export import main
from roma_ros.model.checkpoint import load_roma
from roma_ros.runtime import export
from roma_ros.runtime.engine_check import compare_engines
from roma_ros.runtime.export import export_model, TOLERANCE
from roma_ros.runtime.exported import GRAPH_NAMES, read_manifest
from roma_ros.runtime.graphs.quantization import QUANTIZATIONS, quantize
from roma_ros.runtime.onnx_engine import OnnxEngine
from roma_ros.runtime.torch_engine import TorchEngine

ROMA_TINY = Path(__file__).parents[2] / 'models' / 'roma-tiny'
CPU = torch.device('cpu')


@pytest.mark.parametrize(
    'fields',
    [
        {},
        {'tie': True, 'head_width': 0},
        {'head_width': 20, 'num_key_value_heads': 4, 'num_hidden_layers': 3},
        {'num_key_value_heads': 1},
    ],
)
def test_graphs_equal_torch_for_networks_of_many_shapes(make_checkpoint, tmp_path, fields):
    checkpoint = make_checkpoint(**fields)
    manifest = export_model(checkpoint, tmp_path)
    # Export itself refuses graphs that differ; here it is looked at from outside.
    loaded = load_roma(checkpoint)
    engine = OnnxEngine(tmp_path, loaded.config, device=CPU, threads=1)
    differences, largest = compare_engines(engine, TorchEngine(loaded.model), loaded.config)
    assert differences.keys() == manifest.differences.keys()
    for name, difference in differences.items():
        assert difference <= TOLERANCE * max(1, largest[name]), name
        assert largest[name] > 0.1, name


def test_graphs_hold_standard_operators_alone(graphs):
    for name in GRAPH_NAMES:
        file = graphs / f'{name}.onnx'
        onnx.checker.check_model(file, full_check=True)
        model = onnx.load(file, load_external_data=False)
        assert [(o.domain, o.version) for o in model.opset_import] == [('', 24)]
        assert {node.domain for node in model.graph.node} == {''}
        assert file.stat().st_size < 100_000  # the weights are beside it
    step = onnx.load(graphs / 'step.onnx', load_external_data=False)
    kinds = [node.op_type for node in step.graph.node]
    layers = read_manifest(graphs).num_layers
    assert kinds.count('Attention') == layers
    assert kinds.count('TensorScatter') == kinds.count('RotaryEmbedding') == 2 * layers


def test_the_manifest_describes_the_graphs(graphs, roma):
    manifest = read_manifest(graphs)
    text = roma.config.thinker.text_config
    assert manifest.model['name'] == 'roma-tiny'
    assert (manifest.dtype, manifest.quantization, manifest.capacity) == ('float32', '', None)
    step = manifest.graphs['step']
    head_dim = text.hidden_size // text.num_attention_heads
    assert step['inputs']['past_key_0'] == step['outputs']['key_0']
    assert step['outputs']['value_5'] == {
        'dtype': 'float',
        'shape': [1, text.num_key_value_heads, 'capacity', head_dim],
    }
    assert step['inputs']['mask'] == {'dtype': 'bool', 'shape': [1, 1, 'n', 'T']}
    assert manifest.versions['torch'] == torch.__version__
    assert max(manifest.differences.values()) > 0


def test_a_graph_that_differs_from_torch_is_refused(make_checkpoint, tmp_path, monkeypatch):
    def write_wrong(model, path, **options):
        scale = model.decoder.norm.weight.data
        scale *= 1.001
        write_step(model, path, **options)
        scale /= 1.001

    write_step = export.write_step
    monkeypatch.setattr(export, 'write_step', write_wrong)
    with pytest.raises(ValueError, match=r'the graphs differ from torch: speak_logits by .* lm_'):
        export_model(make_checkpoint(), tmp_path)


def test_a_network_without_graphs_is_refused(make_checkpoint, tmp_path):
    checkpoint = make_checkpoint(hidden_act='gelu')
    with pytest.raises(ValueError, match=r"text_config\.hidden_act is 'gelu', expected 'silu'"):
        export_model(checkpoint, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_is_not_written_over(make_checkpoint):
    checkpoint = make_checkpoint()
    with pytest.raises(ValueError, match='a checkpoint lies where the graphs should go'):
        export_model(checkpoint, checkpoint)
    load_roma(checkpoint)


# On a CPU, products with weights of 8 bits round the activations, too.
@pytest.mark.parametrize(
    ('name', 'share', 'tolerance'),
    [('int8', 0.4, 0.25), ('int4', 0.3, TOLERANCE), ('w8a8', 0.3, 0.25)],
)
def test_quantized_graphs_are_torch_with_rounded_weights(tmp_path, graphs, name, share, tolerance):
    manifest = export_model(ROMA_TINY, tmp_path, quantize=name)
    assert manifest.quantization == name
    sizes = [(folder / 'step.onnx.data').stat().st_size for folder in (tmp_path, graphs)]
    assert sizes[0] < share * sizes[1]
    loaded = load_roma(ROMA_TINY)
    # Tied to the embeddings, which are not rounded.
    head = loaded.model.thinker.lm_head
    head.weight = torch.nn.Parameter(head.weight.detach().clone())
    num_rounded = 0
    for layer in loaded.model.modules():
        if isinstance(layer, torch.nn.Linear) and layer.in_features % 32 == 0:
            layer.weight.data = rounded(layer.weight.detach(), name)
            num_rounded += 1
    assert num_rounded > 50
    engine = OnnxEngine(tmp_path, loaded.config, device=CPU, threads=1)
    differences, largest = compare_engines(engine, TorchEngine(loaded.model), loaded.config)
    for kind, difference in differences.items():
        assert difference <= tolerance * max(1, largest[kind]), kind
        if name == 'int4':
            assert kind == 'embeddings' or manifest.differences[kind] > 100 * difference, kind


def rounded(weight: torch.Tensor, name: str) -> torch.Tensor:
    limit = 2 ** (QUANTIZATIONS[name].bits - 1) - 1
    blocks = weight.reshape(len(weight), -1, QUANTIZATIONS[name].block or weight.shape[1])
    scales = blocks.abs().amax(dim=-1, keepdim=True) / limit
    return ((blocks / scales).round() * scales).reshape(weight.shape)


def test_rounded_activations_are_standard_operators_on_whole_numbers(tmp_path, make_checkpoint):
    export_model(make_checkpoint(), tmp_path, quantize='w8a8')
    model = onnx.load(tmp_path / 'step.onnx')
    onnx.checker.check_model(model, full_check=True)
    kinds = [node.op_type for node in model.graph.node]
    assert {node.domain for node in model.graph.node} == {''}
    assert kinds.count('MatMulInteger') == kinds.count('DynamicQuantizeLinear') > 20
    assert 'MatMul' not in kinds


def test_rounded_activations_are_for_float32_alone(tmp_path):
    with pytest.raises(ValueError, match=r'w8a8 is for graphs in float32, not in torch\.bfloat16'):
        export_model(ROMA_TINY, tmp_path, quantize='w8a8', dtype=torch.bfloat16)
    assert not list(tmp_path.iterdir())


def test_four_bits_are_packed_as_onnx_reads_them():
    matrix = torch.linspace(-7, 7, 64).reshape(32, 2)
    values, scales = quantize(matrix, QUANTIZATIONS['int4'], scale_dtype=torch.float32)
    tensor = onnx.TensorProto(data_type=onnx.TensorProto.INT4, dims=[32, 2])
    tensor.raw_data = values.tobytes()
    unpacked = numpy_helper.to_array(tensor).astype(np.float32)
    assert np.abs(unpacked * scales.numpy() - matrix.numpy()).max() <= scales.max() / 2


def test_whole_numbers_make_up_for_rounded_scales():
    matrix = torch.full((32, 1), 0.3)
    values, scales = quantize(matrix, QUANTIZATIONS['int8'], scale_dtype=torch.bfloat16)
    assert scales.dtype == torch.bfloat16
    assert abs(values.max() * float(scales) - 0.3) <= float(scales) / 2
    zeros, _ = quantize(torch.zeros(32, 1), QUANTIZATIONS['int8'], scale_dtype=torch.float16)
    assert not zeros.any()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'format': 99}, 'graphs of format 99, this version reads 2'),
        (None, 'manifest.json is damaged'),
    ],
)
def test_manifests_that_cannot_be_read_are_refused(tmp_path, graphs, change, message):
    text = (graphs / 'manifest.json').read_text()
    text = text[:100] if change is None else json.dumps(json.loads(text) | change)
    (tmp_path / 'manifest.json').write_text(text)
    with pytest.raises(ValueError, match=message):
        read_manifest(tmp_path)


def test_missing_graphs_are_named(tmp_path, graphs):
    with pytest.raises(FileNotFoundError, match=r'no manifest\.json'):
        read_manifest(tmp_path)
    read_manifest(graphs).save(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'no vision, audio, embed, step\.onnx'):
        read_manifest(tmp_path)


def test_a_fixed_capacity_stands_in_the_graph(tmp_path, roma):
    manifest = export_model(ROMA_TINY, tmp_path, capacity=300)
    assert manifest.graphs['step']['inputs']['past_key_0']['shape'][2] == 300
    engine = OnnxEngine(tmp_path, roma.config, device=CPU)
    assert engine.new_cache(200).capacity == 300
    with pytest.raises(ValueError, match='a cache of 301 tokens is asked for'):
        engine.new_cache(301)


def test_bfloat16_is_written_and_said_not_to_be_compared(tmp_path, capsys):
    options = ['--out', str(tmp_path), '--dtype', 'bfloat16', '--capacity', '128']
    assert main([str(ROMA_TINY), *options]) == 0
    assert 'Not compared with torch' in capsys.readouterr().out
    manifest = read_manifest(tmp_path)
    assert (manifest.dtype, manifest.differences) == ('bfloat16', None)
    onnx.checker.check_model(tmp_path / 'step.onnx', full_check=True)


def test_the_command_tells_what_it_wrote(tmp_path, capsys):
    assert main([str(ROMA_TINY), '--out', str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert 'roma-tiny in float32' in out
    assert 'lm_logits' in out
    assert main([str(tmp_path / 'nowhere'), '--out', str(tmp_path)]) == 1
    assert 'nowhere' in capsys.readouterr().err
