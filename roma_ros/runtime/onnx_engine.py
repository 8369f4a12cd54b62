"""The engine on ONNX Runtime, on a CPU or through CUDA, over graphs that were exported."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch

from ..model.config import RomaConfig
from ..model.processor import UnitFeatures
from ..model.thinker import causal_mask
from .engine import StepOutput
from .exported import GRAPH_NAMES, Manifest, read_manifest
from .kv_cache import KVCache
from .unit_layout import encode_unit, wrapper_ids

#: ONNX's numbers of element types: NumPy has no bfloat16.
_ELEMENT_TYPES = {
    torch.float32: 1,
    torch.int64: 7,
    torch.bool: 9,
    torch.float16: 10,
    torch.bfloat16: 16,
}


class OnnxEngine:
    """
    Runs exported graphs; the cache is bound as input and output, and so updated in place.

    :param folder: of the graphs.
    :param config: of the model that they were made from.
    :param device: where to run.
    :param threads: CPU threads; 0: as ONNX Runtime thinks best, which is all cores.
    :raises ImportError: when onnxruntime is not installed.
    :raises ValueError: when it cannot run such graphs on this device.
    """

    name = 'onnxruntime'

    def __init__(
        self, folder: Path, config: RomaConfig, *, device: torch.device, threads: int = 0
    ) -> None:
        self.device = device
        self._config = config
        self._manifest = read_manifest(folder)
        self._dtype = self._manifest.torch_dtype
        self.vocab_size = self._manifest.vocab_size
        self._sessions = {
            name: _open_session(folder / f'{name}.onnx', device, threads, self._manifest)
            for name in GRAPH_NAMES
        }
        # The buffers of a cache are bound once.
        self._bindings: WeakKeyDictionary[KVCache, Any] = WeakKeyDictionary()
        self._wrappers = self.embed(wrapper_ids(config.token_ids))

    def new_cache(self, capacity: int) -> KVCache:
        """Allocate an empty cache of ``capacity`` tokens."""
        return self._manifest.new_cache(capacity, self.device)

    def encode(self, features: UnitFeatures, *, video: torch.Tensor | None = None) -> torch.Tensor:
        """Encode one unit to ``[n, C]``; see :meth:`Engine.encode`."""
        return encode_unit(self._run, self._wrappers, features, self._config, video=video)

    def embed(self, token_ids: Sequence[int]) -> torch.Tensor:
        """Look up the embeddings of text tokens, ``[n, C]``."""
        inputs = {'token_ids': torch.tensor(token_ids)}
        return self._run('embed', inputs, 'embeddings', len(token_ids))

    def step(
        self,
        embeddings: torch.Tensor,
        position_ids: npt.NDArray[np.int64],
        cache: KVCache,
        *,
        mask: torch.Tensor | None = None,
        num_anchors: int = 1,
    ) -> StepOutput:
        """Read ``n`` tokens and append them to the cache; see :meth:`Engine.step`."""
        num_tokens = len(embeddings)
        end = cache.length + num_tokens
        cache.check_room(num_tokens)
        if mask is None:
            mask = causal_mask(num_tokens, end, device=self.device)
        output = StepOutput(
            speak_logits=torch.empty(num_anchors, device=self.device),
            lm_logits=torch.empty(self.vocab_size, device=self.device),
        )
        inputs = {
            'embeddings': embeddings,
            'position_ids': torch.from_numpy(position_ids),
            'write_index': torch.tensor([cache.length]),
            'mask': mask.reshape(1, 1, num_tokens, end),
            'anchors': torch.arange(num_tokens - num_anchors, num_tokens),
        }
        self._launch('step', self._binding(cache), inputs, vars(output))
        cache.advance(num_tokens)
        return output

    def _binding(self, cache: KVCache) -> Any:
        """Return the step's bindings, with the cache's buffers as inputs and as outputs."""
        binding = self._bindings.get(cache)
        if binding is None:
            binding = self._bindings[cache] = self._sessions['step'].io_binding()
            for index, (key, value) in enumerate(zip(cache.key, cache.value, strict=True)):
                for name, buffer in ((f'key_{index}', key[None]), (f'value_{index}', value[None])):
                    _bind(binding.bind_input, f'past_{name}', buffer)
                    _bind(binding.bind_output, name, buffer)
        return binding

    def _run(
        self, name: str, inputs: Mapping[str, torch.Tensor], output: str, num_tokens: int
    ) -> torch.Tensor:
        """Run a graph with one output, ``[num_tokens, C]``."""
        shape = (num_tokens, self._manifest.hidden_size)
        result = torch.empty(shape, dtype=self._dtype, device=self.device)
        self._launch(name, self._sessions[name].io_binding(), inputs, {output: result})
        return result

    def _launch(
        self,
        name: str,
        binding: Any,
        inputs: Mapping[str, torch.Tensor],
        outputs: Mapping[str, torch.Tensor],
    ) -> None:
        """Run a graph from and into the memory of tensors."""
        placed = {key: value.to(self.device).contiguous() for key, value in inputs.items()}
        for key, value in placed.items():
            _bind(binding.bind_input, key, value)
        for key, value in outputs.items():
            _bind(binding.bind_output, key, value)
        if self.device.type == 'cuda':
            # ONNX Runtime works on a stream of its own, and waits for that one by itself.
            torch.cuda.current_stream(self.device).synchronize()
        self._sessions[name].run_with_iobinding(binding)


def _bind(bind: Callable[..., None], name: str, tensor: torch.Tensor) -> None:
    """Give a graph the memory of a tensor, which must live until it has run."""
    device = tensor.device
    shape = tuple(tensor.shape)
    element_type = _ELEMENT_TYPES[tensor.dtype]
    bind(name, device.type, device.index or 0, element_type, shape, tensor.data_ptr())


def _open_session(file: Path, device: torch.device, threads: int, manifest: Manifest) -> Any:
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError(
            "the engine onnxruntime needs ONNX Runtime: pip install 'onnxruntime>=1.31' "
            "('onnxruntime-gpu' for CUDA)"
        ) from error

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors; it warns of constants that it folds
    # Shapes change at every token: a plan of memory for each would grow without end.
    options.enable_mem_pattern = False
    # How exact products with weights of 4 bits are: 1 keeps activations as they are, at the same
    # speed. For 8 bits, 4 rounds activations to 8 bits, too; 1 would take ten times as long.
    level = '1' if manifest.quantization == 'int4' else '4'
    options.add_session_config_entry('session.qdq_matmulnbits_accuracy_level', level)
    # Threads that spin while they wait take the cores that the rest of a robot wants.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    providers: list[Any] = ['CPUExecutionProvider']
    if device.type == 'cuda':
        if 'CUDAExecutionProvider' not in onnxruntime.get_available_providers():
            raise ValueError(
                f'device is {str(device)!r}, but this ONNX Runtime has no CUDA; use the device '
                "'cpu', or pip install onnxruntime-gpu in place of onnxruntime"
            )
        providers.insert(0, ('CUDAExecutionProvider', {'device_id': device.index or 0}))
    try:
        return onnxruntime.InferenceSession(file, options, providers=providers)
    except Exception as error:  # its exceptions have no common base of their own
        raise ValueError(
            f'ONNX Runtime cannot run {file.name} on {device} ({error}); on a CPU, export '
            f'with --dtype float32: {file.parent}'
        ) from error
