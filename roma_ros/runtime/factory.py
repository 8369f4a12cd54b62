"""From a model's folder and a few names to what a session needs."""

from collections.abc import Callable
import ctypes
from dataclasses import dataclass
import gc
from importlib.util import find_spec
import logging
import os
from pathlib import Path

from tokenizers import Tokenizer
import torch

from ..model.processor import UnitProcessor
from ..model.prompts import Protocol
from ..model.store import find_checkpoint
from ..policy.instructions import InstructionKind
from ..policy.model_triggers import read_triggers
from ..policy.triggers import TriggerConfig
from ..share import share_folder
from .engine import Engine
from .exported import is_exported, read_graph_config, UnitConfig

#: Engines that can be asked for by name.
ENGINES = ('torch', 'torch-compiled', 'onnxruntime', 'tensorrt', 'auto')
# Graphs take as much of the disk as the weights in float32; the engine auto makes small ones.
_MOST_TO_EXPORT_BYTES = 10**9
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Runtime:
    """
    A loaded model, ready for sessions.

    :param path: its folder.
    :param engine: runs the network.
    :param processor: units to features.
    :param protocol: token ids of the dialogue.
    :param triggers: when it is to speak, by the kind of instruction.
    """

    path: Path
    engine: Engine
    processor: UnitProcessor
    protocol: Protocol
    triggers: dict[InstructionKind, TriggerConfig]


def default_model() -> Path:
    """Return the folder of roma-tiny, which comes with the package."""
    return share_folder() / 'models' / 'roma-tiny'


def model_folder(model: str | Path) -> Path:
    """
    Find a model.

    :param model: its folder, or ``owner/name`` of a fetched one; empty: roma-tiny.
    :raises FileNotFoundError: when there is no such model.
    """
    return find_checkpoint(model) if model else default_model()


