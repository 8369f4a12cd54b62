"""How far a stream that forgot differs from one that never knew."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..model.positions import text_positions, unit_positions
from ..model.processor import num_audio_tokens, num_unit_tokens, UnitFeatures
from ..policy.instructions import Instruction, InstructionKind
from ..runtime.dialogue import Dialogue
from ..runtime.engine import Engine, StepOutput
from ..runtime.factory import Runtime
from ..runtime.kv_cache import KVCache
from ..runtime.transcript import Span, WindowConfig
from .machine import describe
from .synthetic import SyntheticStream

_NARRATE = Instruction(id='narration', kind=InstructionKind.NARRATION)
_ASK_EVERY = 20  # units
_QUESTION = 'what has just happened?'


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """
    A dialogue's last unit and cache against a fresh forward over what it keeps.

    :param evicted: something has been evicted before.
    :param contiguous: difference of the speak probability, kept keys rotated back.
    :param append: the same where keys are left as they are, and positions grow.
    :param whole: the same of a dialogue that evicts nothing and so knows more.
    :param keys: relative difference of the cached keys of each layer.
    :param values: of the values.
    """

    evicted: bool
    contiguous: float
    append: float
    whole: float
    keys: list[float]
    values: list[float]


@dataclass(frozen=True, eq=False)
class _Read:
    """A span of the transcript with what was read for it."""

    span: Span
    embeddings: torch.Tensor
    features: UnitFeatures | None


class _RecordingEngine:
    """An engine that keeps what it was given to read."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name
        self.device = engine.device
        self.vocab_size = engine.vocab_size
        self.read: list[torch.Tensor] = []

    def new_cache(self, capacity: int) -> KVCache:
        return self._engine.new_cache(capacity)

    def encode(self, features: UnitFeatures, *, video: torch.Tensor | None = None) -> torch.Tensor:
        return self._engine.encode(features, video=video)

    def embed(self, token_ids: Sequence[int]) -> torch.Tensor:
        return self._engine.embed(token_ids)

    def step(
        self,
        embeddings: torch.Tensor,
        position_ids: npt.NDArray[np.int64],
        cache: KVCache,
        *,
        mask: torch.Tensor | None = None,
        num_anchors: int = 1,
    ) -> StepOutput:
        self.read.append(embeddings)
        return self._engine.step(
            embeddings, position_ids, cache, mask=mask, num_anchors=num_anchors
        )


class _RecordedDialogue:
    """A narrating dialogue that can be read again from what its transcript still holds."""

    def __init__(self, runtime: Runtime, window: WindowConfig, unit_tokens: int) -> None:
        self._engine = _RecordingEngine(runtime.engine)
        self.dialogue = Dialogue(
            self._engine, runtime.protocol, window=window, unit_tokens=unit_tokens
        )
        self._reads: list[_Read] = []
        self._note(None)
        self.dialogue.add(_NARRATE, beside=False)
        self._note(None)

    def read_unit(self, features: UnitFeatures, embeddings: torch.Tensor) -> float:
        """Read a unit; return its speak probability."""
        probability, _ = self.dialogue.read_unit(features, embeddings)
        self._note(features)
        return probability

    def ask(self) -> None:
        """Read a question, so that texts stand between units."""
        self.dialogue.read_question(_QUESTION)
        self._note(None)

    def read_afresh(self) -> tuple[float, KVCache]:
        """
        Read exactly the kept spans into an empty cache, at contiguous positions.

        :return: speak probability after the last, and the cache.
        """
        cache = self._engine.new_cache(self.dialogue.cache.length)
        embeddings, positions, next_position = [], [], 0
        for read in self._reads:
            ids, next_position = _positions(read, next_position)
            embeddings.append(read.embeddings)
            positions.append(ids)
        output = self._engine.step(torch.cat(embeddings), np.concatenate(positions, 1), cache)
        self._engine.read.clear()
        return float(torch.sigmoid(output.speak_logits)[-1]), cache

    def _note(self, features: UnitFeatures | None) -> None:
        """Keep what was read for the newest span, and let go what was evicted."""
        spans = self.dialogue.transcript.spans
        kept = {id(span) for span in spans}
        self._reads = [read for read in self._reads if id(read.span) in kept]
        self._reads.append(_Read(spans[-1], torch.cat(self._engine.read), features))
        self._engine.read.clear()


