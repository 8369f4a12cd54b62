from concurrent.futures import ThreadPoolExecutor
import gc
from importlib.metadata import PackageNotFoundError
import logging
from pathlib import Path
import sys

import numpy as np
from onnxruntime import InferenceSession
import pytest
import torch

from roma_ros.model.checkpoint import load_roma
from roma_ros.model.positions import text_positions
from roma_ros.policy.instructions import parse_instruction
from roma_ros.runtime.export import export_model
from roma_ros.runtime.exported import is_exported
from roma_ros.runtime.factory import load_runtime
from roma_ros.runtime.graph_store import stored_graphs
from roma_ros.runtime.onnx_engine import OnnxEngine
from roma_ros.runtime.session import StreamSession
from roma_ros.runtime.torch_engine import TorchEngine
from roma_ros.units.unit import MultimodalUnit, UNIT_NS

ROMA_TINY = Path(__file__).parents[2] / 'models' / 'roma-tiny'
CPU = torch.device('cpu')


@pytest.fixture
def onnx_engine(graphs, roma):
    return OnnxEngine(graphs, roma.config, device=CPU, threads=1)


def read(engine, cache, num_tokens: int, **options):
    """Read the tokens 0, 1, ... as text at the end of the cache."""
    positions, _ = text_positions(num_tokens, cache.length)
    return engine.step(engine.embed(range(num_tokens)), positions, cache, **options)


