from collections.abc import Mapping
from functools import partial
import json
from pathlib import Path

import onnx
import pytest
import torch

from roma_ros.cli.build_engine import main
from roma_ros.model.config import (
    make_thinker_config,
    ProcessorConfig,
    RomaConfig,
    SpeakHeadConfig,
    TokenIds,
)
from roma_ros.model.positions import text_positions
from roma_ros.model.thinker import RomaModel
from roma_ros.runtime import tensorrt_build
from roma_ros.runtime.engine_check import compare_engines
from roma_ros.runtime.export import export_model, TOLERANCE
from roma_ros.runtime.exported import read_embeddings, read_graph_config, read_manifest
from roma_ros.runtime.factory import load_runtime
from roma_ros.runtime.graphs.step import write_step
from roma_ros.runtime.graphs.towers import write_audio, write_vision
from roma_ros.runtime.plan_store import stored_plans
from roma_ros.runtime.session import default_capacity, SessionConfig, StreamSession
from roma_ros.runtime.tensorrt_build import (
    build_plan,
    import_tensorrt,
    MAX_STEP_TOKENS,
    PLAN_NAMES,
    step_profiles,
    vision_profiles,
)
from roma_ros.runtime.tensorrt_engine import LoadedPlan, TensorRTEngine
from roma_ros.runtime.torch_engine import TorchEngine

trt = pytest.importorskip('tensorrt_rtx', reason='pip install -r requirements/tensorrt.txt')
onnxruntime = pytest.importorskip('onnxruntime')

ROMA_TINY = Path(__file__).parents[2] / 'models' / 'roma-tiny'


class OnnxRunner:
    """
    Stands for a built engine where there is no GPU: ONNX Runtime runs the graph it is built of.

    As TensorRT does, it takes memory and shapes, and refuses shapes outside of the profile.
    """

    def __init__(self, file: Path, profiles: list) -> None:
        self.profiles = profiles
        self.used: list[int] = []
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(file, options)

    def run(
        self, profile: int, inputs: Mapping[str, torch.Tensor], outputs: Mapping[str, torch.Tensor]
    ) -> None:
        self.used.append(profile)
        bounds = self.profiles[profile] if self.profiles else {}
        binding = self._session.io_binding()
        for name, tensor in inputs.items():
            assert tensor.is_contiguous()
            for smallest, size, largest in zip(
                bounds.get(name, [tensor.shape] * 3)[0],
                tensor.shape,
                bounds.get(name, [tensor.shape] * 3)[2],
                strict=True,
            ):
                assert smallest <= size <= largest, (name, tensor.shape)
        for bind, tensors in ((binding.bind_input, inputs), (binding.bind_output, outputs)):
            for name, tensor in tensors.items():
                kind = {torch.float32: 1, torch.int64: 7, torch.bool: 9}[tensor.dtype]
                bind(name, 'cpu', 0, kind, tuple(tensor.shape), tensor.data_ptr())
        self._session.run_with_iobinding(binding)


@pytest.fixture
def make_engine(graphs, roma):
    def make(*, capacity: int = 1200, compact: bool = False) -> TensorRTEngine:
        manifest = read_manifest(graphs)
        config = read_graph_config(graphs)
        profiles = {
            'vision': vision_profiles(config),
            'audio': [],
            'step': step_profiles(manifest, config, capacity, compact=compact),
        }
        return TensorRTEngine(
            {name: OnnxRunner(graphs / f'{name}.onnx', profiles[name]) for name in PLAN_NAMES},
            read_embeddings(graphs, manifest),
            manifest,
            config,
            capacity=capacity,
        )

    return make


@pytest.mark.parametrize('compact', [False, True])
def test_the_engine_around_the_plans_equals_torch(make_engine, roma, compact):
    engine = make_engine(compact=compact)
    differences, largest = compare_engines(engine, TorchEngine(roma.model), roma.config)
    for name, difference in differences.items():
        assert difference <= TOLERANCE * max(1, largest[name]), name
    used = set(engine._runners['step'].used)
    # A word has a profile of its own; a prompt of 20 tokens fits that of units.
    assert used == ({0} if compact else {0, 1})


