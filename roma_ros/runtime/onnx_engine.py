"""The engine on ONNX Runtime, on a CPU or through CUDA, over graphs that were exported."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch

from ..model.masks import causal_mask
from ..model.processor import UnitFeatures
from .engine import StepOutput
from .exported import Manifest, read_embeddings, read_manifest, UnitConfig
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
#: Numbers of tokens for which a cache keeps bindings: words, units, what stands around them.
_MAX_BOUND_STEPS = 8


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
        self, folder: Path, config: UnitConfig, *, device: torch.device, threads: int = 0
    ) -> None:
        self.device = device
        self._config = config
        self._manifest = read_manifest(folder)
        self._dtype = self._manifest.torch_dtype
        self.vocab_size = self._manifest.vocab_size
        self._sessions = {
            name: _open_session(folder / f'{name}.onnx', device, threads, self._manifest)
            for name in ('vision', 'audio', 'step')
        }
        self._embeddings = read_embeddings(folder, self._manifest).to(device)
        # The buffers of a cache are bound once for each number of tokens that it is given.
        self._steps: WeakKeyDictionary[KVCache, OrderedDict[tuple[int, int], _BoundStep]]
        self._steps = WeakKeyDictionary()
        self._wrappers = self.embed(wrapper_ids(config.token_ids))

    def new_cache(self, capacity: int) -> KVCache:
        """Allocate an empty cache of ``capacity`` tokens."""
        return self._manifest.new_cache(capacity, self.device)

    def encode(self, features: UnitFeatures, *, video: torch.Tensor | None = None) -> torch.Tensor:
        """Encode one unit to ``[n, C]``; see :meth:`Engine.encode`."""
        return encode_unit(
            self._run,
            self._wrappers,
            features,
            merge_size=self._config.processor.merge_size,
            window_patches=self._manifest.window_patches,
            video=video,
        )

    def embed(self, token_ids: Sequence[int]) -> torch.Tensor:
        """Look up the embeddings of text tokens, ``[n, C]``."""
        return self._embeddings[torch.tensor(token_ids, device=self.device)]

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
        cache.check_room(num_tokens)
        bound = self._bound_step(cache, num_tokens, num_anchors)
        output = bound(embeddings, torch.from_numpy(position_ids), cache.length, mask)
        cache.advance(num_tokens)
        return output

    def _bound_step(self, cache: KVCache, num_tokens: int, num_anchors: int) -> '_BoundStep':
        """Return the step for so many tokens, bound to a cache; those used last are kept."""
        steps = self._steps.setdefault(cache, OrderedDict())
        key = num_tokens, num_anchors
        bound = steps.get(key)
        if bound is None:
            bound = steps[key] = _BoundStep(
                self._sessions['step'], cache, self._embeddings.shape, key
            )
            if len(steps) > _MAX_BOUND_STEPS:
                steps.popitem(last=False)
        steps.move_to_end(key)
        return bound

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
        _run_bound(self._sessions[name], binding, self.device)


class _BoundStep:
    """
    The step for one number of tokens, over one cache, with memory of its own for what is small.

    Binding costs more than all else around a word; so all is bound once, and a step copies its
    input to where the graph reads it. The mask alone grows with the cache.

    :param session: of the step graph.
    :param cache: bound as input and as output.
    :param table: shape of the table of embeddings, (V, C).
    :param sizes: tokens n, and anchors A.
    """

    def __init__(
        self, session: Any, cache: KVCache, table: Sequence[int], sizes: tuple[int, int]
    ) -> None:
        num_tokens, num_anchors = sizes
        vocab_size, width = table
        self._session = session
        self._device = device = cache.key.device
        self._binding = session.io_binding()
        self._embeddings = torch.empty((num_tokens, width), dtype=cache.key.dtype, device=device)
        self._position_ids = torch.empty((3, num_tokens), dtype=torch.int64, device=device)
        self._write_index = torch.empty(1, dtype=torch.int64, device=device)
        self._anchors = torch.arange(num_tokens - num_anchors, num_tokens, device=device)
        self._speak_logits = torch.empty(num_anchors, device=device)
        self._lm_logits = torch.empty(vocab_size, device=device)
        # A word sees all that is cached.
        self._seen = torch.ones(
            cache.capacity * (num_tokens == 1), dtype=torch.bool, device=device
        )
        for name in ('embeddings', 'position_ids', 'write_index', 'anchors'):
            _bind(self._binding.bind_input, name, getattr(self, f'_{name}'))
        for name in ('speak_logits', 'lm_logits'):
            _bind(self._binding.bind_output, name, getattr(self, f'_{name}'))
        for index, (key, value) in enumerate(zip(cache.key, cache.value, strict=True)):
            for name, buffer in ((f'key_{index}', key[None]), (f'value_{index}', value[None])):
                _bind(self._binding.bind_input, f'past_{name}', buffer)
                _bind(self._binding.bind_output, name, buffer)

    def __call__(
        self,
        embeddings: torch.Tensor,
        position_ids: torch.Tensor,
        length: int,
        mask: torch.Tensor | None,
    ) -> StepOutput:
        """
        Run; see :meth:`Engine.step`.

        :param embeddings: ``[n, C]``.
        :param position_ids: int64 ``[3, n]``.
        :param length: tokens in the cache.
        :param mask: bool ``[n, length + n]``, or None.
        """
        num_tokens = len(embeddings)
        end = length + num_tokens
        if mask is None:
            is_word = num_tokens == 1
            mask = (
                self._seen[:end] if is_word else causal_mask(num_tokens, end, device=self._device)
            )
        self._embeddings.copy_(embeddings)
        self._position_ids.copy_(position_ids)
        self._write_index.fill_(length)
        seen = mask.reshape(1, 1, num_tokens, end).contiguous()
        _bind(self._binding.bind_input, 'mask', seen)
        _run_bound(self._session, self._binding, self._device)
        return StepOutput(self._speak_logits.clone(), self._lm_logits.clone())


def _run_bound(session: Any, binding: Any, device: torch.device) -> None:
    if device.type == 'cuda':
        # ONNX Runtime works on a stream of its own, and waits for that one by itself.
        torch.cuda.current_stream(device).synchronize()
    session.run_with_iobinding(binding)


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