def test_units_of_all_sorts_are_encoded_alike(onnx_engine, engine, roma, make_unit):
    rng = np.random.default_rng(0)
    wide = MultimodalUnit(
        index=0,
        start_ns=0,
        end_ns=UNIT_NS,
        frames=rng.integers(0, 255, (2, 60, 400, 3), dtype=np.uint8),
        frame_stamps_ns=(0, UNIT_NS // 2),
        audio=np.zeros(16000, dtype=np.float32),
    )
    for unit in (make_unit(0), make_unit(1, video=False), wide):
        features = roma.processor(unit)
        encoded, expected = (e.encode(features) for e in (onnx_engine, engine))
        torch.testing.assert_close(encoded, expected, atol=1e-4, rtol=0)
    video = expected[2:-27]
    torch.testing.assert_close(
        onnx_engine.encode(features, video=video + 1)[2:-27], video + 1, atol=0, rtol=0
    )


def test_a_unit_of_nothing_is_refused(onnx_engine, roma, make_unit):
    features = roma.processor(make_unit(0, video=False))
    object.__setattr__(features, 'mel', None)
    with pytest.raises(ValueError, match='a unit needs video or audio'):
        onnx_engine.encode(features)


def test_the_cache_is_updated_in_place_and_nowhere_else(onnx_engine):
    cache = onnx_engine.new_cache(64)
    cache.key.fill_(7.0)
    cache.value.fill_(7.0)
    address = cache.key.data_ptr()
    read(onnx_engine, cache, 10)
    read(onnx_engine, cache, 1)
    assert (cache.length, cache.key.data_ptr()) == (11, address)
    for buffer in (cache.key, cache.value):
        assert (buffer[:, :, 11:] == 7.0).all()
        assert (buffer[:, :, :11] != 7.0).all(dim=-1).any(dim=-1).all()


def test_what_the_cache_holds_beyond_its_length_counts_for_nothing(onnx_engine):
    outputs = []
    for rest in (0.0, torch.inf):
        cache = onnx_engine.new_cache(64)
        cache.key.fill_(rest)
        cache.value.fill_(rest)
        read(onnx_engine, cache, 10)
        outputs.append(read(onnx_engine, cache, 3).lm_logits)
    assert torch.equal(*outputs)


def test_caches_of_one_engine_do_not_mix(onnx_engine):
    alone = onnx_engine.new_cache(64)
    expected = [read(onnx_engine, alone, n).lm_logits for n in (5, 1)]
    first, second = onnx_engine.new_cache(64), onnx_engine.new_cache(32)
    results = []
    for num_tokens in (5, 1):
        results.append(read(onnx_engine, first, num_tokens).lm_logits)
        read(onnx_engine, second, 9)
    for result, wanted in zip(results, expected, strict=True):
        assert torch.equal(result, wanted)


def test_a_cache_that_is_gone_takes_its_bindings_along(onnx_engine):
    cache = onnx_engine.new_cache(64)
    read(onnx_engine, cache, 2)
    assert len(onnx_engine._steps) == 1
    del cache
    gc.collect()
    assert len(onnx_engine._steps) == 0


def test_bindings_are_kept_for_the_last_few_lengths_alone(onnx_engine):
    cache = onnx_engine.new_cache(256)
    for num_tokens in (1, *range(2, 15), 1):
        read(onnx_engine, cache, num_tokens)
        read(onnx_engine, cache, 1)
    kept = list(onnx_engine._steps[cache])
    assert len(kept) == 8
    assert kept[-1] == (1, 1)
    assert (2, 1) not in kept


def test_the_embed_graph_holds_what_embed_returns(onnx_engine, graphs):
    session = InferenceSession(graphs / 'embed.onnx', providers=['CPUExecutionProvider'])
    token_ids = np.array([5, 0, onnx_engine.vocab_size - 1])
    (expected,) = session.run(None, {'token_ids': token_ids})
    assert np.array_equal(onnx_engine.embed(token_ids.tolist()).numpy(), expected)


def test_results_stay_when_the_next_step_is_taken(onnx_engine):
    cache = onnx_engine.new_cache(64)
    first = read(onnx_engine, cache, 4)
    kept = first.lm_logits.clone(), first.speak_logits.clone()
    read(onnx_engine, cache, 4)
    assert torch.equal(first.lm_logits, kept[0])
    assert torch.equal(first.speak_logits, kept[1])


def test_a_full_cache_refuses_more(onnx_engine):
    cache = onnx_engine.new_cache(8)
    read(onnx_engine, cache, 6)
    with pytest.raises(ValueError, match='3 tokens do not fit behind 6 in a cache of 8'):
        read(onnx_engine, cache, 3)
    assert cache.length == 6


def test_bfloat16_on_a_cpu_is_refused_with_what_to_do(tmp_path, roma):
    export_model(ROMA_TINY, tmp_path, dtype=torch.bfloat16)
    with pytest.raises(ValueError, match='export with --dtype float32'):
        OnnxEngine(tmp_path, roma.config, device=CPU)


def test_cuda_without_a_gpu_is_refused(graphs, roma):
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    with pytest.raises(ValueError, match='this ONNX Runtime has no CUDA'):
        OnnxEngine(graphs, roma.config, device=torch.device('cuda:0'))


def test_encoding_ahead_changes_nothing(onnx_engine, roma, make_unit):
    features = roma.processor(make_unit(0))
    expected = onnx_engine.encode(features)
    cache = onnx_engine.new_cache(256)
    with ThreadPoolExecutor(1) as pool:
        for _ in range(10):
            future = pool.submit(onnx_engine.encode, features)
            logits = read(onnx_engine, cache, 20).lm_logits
            assert torch.equal(future.result(), expected)
            cache.length = 0
    assert torch.equal(logits, read(onnx_engine, cache, 20).lm_logits)


@pytest.mark.parametrize('contiguous', [True, False])
def test_a_whole_stream_reads_alike(
    tmp_path_factory, protocol, session_config, make_unit, assert_streams_alike, contiguous
):
    """Narration, two watches, questions, a dead camera, eviction of units and of text."""
    # Trained: where weights are drawn, words lie so close that rounding chooses among them.
    trained = load_roma(ROMA_TINY)
    folder = tmp_path_factory.mktemp('trained')
    export_model(ROMA_TINY, folder)
    results = []
    for each in (
        TorchEngine(trained.model),
        OnnxEngine(folder, trained.config, device=CPU, threads=1),
    ):
        session = StreamSession(
            each,
            trained.processor,
            protocol,
            instructions=[
                parse_instruction('narrate', id='n'),
                parse_instruction('alert: a bell rings', id='a'),
            ],
            config=session_config(speak=True, window_s=6, text_tokens=128, contiguous=contiguous),
        )
        results.append([])
        for index in range(16):
            if index == 5:
                session.add_instruction(parse_instruction('alert: glass breaks', id='b'))
            if index == 9:
                session.remove_instruction('a')
            if index in (3, 8):
                session.ask('what do you see')
            results[-1].append(session.step(make_unit(index, video=index != 7)))
        (dialogue,) = session.dialogues
        assert dialogue.cache.length == dialogue.transcript.length
    assert_streams_alike(*results)
    assert sum(len(result.said) for result in results[1]) > 8
    assert len({s.text for r in results[0] for s in r.said}) > 3


def test_the_runtime_exports_a_checkpoint_once(tmp_path, monkeypatch, caplog, make_checkpoint):
    monkeypatch.setenv('ROMA_HOME', str(tmp_path))
    checkpoint = make_checkpoint()
    with caplog.at_level(logging.WARNING):
        runtime = load_runtime(checkpoint, engine='onnxruntime', device='cpu', threads=1)
    assert 'making them, once' in caplog.text
    assert 'made graphs of' in caplog.text
    assert (runtime.engine.name, runtime.path) == ('onnxruntime', checkpoint)
    caplog.clear()
    again = load_runtime(checkpoint, engine='onnxruntime', device='cpu', threads=1)
    assert not caplog.text
    torch_runtime = load_runtime(checkpoint, device='cpu', threads=1)
    for other in (again, torch_runtime):
        torch.testing.assert_close(runtime.engine.embed([5]), other.engine.embed([5]))
    assert runtime.protocol.stream_begin == torch_runtime.protocol.stream_begin
    assert runtime.processor.config == torch_runtime.processor.config


def test_an_exported_folder_is_a_model_for_this_engine_alone(graphs):
    for engine in ('onnxruntime', ''):
        assert load_runtime(graphs, engine=engine, device='cpu', threads=1).path == graphs
    with pytest.raises(ValueError, match='the folder holds graphs, which the engine torch does'):
        load_runtime(graphs, engine='torch', device='cpu', threads=1)


def test_auto_takes_what_is_fastest_of_what_is_there(
    tmp_path, monkeypatch, graphs, make_checkpoint
):
    monkeypatch.setenv('ROMA_HOME', str(tmp_path))
    checkpoint = make_checkpoint()

    def chosen(model: Path, **options: str) -> str:
        options = {'device': 'cpu', **options}
        return load_runtime(model, engine='auto', threads=1, **options).engine.name

    assert chosen(graphs) == chosen(checkpoint) == 'onnxruntime'
    assert chosen(checkpoint, dtype='bfloat16') == 'torch'
    monkeypatch.setattr('roma_ros.runtime.factory.find_spec', lambda name: None)
    assert chosen(checkpoint) == 'torch'


def test_auto_takes_torch_where_graphs_cannot_be_had(
    tmp_path, monkeypatch, caplog, make_checkpoint
):
    def taken(checkpoint: Path) -> str:
        caplog.clear()
        with caplog.at_level(logging.INFO):
            return load_runtime(checkpoint, engine='auto', device='cpu', threads=1).engine.name

    monkeypatch.setenv('ROMA_HOME', str(tmp_path / 'home'))
    assert taken(make_checkpoint(hidden_act='gelu')) == 'torch'
    assert 'onnxruntime failed (no graphs for this network' in caplog.text
    checkpoint = make_checkpoint()
    monkeypatch.setattr('roma_ros.runtime.factory._MOST_TO_EXPORT_BYTES', 1000)
    assert taken(checkpoint) == 'torch'
    assert 'weights are not exported unasked' in caplog.text
    monkeypatch.setattr('roma_ros.runtime.factory._MOST_TO_EXPORT_BYTES', 10**9)
    (tmp_path / 'file').touch()
    monkeypatch.setenv('ROMA_HOME', str(tmp_path / 'file'))
    assert taken(checkpoint) == 'torch'
    monkeypatch.setattr('roma_ros.runtime.factory.find_spec', lambda name: None)
    assert taken(checkpoint) == 'torch'
    assert 'onnx and onnxruntime not installed; pip install' in caplog.text


def test_what_is_not_installed_is_named(monkeypatch, graphs, roma, make_checkpoint):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(ImportError, match='needs ONNX Runtime: pip install'):
        OnnxEngine(graphs, roma.config, device=CPU)

    def no_package(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr('roma_ros.runtime.graph_store.version', no_package)
    with pytest.raises(ImportError, match='needs onnx: pip install onnx onnxruntime'):
        stored_graphs(make_checkpoint(), dtype=torch.float32)


def test_new_weights_are_exported_anew_and_the_old_graphs_go(
    tmp_path, monkeypatch, make_checkpoint
):
    monkeypatch.setenv('ROMA_HOME', str(tmp_path))
    checkpoint = make_checkpoint()
    first = stored_graphs(checkpoint, dtype=torch.float32)
    half = stored_graphs(checkpoint, dtype=torch.float16)
    assert is_exported(first)
    config = checkpoint / 'config.json'
    config.write_text(config.read_text() + '\n')
    second = stored_graphs(checkpoint, dtype=torch.float32)
    assert second != first
    assert not first.exists()
    assert is_exported(half)
    assert not list(tmp_path.glob('**/.part-*'))


def test_of_two_that_export_at_once_one_does(tmp_path, monkeypatch, caplog, make_checkpoint):
    monkeypatch.setenv('ROMA_HOME', str(tmp_path))
    checkpoint = make_checkpoint()
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(3) as pool:
        # A lock of each open file, so that threads stand for processes.
        futures = [pool.submit(stored_graphs, checkpoint, dtype=torch.float32) for _ in range(3)]
    assert len({future.result() for future in futures}) == 1
    assert caplog.text.count('making them, once') == 1


def test_an_export_that_fails_leaves_nothing_that_looks_done(
    tmp_path, monkeypatch, make_checkpoint
):
    monkeypatch.setenv('ROMA_HOME', str(tmp_path))
    checkpoint = make_checkpoint()

    def fail(what: str) -> None:
        if what.startswith('comparing'):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stored_graphs(checkpoint, dtype=torch.float32, on_progress=fail)
    assert not list(tmp_path.glob('**/manifest.json'))
    assert is_exported(stored_graphs(checkpoint, dtype=torch.float32))
