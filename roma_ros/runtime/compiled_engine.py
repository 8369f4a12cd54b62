"""The engine on torch.compile: a few static shapes, all compiled before the first unit."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
import inspect
from itertools import product
import os
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from torch._dynamo.exc import BackendCompilerFailed

from ..model.config import ProcessorConfig
from ..model.store import roma_home
from ..model.thinker import RomaModel
from .engine import StepOutput
from .kv_cache import KVCache
from .session import default_capacity, max_unit_tokens
from .static_decoder import spans, StaticDecoder
from .step_turns import MAX_ANCHORS, MAX_STEP_TOKENS, read_in_turns
from .torch_engine import TorchEngine

# Numbers of tokens that units are padded to, with the anchors of watches behind them.
_UNIT_BUCKETS = (64, 128, 256)

_Step = Callable[..., tuple[torch.Tensor, torch.Tensor]]
# What a run of it writes.
_Graph = tuple[torch.cuda.CUDAGraph, tuple[torch.Tensor, torch.Tensor]]


class CompiledEngine(TorchEngine):
    """
    Runs a :class:`RomaModel` by code that torch.compile made: C++ on a CPU, CUDA graphs on a GPU.

    A step is padded to the next of a few numbers of tokens, and looks at the next of a few spans
    of the cache. The code of all pairs is made here, which takes minutes; later steps compile
    nothing. It is kept for the next time in ``$ROMA_HOME/compiled``, or where torch's own
    variable ``TORCHINDUCTOR_CACHE_DIR`` says.

    :param model: the network, in evaluation mode.
    :param quantize: as for :class:`TorchEngine`.
    :param capacity: most tokens of a cache; None: those of the usual window.
    :param buckets: numbers of tokens that steps are padded to, ascending from 1; longer steps are
        read in turns. None: a word, what stands around words, a unit of a few sizes, a prompt.
    :param on_progress: takes what is being compiled; what it raises ends the loading.
    :raises ImportError: when torch is too old, or there is no compiler that it can use.
    """

    name = 'torch-compiled'

    def __init__(
        self,
        model: RomaModel,
        *,
        quantize: str = '',
        capacity: int | None = None,
        buckets: Sequence[int] | None = None,
        on_progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(model, quantize=quantize)
        self._capacity = capacity or default_capacity(model.config.processor)
        self._buckets = buckets or _usual_buckets(model.config.processor)
        self._spans = spans(self._capacity)
        most, width = self._buckets[-1], model.config.thinker.text_config.hidden_size
        # What a step reads is copied to where the compiled code, or a CUDA graph, expects it.
        self._embeddings = torch.zeros(most, width, dtype=model.dtype, device=self.device)
        self._position_ids = torch.zeros(3, most, dtype=torch.int64, device=self.device)
        self._counts = torch.zeros(3, dtype=torch.int64, device=self.device)
        self._allowed = torch.ones(most, self._capacity, dtype=torch.bool, device=self.device)
        self._inputs = {
            (rows, span): (
                self._embeddings[:rows],
                self._position_ids[:, :rows],
                self._counts,
                self._allowed[:rows, :span],
            )
            for rows, span in product(self._buckets, self._spans)
        }
        # Of each cache, its layers' keys and values.
        self._layers: WeakKeyDictionary[KVCache, tuple[list[torch.Tensor], list[torch.Tensor]]]
        self._layers = WeakKeyDictionary()
        self._graphs: WeakKeyDictionary[KVCache, dict[tuple[int, int], _Graph]]
        self._graphs = WeakKeyDictionary()
        self._pool = torch.cuda.graph_pool_handle() if self.device.type == 'cuda' else None
        self._steps: dict[tuple[int, int], _Step] = {}
        self._compile(StaticDecoder(model, self._decoder), on_progress)

    def new_cache(self, capacity: int) -> KVCache:
        """Allocate an empty cache of at least ``capacity`` tokens: that of the compiled step."""
        if capacity > self._capacity:
            raise ValueError(
                f'a cache of {capacity} tokens is asked for, but the step was compiled for '
                f'{self._capacity}; lower window_s or text_tokens, or use the engine torch'
            )
        cache = self._make_cache()
        if self.device.type == 'cuda':
            with torch.cuda.device(self.device):
                self._graphs[cache] = {shape: self._record(shape, cache) for shape in self._steps}
        return cache

    def step(
        self,
        embeddings: torch.Tensor,
        position_ids: npt.NDArray[np.int64],
        cache: KVCache,
        *,
        mask: torch.Tensor | None = None,
        num_anchors: int = 1,
    ) -> StepOutput:
        """
        Read ``n`` tokens and append them to the cache; see :meth:`Engine.step`.

        :raises ValueError: also when there are more than 64 anchors.
        """
        if num_anchors > MAX_ANCHORS:
            raise ValueError(f'{num_anchors} anchors are asked for, at most {MAX_ANCHORS} fit')
        return read_in_turns(
            partial(self._read, cache),
            embeddings,
            torch.from_numpy(position_ids),
            cache,
            mask=mask,
            num_anchors=num_anchors,
            max_tokens=self._buckets[-1],
        )

    def _make_cache(self) -> KVCache:
        # Compiled code tells tensors that were made in inference mode from others.
        with torch.inference_mode(False):
            cache = self._allocate(self._capacity, spare=1)
            self._layers[cache] = [*cache.key], [*cache.value]
        return cache

    def _read(
        self,
        cache: KVCache,
        embeddings: torch.Tensor,
        positions: torch.Tensor,
        mask: torch.Tensor | None,
        num_anchors: int,
    ) -> StepOutput:
        """Read as many tokens as fit into one run; nothing here waits for the device."""
        num_tokens = len(embeddings)
        end = cache.length + num_tokens
        self._embeddings[:num_tokens].copy_(embeddings)
        self._position_ids[:, :num_tokens].copy_(positions, non_blocking=True)
        if mask is not None:
            self._allowed[:num_tokens, :end].copy_(mask)
        for count, value in zip(
            self._counts, (cache.length, num_tokens, mask is not None), strict=True
        ):
            count.fill_(value)
        shape = _next(self._buckets, num_tokens), _next(self._spans, end)
        if cache in self._graphs:
            graph, (speak_logits, lm_logits) = self._graphs[cache][shape]
            graph.replay()
        else:
            speak_logits, lm_logits = self._run(shape, cache)
        # The next run of a CUDA graph writes where this one did.
        return StepOutput(speak_logits[-num_anchors:].clone(), lm_logits.clone())

    def _run(self, shape: tuple[int, int], cache: KVCache) -> tuple[torch.Tensor, torch.Tensor]:
        # What the caller's modes are must not matter: the code is made for one.
        with torch.inference_mode(False), torch.no_grad():
            return self._steps[shape](*self._inputs[shape], *self._layers[cache])

    def _record(self, shape: tuple[int, int], cache: KVCache) -> _Graph:
        """
        Record the CUDA graph of a step over a cache; it runs nothing yet.

        Not left to torch.compile, whose graphs belong to the thread that made them: a model is
        loaded, a stream begun and a unit read on threads of their own.
        """
        graph = torch.cuda.CUDAGraph()
        # Another thread may encode meanwhile, and allocate.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode='thread_local'):
            outputs = self._run(shape, cache)
        return graph, outputs

    def _compile(self, decoder: StaticDecoder, on_progress: Callable[[str], None]) -> None:
        """Compile the step for all pairs of tokens and spans."""
        if 'isolate_recompiles' not in inspect.signature(torch.compile).parameters:
            raise ImportError(
                f'the engine torch-compiled needs torch 2.13 or newer, and this is '
                f'{torch.__version__}; use the engine torch'
            )
        # By default torch keeps it in /tmp, which the next start of the machine empties.
        os.environ.setdefault('TORCHINDUCTOR_CACHE_DIR', str(roma_home() / 'compiled'))
        cache = self._make_cache()
        self._counts.copy_(torch.tensor([0, 1, 0]))
        for number, shape in enumerate(self._inputs, start=1):
            on_progress(f'compiling the step, {number} of {len(self._inputs)}')
            self._steps[shape] = torch.compile(  # type: ignore[call-overload]
                decoder, fullgraph=True, dynamic=False, isolate_recompiles=True
            )
            try:
                self._run(shape, cache)
            except BackendCompilerFailed as error:
                reason = str(error).partition('\n')[0]
                raise ImportError(
                    'the engine torch-compiled needs a C++ compiler and the headers of Python '
                    f'(apt install g++ python3-dev), or use another engine: {reason}'
                ) from error


def _usual_buckets(config: ProcessorConfig) -> tuple[int, ...]:
    largest = max_unit_tokens(config)
    return 1, 16, *(size for size in _UNIT_BUCKETS if size < 2 * largest), MAX_STEP_TOKENS


def _next(sizes: Sequence[int], size: int) -> int:
    """Return the smallest of ascending sizes that is large enough."""
    return sizes[bisect_left(sizes, size)]
