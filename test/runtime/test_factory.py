import subprocess
import sys

import pytest
import torch

from roma_ros.runtime.factory import default_model, load_runtime


def test_the_default_is_roma_tiny_on_this_machine():
    threads = torch.get_num_threads()
    try:
        runtime = load_runtime(threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert runtime.path == default_model()
    assert runtime.path.name == 'roma-tiny'
    if not torch.cuda.is_available():
        assert runtime.engine.device.type == 'cpu'
        assert runtime.engine.new_cache(1).key.dtype == torch.float32


def test_engines_of_graphs_start_without_what_takes_seconds_to_import(graphs):
    code = (
        'import sys, roma_ros.model, roma_ros.runtime.session;'
        'from roma_ros.runtime.factory import load_runtime;'
        f'engine = load_runtime({str(graphs)!r}, engine="auto", threads=1).engine;'
        'assert engine.name == "onnxruntime";'
        'late = {"transformers", "onnx"};'
        'assert not late & set(sys.modules), late & set(sys.modules);'
        'roma_ros.model.RomaModel; assert "transformers" in sys.modules'
    )
    subprocess.run([sys.executable, '-c', code], check=True)


def test_dtype_by_name():
    runtime = load_runtime(dtype='bfloat16', device='cpu')
    assert runtime.engine.new_cache(1).key.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'engine': 'abacus'}, "engine is 'abacus', expected one of torch"),
        ({'device': 'gpu'}, "device is 'gpu', expected cpu"),
        ({'device': 'cuda:99'}, r'torch sees \d+ GPUs'),
        ({'dtype': 'int8'}, "dtype is 'int8', expected float32"),
    ],
)
def test_unknown_names_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        load_runtime(**fields)


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere'):
        load_runtime(tmp_path / 'nowhere')