class _Trial:
    """One stream in three dialogues: contiguous, without rotation, and without eviction."""

    def __init__(self, runtime: Runtime, *, seed: int, window_s: int, num_units: int) -> None:
        self._processor, self._encode = runtime.processor, runtime.engine.encode
        self._stream = SyntheticStream(seed)
        unit_tokens = num_unit_tokens(runtime.processor(self._stream.unit(0)))
        window = WindowConfig(window_s=window_s)
        self._contiguous, self._append, self._whole = self._dialogues = [
            _RecordedDialogue(runtime, w, unit_tokens)
            for w in (
                window,
                replace(window, contiguous=False),
                replace(window, window_s=num_units, text_tokens=512 + num_units),
            )
        ]

    def run(self, num_units: int, measure_every: int) -> Iterator[Comparison | None]:
        """Read units; yield at each, where it is to be measured, how the dialogues differ."""
        for index in range(num_units):
            features = self._processor(self._stream.unit(index))
            embeddings = self._encode(features)
            probabilities = [d.read_unit(features, embeddings) for d in self._dialogues]
            measured = (index + 1) % measure_every == 0
            yield self._compare(*probabilities) if measured else None
            if (index + 1) % _ASK_EVERY == 0:
                for dialogue in self._dialogues:
                    dialogue.ask()

    def _compare(self, contiguous: float, append: float, whole: float) -> Comparison:
        fresh, cache = self._contiguous.read_afresh()
        own = self._contiguous.dialogue.cache
        return Comparison(
            evicted=own.length < self._whole.dialogue.cache.length,
            contiguous=abs(contiguous - fresh),
            append=abs(append - fresh),
            whole=abs(whole - fresh),
            keys=_errors(own.key[:, :, : own.length], cache.key),
            values=_errors(own.value[:, :, : own.length], cache.value),
        )


def run_eviction(
    runtime: Runtime,
    *,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    window_s: int = 60,
    num_units: int = 180,
    measure_every: int = 10,
    on_unit: Callable[[int, int], None] = lambda count, total: None,
) -> dict[str, Any]:
    """
    Compare streams that evict with a fresh forward over exactly the tokens that they kept.

    :param runtime: the model.
    :param seeds: one stream each.
    :param window_s: what is remembered [s].
    :param num_units: length of each stream [units].
    :param measure_every: units between two comparisons.
    :param on_unit: called after each unit with how many are read, and how many will be.
    :return: what JSON can hold; see docs/results/stream.md.
    """
    about = describe(runtime)
    comparisons: list[Comparison] = []
    count, total = 0, len(seeds) * num_units
    for seed in seeds:
        trial = _Trial(runtime, seed=seed, window_s=window_s, num_units=num_units)
        for comparison in trial.run(num_units, measure_every):
            count += 1
            on_unit(count, total)
            if comparison is not None:
                comparisons.append(comparison)
    before = [c for c in comparisons if not c.evicted]
    after = [c for c in comparisons if c.evicted]
    return {
        'benchmark': 'eviction',
        **about,
        'config': {
            'seeds': list(seeds),
            'window_s': window_s,
            'num_units': num_units,
            'measure_every': measure_every,
        },
        'comparisons_before': len(before),
        'comparisons_after': len(after),
        'probability_before': _spread([c.contiguous for c in before]),
        'probability_after': _spread([c.contiguous for c in after]),
        'probability_after_append': _spread([c.append for c in after]),
        'probability_without_eviction': _spread([c.whole for c in after]),
        'key_error_by_layer': _by_layer([c.keys for c in after]),
        'value_error_by_layer': _by_layer([c.values for c in after]),
        'key_error_by_layer_before': _by_layer([c.keys for c in before]),
        'value_error_by_layer_before': _by_layer([c.values for c in before]),
    }


def _positions(read: _Read, start: int) -> tuple[npt.NDArray[np.int64], int]:
    if read.features is None:
        return text_positions(len(read.embeddings), start)
    mel = read.features.mel
    audio_tokens = 0 if mel is None else num_audio_tokens(mel.shape[1])
    return unit_positions(read.features.grid_thw, audio_tokens, start)


def _errors(kept: torch.Tensor, fresh: torch.Tensor) -> list[float]:
    """Return the relative difference of each layer: of the Frobenius norms."""
    difference = (kept.float() - fresh.float()).flatten(1).norm(dim=1)
    return (difference / fresh.float().flatten(1).norm(dim=1)).tolist()


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {
        'median': float(np.median(values)),
        'p95': float(np.percentile(values, 95)),
        'max': float(np.max(values)),
    }


def _by_layer(rows: Sequence[Sequence[float]]) -> list[float]:
    """Return the median of each layer, the first layer first."""
    return [float(np.median(layer)) for layer in zip(*rows, strict=True)]
