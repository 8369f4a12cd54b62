from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace

from hypothesis import given, settings, strategies as st
import pytest
import torch
from torch._dynamo.utils import counters
from torch.utils._python_dispatch import TorchDispatchMode

from roma_ros.model.positions import text_positions
from roma_ros.model.processor import UnitProcessor
from roma_ros.model.thinker import build_roma
from roma_ros.policy.instructions import parse_instruction
from roma_ros.runtime.compiled_engine import CompiledEngine
from roma_ros.runtime.factory import load_runtime
from roma_ros.runtime.session import StreamSession
from roma_ros.runtime.static_decoder import spans
from roma_ros.runtime.torch_engine import TorchEngine

CAPACITY = 2048
SPANS = [1024, 2048]
LARGEST = 16


@pytest.fixture(scope='session')
def small(roma):
    """Two layers of roma-tiny's shape with large weights, so that a wrong mask shows."""
    config = deepcopy(roma.config)
    text = config.thinker.text_config
    text.num_hidden_layers, text.layer_types = 2, ['full_attention'] * 2
    head = replace(config.speak_head, num_layers_mixed=2)
    model = build_roma(replace(config, speak_head=head), seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model


@pytest.fixture(scope='session')
def eager(small):
    return TorchEngine(small)


@pytest.fixture(scope='session')
def compiled(small, request):
    """Four graphs: a word and up to 16 tokens, behind a half and all of the cache."""
    notes: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        folder = request.config.cache.mkdir('torch-compiled')
        patch.setenv('TORCHINDUCTOR_CACHE_DIR', str(folder))
        engine = CompiledEngine(
            small, capacity=CAPACITY, buckets=(1, LARGEST), on_progress=notes.append
        )
    assert notes[-1] == 'compiling the step, 4 of 4'
    return engine


@pytest.fixture(autouse=True)
def nothing_is_compiled(request):
    """Whatever a test does with the engine, it compiles nothing."""
    if 'compiled' not in request.fixturenames:
        yield
        return
    request.getfixturevalue('compiled')
    before = dict(counters['stats'])
    yield
    assert dict(counters['stats']) == before


def read(engine, cache, num_tokens: int, **options):
    """Read text at the end of the cache."""
    positions, _ = text_positions(num_tokens, cache.length)
    token_ids = [(7 * i + cache.length) % engine.vocab_size for i in range(num_tokens)]
    return engine.step(engine.embed(token_ids), positions, cache, **options)


def assert_alike(result, expected):
    for name, value in vars(expected).items():
        torch.testing.assert_close(getattr(result, name), value, rtol=1e-4, atol=1e-4)


@settings(max_examples=40)
@given(data=st.data())
def test_steps_of_any_size_mask_and_anchors_equal_eager_torch(compiled, eager, data):
    caches = [engine.new_cache(CAPACITY) for engine in (compiled, eager)]
    # From anywhere in the cache, the ends of spans and of the capacity among them.
    start = data.draw(st.sampled_from((0, 1, 500, *(s - LARGEST for s in SPANS))), 'start')
    start -= data.draw(st.integers(0, min(start, LARGEST)), 'before')
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99), 'seed'))
    old = torch.randn((2, *caches[1].key[:, :, :start].shape), generator=generator)
    for cache in caches:
        cache.key[:, :, :start], cache.value[:, :, :start] = old
        cache.length = start
    sizes = st.integers(1, 2 * LARGEST + 3)
    for num_tokens in data.draw(st.lists(sizes, min_size=1, max_size=4), 'sizes'):
        end = caches[0].length + num_tokens
        if end > CAPACITY:
            break
        mask = None
        if data.draw(st.booleans(), 'masked'):
            mask = torch.rand((num_tokens, end), generator=generator) < 0.5
            mask = mask.tril(end - num_tokens)
            mask[:, -num_tokens:].fill_diagonal_(True)
        # The last turn is the largest, and all anchors are in it.
        num_anchors = data.draw(st.integers(1, min(num_tokens, LARGEST)), 'anchors')
        result, expected = (
            read(engine, cache, num_tokens, mask=mask, num_anchors=num_anchors)
            for engine, cache in zip((compiled, eager), caches, strict=True)
        )
        assert_alike(result, expected)
        assert caches[0].length == caches[1].length == end
    for name in ('key', 'value'):
        ours, theirs = (getattr(cache, name)[:, :, :CAPACITY] for cache in caches)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)  # also nothing behind


@pytest.mark.parametrize('num_tokens', range(1, 2 * LARGEST + 2))
def test_every_size_fits_into_what_is_left_of_the_cache(compiled, eager, num_tokens):
    outputs = []
    for engine in (compiled, eager):
        cache = engine.new_cache(CAPACITY)
        cache.length = CAPACITY - num_tokens
        outputs.append(read(engine, cache, num_tokens))
    assert_alike(*outputs)


def test_what_does_not_fit_is_refused_before_anything_is_written(compiled):
    cache = compiled.new_cache(CAPACITY)
    cache.length = CAPACITY - 2
    with pytest.raises(ValueError, match='3 tokens do not fit behind 2046 in a cache of 2048'):
        read(compiled, cache, 3)
    assert not cache.key.any()
    with pytest.raises(ValueError, match='65 anchors are asked for, at most 64 fit'):
        read(compiled, cache, 2, num_anchors=65)
    with pytest.raises(ValueError, match=r'2049 tokens is asked for.*compiled for 2048'):
        compiled.new_cache(CAPACITY + 1)


