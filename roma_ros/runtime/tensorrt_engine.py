"""The engine on TensorRT: graphs built for one GPU, over the same cache."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from ..model.masks import causal_mask
from ..model.processor import UnitFeatures
from .engine import StepOutput
from .exported import Manifest, UnitConfig
from .kv_cache import KVCache
from .step_turns import read_in_turns
from .tensorrt_build import Profile
from .unit_layout import encode_unit, wrapper_ids

# The part of the cache that is looked at grows by so many tokens at a time: kernels that were
# made for one shape serve again.
_VISIBLE_STEP = 256


class PlanRunner(Protocol):
    """Runs one built engine."""

    profiles: Sequence[Profile]

    def run(
        self, profile: int, inputs: Mapping[str, torch.Tensor], outputs: Mapping[str, torch.Tensor]
    ) -> None:
        """
        Enqueue one run on the current stream, from and into the memory of tensors.

        :raises ValueError: when a shape is outside of the profile.
        """
        ...


class TensorRTEngine:
    """
    Runs built engines; the cache is bound as input and output, and so updated in place.

    :param runners: of the graphs vision, audio and step.
    :param embeddings: ``[V, C]``, the table of token embeddings, on the device.
    :param manifest: of the graphs.
    :param config: of the model that they were made from.
    :param capacity: tokens of the cache that the step was built for.
    """

    name = 'tensorrt'

    def __init__(
        self,
        runners: Mapping[str, PlanRunner],
        embeddings: torch.Tensor,
        manifest: Manifest,
        config: UnitConfig,
        *,
        capacity: int,
    ) -> None:
        self.device = embeddings.device
        self.vocab_size = len(embeddings)
        self._runners = runners
        self._embeddings = embeddings
        self._manifest = manifest
        self._config = config
        self._capacity = capacity
        self._wrappers = self.embed(wrapper_ids(config.token_ids))

    def new_cache(self, capacity: int) -> KVCache:
        """Allocate an empty cache of at least ``capacity`` tokens: that of the built step."""
        if capacity > self._capacity:
            raise ValueError(
                f'a cache of {capacity} tokens is asked for, but the engine was built for '
                f'{self._capacity}; lower window_s or text_tokens, or run `roma build-engine '
                f'--capacity {capacity}`'
            )
        return self._manifest.new_cache(self._capacity, self.device)

    def encode(self, features: UnitFeatures, *, video: torch.Tensor | None = None) -> torch.Tensor:
        """Encode one unit to ``[n, C]``; see :meth:`Engine.encode`."""
        return encode_unit(
            self._run_tower,
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
        return read_in_turns(
            partial(self._step, cache),
            embeddings,
            torch.from_numpy(position_ids),
            cache,
            mask=mask,
            num_anchors=num_anchors,
        )

    def _step(
        self,
        cache: KVCache,
        embeddings: torch.Tensor,
        positions: torch.Tensor,
        seen: torch.Tensor | None,
        num_anchors: int,
    ) -> StepOutput:
        """Read as many tokens as fit into one run."""
        num_tokens = len(embeddings)
        end = cache.length + num_tokens
        if seen is None:
            seen = causal_mask(num_tokens, end, device=self.device)[0, 0]
        visible = min(self._capacity, -(-end // _VISIBLE_STEP) * _VISIBLE_STEP)
        mask = torch.zeros((1, 1, num_tokens, visible), dtype=torch.bool, device=self.device)
        mask[..., :end] = seen
        output = StepOutput(
            speak_logits=torch.empty(num_anchors, device=self.device),
            lm_logits=torch.empty(self.vocab_size, device=self.device),
        )
        anchors = torch.arange(num_tokens - num_anchors, num_tokens, device=self.device)
        inputs = {
            'embeddings': embeddings.contiguous(),
            'position_ids': positions.to(self.device).contiguous(),
            'write_index': torch.tensor([cache.length], device=self.device),
            'mask': mask,
            'anchors': anchors,
        }
        outputs = dict(vars(output))
        for index, (key, value) in enumerate(zip(cache.key, cache.value, strict=True)):
            for name, buffer in ((f'key_{index}', key[None]), (f'value_{index}', value[None])):
                inputs[f'past_{name}'] = outputs[name] = buffer
        self._runners['step'].run(self._profile(num_tokens, num_anchors), inputs, outputs)
        return output

    def _profile(self, num_tokens: int, num_anchors: int) -> int:
        """Return the first of the step's profiles that so many tokens fit."""
        for index, shapes in enumerate(self._runners['step'].profiles):
            tokens, anchors = shapes['embeddings'], shapes['anchors']
            if tokens[0][0] <= num_tokens <= tokens[2][0] and num_anchors <= anchors[2][0]:
                return index
        raise ValueError(
            f'{num_tokens} tokens with {num_anchors} anchors fit no profile of the engine'
        )

    def _run_tower(
        self, name: str, inputs: Mapping[str, torch.Tensor], output: str, num_tokens: int
    ) -> torch.Tensor:
        shape = (num_tokens, self._manifest.hidden_size)
        result = torch.empty(shape, dtype=self._manifest.torch_dtype, device=self.device)
        placed = {key: value.to(self.device) for key, value in inputs.items()}
        self._runners[name].run(0, placed, {output: result})
        return result


class LoadedPlan:
    """
    Runs one engine on the GPU; one context for each profile.

    :param trt: TensorRT's module.
    :param file: the built engine.
    :param profiles: those that it was built for.
    :raises RuntimeError: when it is not for this GPU or this TensorRT.
    """

    def __init__(self, trt: Any, file: Path, profiles: Sequence[Profile]) -> None:
        self.profiles = profiles
        self._logger = trt.Logger(trt.Logger.ERROR)
        self._runtime = trt.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(file.read_bytes())
        if self._engine is None:
            raise RuntimeError(
                f'TensorRT {trt.__version__} does not load {file.name}: it was built for another '
                f'GPU or version; run `roma build-engine` again: {file.parent}'
            )
        self._contexts = []
        stream = torch.cuda.current_stream()
        for index in range(max(1, len(profiles))):
            context = self._engine.create_execution_context()
            context.set_optimization_profile_async(index, stream.cuda_stream)
            self._contexts.append(context)
        stream.synchronize()

    def run(
        self, profile: int, inputs: Mapping[str, torch.Tensor], outputs: Mapping[str, torch.Tensor]
    ) -> None:
        """Enqueue one run; see :meth:`PlanRunner.run`."""
        context = self._contexts[profile]
        for name, tensor in inputs.items():
            if not context.set_input_shape(name, tuple(tensor.shape)):
                raise ValueError(f'{name} of shape {tuple(tensor.shape)} fits no profile')
        for name, tensor in (inputs | outputs).items():  # type: ignore[operator]
            context.set_tensor_address(name, tensor.data_ptr())
        # The tensors stay allocated long enough: torch reuses memory in the stream's own order.
        if not context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
            raise RuntimeError('TensorRT failed to run the engine')