def load_runtime(
    model: str | Path = '',
    *,
    engine: str = '',
    device: str = 'auto',
    dtype: str = 'auto',
    quantize: str = '',
    threads: int = 0,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Runtime:
    """
    Load a model.

    :param model: its folder, or ``owner/name`` of a fetched one; empty: roma-tiny. The engines
        onnxruntime and tensorrt also take what ``roma export`` wrote, in the dtype that it was
        written in; of a checkpoint they export the graphs themselves, once.
    :param engine: one of ENGINES; ``auto``: onnxruntime for graphs, and in float32 on a CPU for
        a checkpoint of at most 1 GB, where it is installed and can be had; else torch, which is
        logged. Empty: onnxruntime for graphs, else torch.
    :param device: ``cpu``, ``cuda:0``, or ``auto``: a GPU if there is one.
    :param dtype: a torch dtype's name, or ``auto``: float32 on a CPU, bfloat16 elsewhere and
        where weights are quantized.
    :param quantize: weights of the torch engines in fewer bits: int8, int4, or empty for none.
        Graphs are quantized when they are exported.
    :param threads: CPU threads of the network, for the whole process; 0: all cores but one: on
        a busy core two threads that wait for each other are slower than one.
    :param on_progress: takes what is being done, in words; what it raises ends the loading.
    :return: the model, ready for sessions.
    :raises FileNotFoundError: when there is no such model.
    :raises ValueError: when the model is broken, or a name is not known here.
    :raises ImportError: when what the engine needs is not installed: its package, a compiler.
    """
    if engine and engine not in ENGINES:
        raise ValueError(f'engine is {engine!r}, expected one of {", ".join(ENGINES)}')
    where = _device(device)
    torch.set_num_threads(threads or max(1, len(os.sched_getaffinity(0)) - 1))
    path = model_folder(model)
    numbers = _dtype(dtype, where, quantize=quantize)
    if not engine:
        engine = 'onnxruntime' if is_exported(path) else 'torch'
    if engine == 'auto':
        choice = choose_engine(path, where, numbers, quantize=quantize)
        engine = choice.engine
        _log.info('engine auto takes %s: %s', choice.engine, choice.reason)
        if engine == 'onnxruntime' and not is_exported(path):
            try:
                return _load_graphs(path, engine, where, numbers, on_progress)
            except (ImportError, OSError, ValueError) as error:
                _log.warning('engine auto takes torch: onnxruntime failed (%s)', error)
                engine = 'torch'
    if quantize and (engine in ('onnxruntime', 'tensorrt') or is_exported(path)):
        raise ValueError(
            f'quantize is {quantize!r}, which the engines torch and torch-compiled take for a '
            f'checkpoint; graphs are quantized when they are made: roma export --quantize'
        )
    if engine in ('onnxruntime', 'tensorrt'):
        return _load_graphs(path, engine, where, numbers, on_progress)
    if is_exported(path):
        raise ValueError(
            f'the folder holds graphs, which the engine {engine} does not run; use the engine '
            f'onnxruntime, or the checkpoint that they were made from: {path}'
        )
    # Imported when wanted: transformers' modules take seconds, and graphs do without.
    from ..model.checkpoint import load_roma
    from .torch_engine import TorchEngine

    loaded = load_roma(path, device=where, dtype=numbers, on_progress=on_progress)
    if engine == 'torch-compiled':
        from .compiled_engine import CompiledEngine

        made: Engine = CompiledEngine(loaded.model, quantize=quantize, on_progress=on_progress)
    else:
        made = TorchEngine(loaded.model, quantize=quantize)
    return Runtime(
        path=path,
        engine=made,
        processor=loaded.processor,
        protocol=Protocol(loaded.tokenizer),
        triggers=read_triggers(path),
    )


@dataclass(frozen=True)
class EngineChoice:
    """
    What the engine ``auto`` takes.

    :param engine: its name.
    :param reason: why, in words.
    """

    engine: str
    reason: str


def choose_engine(
    path: Path, device: torch.device, dtype: torch.dtype, *, quantize: str = ''
) -> EngineChoice:
    """
    Choose the fastest engine that is there, for a model of that kind.

    :param path: folder of the model.
    :param device: where it is to run.
    :param dtype: in what numbers.
    :param quantize: of the torch engines; empty: none.
    """
    if is_exported(path):
        return EngineChoice('onnxruntime', 'the model is a folder of graphs')
    if quantize:
        return EngineChoice('torch', f'weights in {quantize}')
    if device.type != 'cpu' or dtype != torch.float32:
        return EngineChoice('torch', f'{str(dtype).removeprefix("torch.")} on {device}')
    missing = [name for name in ('onnx', 'onnxruntime') if find_spec(name) is None]
    if missing:
        return EngineChoice(
            'torch',
            f'{" and ".join(missing)} not installed; pip install onnx onnxruntime halves the time '
            'of a unit on a CPU',
        )
    size = sum(file.stat().st_size for file in path.glob('*.safetensors'))
    if size > _MOST_TO_EXPORT_BYTES:
        return EngineChoice(
            'torch',
            f'{size / 1e9:.0f} GB of weights are not exported unasked; see `roma export`',
        )
    return EngineChoice('onnxruntime', 'float32 on a CPU')


def _load_graphs(
    path: Path,
    engine: str,
    device: torch.device,
    dtype: torch.dtype,
    on_progress: Callable[[str], None],
) -> Runtime:
    """Run graphs: those of the folder, or those of its checkpoint, which are exported once."""
    if engine == 'tensorrt' and device.type != 'cuda':
        raise ValueError(
            f'the engine tensorrt runs on a GPU, and the device is {str(device)!r}; use the '
            'engine onnxruntime or torch'
        )
    from .graph_store import stored_graphs

    graphs = path
    if not is_exported(path):
        graphs = stored_graphs(path, dtype=dtype, on_progress=on_progress)
    config = read_graph_config(graphs)
    return Runtime(
        path=path,
        engine=_make_engine(engine, graphs, config, device, on_progress),
        processor=UnitProcessor(config.processor),
        protocol=Protocol(Tokenizer.from_file(str(graphs / 'tokenizer.json'))),
        triggers=read_triggers(path),
    )


def _make_engine(
    name: str,
    graphs: Path,
    config: UnitConfig,
    device: torch.device,
    on_progress: Callable[[str], None],
) -> Engine:
    # Imported when wanted: neither package need be installed.
    if name == 'onnxruntime':
        from .onnx_engine import OnnxEngine

        on_progress('loading the graphs')
        return OnnxEngine(graphs, config, device=device, threads=torch.get_num_threads())
    from .plan_store import load_plans, stored_plans

    plans = stored_plans(graphs, config, on_progress=on_progress)
    on_progress('loading the TensorRT engines')
    return load_plans(graphs, plans, config, device)


def free_memory() -> None:
    """Give what a model that nobody holds any more has left back to the system."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)  # glibc keeps freed memory else
    if trim is not None:
        trim(0)


def _device(name: str) -> torch.device:
    if name == 'auto':
        return torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f'device is {name!r}, expected cpu, cuda:N or auto ({error})') from None
    if device.type == 'cuda' and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f'device is {name!r}, but torch sees {torch.cuda.device_count()} GPUs; '
            "use 'cpu' or 'auto', or install a torch that was built for your GPU"
        )
    return device


def _dtype(name: str, device: torch.device, *, quantize: str) -> torch.dtype:
    if name == 'auto':
        # Products of few bits with float32 have no kernel worth the name, on a CPU either.
        is_plain = device.type == 'cpu' and not quantize
        return torch.float32 if is_plain else torch.bfloat16
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f'dtype is {name!r}, expected float32, bfloat16, float16 or auto')
    return dtype