def test_what_is_no_number_is_gone_with_the_stream(compiled):
    outputs = []
    for rest in (0.0, torch.nan):
        cache = compiled.new_cache(64)
        cache.key.fill_(rest)
        cache.value.fill_(rest)
        compiled._embeddings.fill_(rest)
        cache.reset()
        outputs.append(read(compiled, cache, 3))
    assert torch.equal(outputs[0].lm_logits, outputs[1].lm_logits)
    assert outputs[0].lm_logits.isfinite().all()


def test_results_stay_and_caches_do_not_mix(compiled):
    caches = [compiled.new_cache(64) for _ in range(2)]
    first = read(compiled, caches[0], 5)
    kept = first.lm_logits.clone(), first.speak_logits.clone()
    read(compiled, caches[1], 9)
    assert torch.equal(first.lm_logits, kept[0])
    assert torch.equal(first.speak_logits, kept[1])
    again = compiled.new_cache(64)
    assert torch.equal(read(compiled, again, 5).lm_logits, kept[0])
    assert torch.equal(again.key[:, :, :5], caches[0].key[:, :, :5])


def test_threads_and_modes_of_the_caller_do_not_matter(compiled):
    def word() -> torch.Tensor:
        return read(compiled, compiled.new_cache(64), 1).lm_logits

    expected = word()
    with ThreadPoolExecutor(1) as pool:
        assert torch.equal(pool.submit(word).result(), expected)
    for mode in (torch.inference_mode, torch.no_grad, torch.enable_grad):
        with mode():
            assert torch.equal(word(), expected)


def test_a_step_reads_nothing_back_from_the_device(compiled):
    names = set()

    class Seen(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            names.add(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    cache = compiled.new_cache(64)
    mask = torch.ones(20, 20, dtype=torch.bool).tril()
    with torch.compiler.set_stance('force_eager'), Seen():
        read(compiled, cache, 20, mask=mask, num_anchors=2)
        read(compiled, cache, 1)
    assert {'addmm', 'index_copy_'} < names
    assert not {'_local_scalar_dense', 'nonzero', 'is_nonzero', 'equal'} & names


def test_a_whole_stream_reads_alike_and_compiles_nothing(
    compiled, eager, roma, protocol, session_config, make_unit, assert_streams_alike
):
    """Narration, two watches, questions, a dead camera, eviction of units and of text."""
    results = []
    for engine in (eager, compiled):
        with torch.compiler.set_stance('fail_on_recompile'):
            session = StreamSession(
                engine,
                UnitProcessor(roma.config.processor),
                protocol,
                instructions=[
                    parse_instruction('narrate', id='n'),
                    parse_instruction('alert: a bell rings', id='a'),
                ],
                config=session_config(speak=True, window_s=6, text_tokens=128),
            )
            results.append([])
            for index in range(12):
                if index == 4:
                    session.add_instruction(parse_instruction('alert: glass breaks', id='b'))
                if index == 8:
                    session.remove_instruction('a')
                if index in (3, 7):
                    session.ask('what do you see')
                results[-1].append(session.step(make_unit(index, video=index != 6)))
    assert len(session.dialogues[0].transcript.spans) < 30  # some are gone
    assert_streams_alike(*results)
    assert len({s.text for r in results[0] for s in r.said}) > 3
    probabilities = [s.probability for r in results[0] for s in r.scores]
    assert max(probabilities) - min(probabilities) > 0.1


def test_spans_halve_down_to_what_is_worth_it():
    assert spans(CAPACITY) == SPANS
    assert spans(8448) == [1056, 2112, 4224, 8448]
    assert spans(2047) == [2047]
    assert spans(100) == [100]


def test_graphs_are_no_model_for_it(graphs):
    with pytest.raises(ValueError, match='graphs, which the engine torch-compiled does not run'):
        load_runtime(graphs, engine='torch-compiled', device='cpu', threads=1)


def test_without_a_compiler_it_says_what_to_do(small, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCHINDUCTOR_CACHE_DIR', 'put back afterwards')
    monkeypatch.delenv('TORCHINDUCTOR_CACHE_DIR')
    monkeypatch.setenv('ROMA_HOME', str(tmp_path))
    with (
        torch._inductor.config.patch({'cpp.cxx': (None, '/bin/false')}),
        pytest.raises(
            ImportError, match=r'needs a C\+\+ compiler .*apt install g\+\+ python3-dev'
        ),
    ):
        CompiledEngine(small, capacity=64, buckets=(1,))
    assert (tmp_path / 'compiled').is_dir()


def test_a_torch_that_is_too_old_is_named(small, monkeypatch):
    monkeypatch.setattr('torch.compile', lambda model, *, fullgraph=False: model)
    with pytest.raises(ImportError, match=r'needs torch 2\.13 or newer, and this is 2\.'):
        CompiledEngine(small, capacity=64, buckets=(1,))