def test_long_prompts_are_read_in_turns(make_engine, engine):
    built = make_engine()
    num_tokens = 2 * MAX_STEP_TOKENS + 7
    token_ids = [i % built.vocab_size for i in range(num_tokens)]
    positions, _ = text_positions(num_tokens, 0)
    mask = torch.ones(num_tokens, num_tokens, dtype=torch.bool).tril()
    mask[600:, 5:50] = False
    outputs = []
    for each in (built, engine):
        cache = each.new_cache(num_tokens)
        step = partial(each.step, each.embed(token_ids), positions, cache)
        outputs.append(step(mask=mask, num_anchors=3))
        assert cache.length == num_tokens
        cache.length = 0
        outputs[-1:] = [(outputs[-1], step())]
    for result, expected in zip(*outputs, strict=True):
        torch.testing.assert_close(result.lm_logits, expected.lm_logits, atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(result.speak_logits, expected.speak_logits, atol=1e-3, rtol=0)
    assert built._runners['step'].used == [1, 2, 2] * 2


def test_caches_have_the_capacity_that_was_built(make_engine):
    engine = make_engine(capacity=300)
    assert engine.new_cache(20).capacity == 300
    with pytest.raises(ValueError, match='a cache of 301 tokens is asked for, but the engine was'):
        engine.new_cache(301)
    cache = engine.new_cache(300)
    cache.length = 299
    positions, _ = text_positions(2, 299)
    with pytest.raises(ValueError, match='2 tokens do not fit behind 299'):
        engine.step(engine.embed([1, 2]), positions, cache)
    engine.step(engine.embed([1]), positions[:, :1], cache)


def test_the_default_capacity_holds_the_usual_session(make_engine, roma, protocol):
    capacity = default_capacity(roma.config.processor)
    engine = make_engine(capacity=capacity)
    session = StreamSession(engine, roma.processor, protocol, config=SessionConfig())
    assert session.dialogues[0].cache.capacity == capacity
    assert capacity < 1.2 * TorchEngine(roma.model).new_cache(1).capacity + 10_000


@pytest.mark.parametrize('dtype', ['bfloat16', pytest.param('float16', marks=pytest.mark.slow)])
def test_all_graphs_of_roma_tiny_build_with_native_layers(
    tmp_path, monkeypatch, capsys, roma, dtype
):
    monkeypatch.setenv('ROMA_HOME', str(tmp_path))
    monkeypatch.setattr('roma_ros.cli.progress._LINE_PERIOD_S', 0.0)
    assert main([str(ROMA_TINY), '--dtype', dtype, '--capacity', '2048']) == 0
    printed = capsys.readouterr()
    assert 'step: ' in printed.err
    (file,) = tmp_path.glob('engines/*/*/plans.json')
    built = json.loads(file.read_text())
    assert built['tensorrt'].startswith('tensorrt_rtx ')
    assert built['capacity'] == 2048
    layers = built['layers']
    config = roma.config.thinker
    depth = config.text_config.num_hidden_layers
    assert layers['step']['KV_CACHE_UPDATE'] == 2 * depth
    assert layers['step']['ATTENTION_INPUT'] == layers['step']['ATTENTION_OUTPUT'] == depth
    assert layers['step']['ROTARY_EMBEDDING'] == 2 * depth
    assert layers['vision']['ATTENTION_INPUT'] == config.vision_config.depth
    assert layers['audio']['ATTENTION_INPUT'] == config.audio_config.encoder_layers
    assert all((file.parent / f'{name}.plan').stat().st_size > 1e6 for name in PLAN_NAMES)
    assert f'{2 * depth} KV_CACHE_UPDATE' in printed.out
    # Once is enough.
    before = file.stat().st_mtime_ns
    assert main([str(ROMA_TINY), '--dtype', dtype, '--capacity', '2048']) == 0
    assert 'Building' not in capsys.readouterr().err
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize('quantize', [pytest.param('int8', marks=pytest.mark.slow), 'int4'])
def test_quantized_weights_reach_tensorrt(tmp_path, roma, quantize):
    folder = tmp_path / quantize
    manifest = export_model(ROMA_TINY, folder, dtype=torch.float16, quantize=quantize)
    profiles = step_profiles(manifest, roma.config, 512, compact=True)
    plan = build_plan(trt, folder / 'step.onnx', profiles, capacity=512)
    # Four products a layer, one more in the last; the lm head and the speak head.
    assert plan.layers['DEQUANTIZE'] == 4 * manifest.num_layers + 3
    assert plan.layers['KV_CACHE_UPDATE'] == 2 * manifest.num_layers


def write_shape_of_7b(folder: Path, token_ids: TokenIds) -> RomaConfig:
    """Write graphs of two layers of each part of the published network, with random weights."""
    config = RomaConfig(
        thinker=make_thinker_config(
            token_ids,
            text_config={
                'vocab_size': 2048,
                'hidden_size': 3584,
                'intermediate_size': 18944,
                'num_hidden_layers': 2,
                'num_attention_heads': 28,
                'num_key_value_heads': 4,
                'rope_parameters': {
                    'rope_type': 'default',
                    'rope_theta': 1e6,
                    'mrope_section': [16, 24, 24],
                },
            },
            vision_config={
                'depth': 2,
                'hidden_size': 1280,
                'intermediate_size': 3420,
                'num_heads': 16,
                'out_hidden_size': 3584,
                'fullatt_block_indexes': [1],
            },
            audio_config={
                'encoder_layers': 2,
                'encoder_attention_heads': 20,
                'encoder_ffn_dim': 5120,
                'd_model': 1280,
                'output_dim': 3584,
                'num_mel_bins': 128,
            },
        ),
        speak_head=SpeakHeadConfig(3584, num_layers_mixed=3),
        processor=ProcessorConfig(),
        token_ids=token_ids,
    )
    with torch.device('meta'):
        model = RomaModel(config)
    noise = 0.02 * torch.randn(2**20, generator=torch.Generator().manual_seed(0))
    noise = noise.to(torch.bfloat16)
    for name, parameter in list(model.named_parameters()):
        parent, _, leaf = name.rpartition('.')
        repeats = -(-parameter.numel() // len(noise))
        values = noise.repeat(repeats)[: parameter.numel()].reshape(parameter.shape)
        setattr(model.get_submodule(parent), leaf, torch.nn.Parameter(values, requires_grad=False))
    model.decoder.rotary_emb.inv_freq = torch.rand(64)
    model.thinker.model.visual.rotary_pos_emb.inv_freq = torch.rand(20)
    positions = model.thinker.model.audio_tower.positional_embedding
    positions.positional_embedding = torch.rand(50, 1280)
    options = {'dtype': torch.bfloat16, 'quantization': None}
    write_vision(model, folder / 'vision.onnx', **options)
    write_audio(model, folder / 'audio.onnx', **options)
    write_step(model, folder / 'step.onnx', capacity=None, **options)
    return config


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_shape_of_7b_builds_with_native_layers(tmp_path, roma, graphs):
    config = write_shape_of_7b(tmp_path, roma.config.token_ids)
    capacity = default_capacity(config.processor)
    assert capacity > 60 * 121
    step = step_profiles(read_manifest(graphs), config, capacity, compact=True)
    step[0]['embeddings'] = tuple((tokens, 3584) for tokens, _ in step[0]['embeddings'])
    plans = {
        name: build_plan(trt, tmp_path / f'{name}.onnx', profiles, capacity=capacity)
        for name, profiles in (('vision', vision_profiles(config)), ('audio', []), ('step', step))
    }
    assert plans['step'].layers['KV_CACHE_UPDATE'] == 4
    assert plans['step'].layers['ATTENTION_INPUT'] == 2
    assert plans['vision'].layers['ATTENTION_INPUT'] == 2
    assert plans['audio'].layers['ATTENTION_INPUT'] == 2
    # The weights are in the engine at most once; both layers have the same here.
    weights = (tmp_path / 'step.onnx.data').stat().st_size
    assert len(plans['step'].data) < 1.1 * weights


def test_engines_are_kept_by_what_they_were_built_for(tmp_path, monkeypatch, graphs, roma):
    """Other shapes, other graphs, another TensorRT, another GPU: another engine."""
    monkeypatch.setenv('ROMA_HOME', str(tmp_path))
    folder = tmp_path / 'graphs16'
    export_model(ROMA_TINY, folder, dtype=torch.float16)
    built = []

    def build(module, file, profiles, **options):
        built.append(file.stem)
        return tensorrt_build.Plan(b'plan', {})

    monkeypatch.setattr('roma_ros.runtime.plan_store.build_plan', build)
    stored = partial(stored_plans, folder, roma.config)
    first = stored(capacity=512)
    assert stored(capacity=512) == first
    assert built == list(PLAN_NAMES)
    second = stored(capacity=1024)
    assert second != first
    assert not first.exists()  # nobody wants it any more
    assert stored(capacity=1024, compact=True) != second
    monkeypatch.setattr('roma_ros.runtime.plan_store.gpu_name', lambda: 'Abacus, SM 1.0')
    other = stored(capacity=1024)
    assert json.loads((other / 'plans.json').read_text())['gpu'] == 'Abacus, SM 1.0'
    assert len(built) == 4 * len(PLAN_NAMES)
    model = onnx.load(folder / 'step.onnx', load_external_data=False)
    model.doc_string = 'changed'
    onnx.save_model(model, folder / 'step.onnx')
    assert stored(capacity=1024) != other


def test_a_graph_that_tensorrt_does_not_take_is_told(tmp_path):
    node = onnx.helper.make_node('NoSuchOperator', ['x'], ['y'])
    value = partial(onnx.helper.make_tensor_value_info, elem_type=1, shape=[1])
    graph = onnx.helper.make_graph([node], 'g', [value('x')], [value('y')])
    onnx.save_model(onnx.helper.make_model(graph), tmp_path / 'odd.onnx')
    with pytest.raises(RuntimeError, match=r'cannot parse odd\.onnx'):
        build_plan(trt, tmp_path / 'odd.onnx', [], capacity=1)


def test_building_ends_when_it_is_interrupted(tmp_path, roma):
    export_model(ROMA_TINY, tmp_path, dtype=torch.float16)
    heard = []

    def interrupt(what: str) -> None:
        heard.append(what)
        if len(heard) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_plan(trt, tmp_path / 'audio.onnx', [], capacity=1, on_progress=interrupt)


def test_float32_and_other_capacities_are_refused(tmp_path, graphs, roma):
    with pytest.raises(ValueError, match='TensorRT has no attention in float32; export with'):
        stored_plans(graphs, roma.config)
    export_model(ROMA_TINY, tmp_path, dtype=torch.float16, capacity=512)
    with pytest.raises(ValueError, match='exported for a cache of 512 tokens, and one of 600'):
        stored_plans(tmp_path, roma.config, capacity=600)


def test_without_a_gpu_it_says_so(tmp_path, graphs):
    with pytest.raises(ValueError, match='the engine tensorrt runs on a GPU'):
        load_runtime(graphs, engine='tensorrt', device='cpu')
    (tmp_path / 'step.plan').write_bytes(b'not an engine')
    with pytest.raises(RuntimeError, match=r'does not load step\.plan'):
        LoadedPlan(trt, tmp_path / 'step.plan', [])


def test_without_tensorrt_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'tensorrt', None)
    monkeypatch.setitem(__import__('sys').modules, 'tensorrt_rtx', None)
    with pytest.raises(ImportError, match='the engine tensorrt needs TensorRT'):
        import_tensorrt()
