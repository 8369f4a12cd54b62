"""Endless batches of tabletop streams: what step n reads follows from n alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ..model.processor import UnitFeatures, UnitProcessor
from ..model.prompts import Protocol
from .augmentation import augment
from .batching import Batch, collate, make_sample, Sample
from .cards import make_cards
from .curriculum import Objective, Phase
from .supervision import supervise_tabletop, Supervision
from .tabletop.generator import make_stream
from .tabletop.labels import Split, TabletopStream
from .towers import tower_targets, TowerTargets


@dataclass(frozen=True, eq=False)
class TrainingBatch:
    """
    What one step reads.

    :param batch: the streams as tokens and targets.
    :param towers: exact labels of the tokens.
    """

    batch: Batch
    towers: TowerTargets


class StreamMaker:
    """
    Makes samples of tabletop streams; may be sent to another process.

    :param processor: units to features.
    :param protocol: token ids of the dialogue.
    :param split: of the streams.
    :param objective: what they are made for.
    :param duration_s: length of the streams.
    :param learn_narration: see ``supervise_tabletop``.
    :param augment: change how each stream looks and sounds.
    :param cards: make cards in place of streams.
    """

    def __init__(
        self,
        processor: UnitProcessor,
        protocol: Protocol,
        *,
        split: Split,
        objective: Objective,
        duration_s: int,
        learn_narration: bool,
        augment: bool = False,
        cards: bool = False,
    ) -> None:
        self._processor = processor
        self._protocol = protocol
        self._split: Split = split
        self._objective = objective
        self._duration_s = duration_s
        self._learn_narration = learn_narration
        self._augment = augment
        self._cards = cards

    def __call__(self, seeds: Sequence[int]) -> TrainingBatch:
        """Make the streams of these seeds, and put them together."""
        samples, towers = [], []
        for seed in seeds:
            make = make_cards if self._cards else make_stream
            stream = make(seed, split=self._split, duration_s=self._duration_s)
            features = [self._processor(stream.unit(i)) for i in range(stream.duration_s)]
            if self._augment:
                features = augment(features, np.random.default_rng(seed))
            sample = self._sample(stream, features)
            samples.append(sample)
            grid = sample.features[0].grid_thw
            assert grid is not None
            towers.append(tower_targets(stream, (grid[1] // 2, grid[2] // 2)))
        return TrainingBatch(collate(samples, self._protocol), TowerTargets.join(towers))

    def _sample(self, stream: TabletopStream, features: Sequence[UnitFeatures]) -> Sample:
        if self._objective == 'towers':
            nothing = Supervision(len(features), labels=(None,) * len(features))
            return make_sample(features, nothing, self._protocol)
        supervision = supervise_tabletop(stream, learn_narration=self._learn_narration)
        if self._objective == 'answers':
            supervision = without_alerts(supervision)
        return make_sample(features, supervision, self._protocol)


def without_alerts(supervision: Supervision) -> Supervision:
    """Return what stage 1 learns: answers, and no decision when to speak."""
    return Supervision(
        num_units=supervision.num_units,
        turns=supervision.turns,
        labels=(None,) * supervision.num_units,
        narrate=supervision.narrate,
        narrate_focus=supervision.narrate_focus,
    )


class _Batches(Dataset[TrainingBatch]):
    def __init__(self, make: StreamMaker, streams: int, seed: int) -> None:
        self._make = make
        self._streams = streams
        self._seed = seed

    def __getitem__(self, index: int) -> TrainingBatch:
        first = self._seed + index * self._streams
        return self._make(range(first, first + self._streams))


def make_loader(
    make: StreamMaker,
    phase: Phase,
    *,
    seed: int,
    start: int,
    rank: int,
    world: int,
    workers: int,
) -> DataLoader[TrainingBatch]:
    """
    Return the batches of a phase from a step on.

    :param make: makes one.
    :param phase: batch size and number of steps.
    :param seed: of the phase's first stream.
    :param start: optimizer steps already done.
    :param rank: of this process, which reads every ``world``-th batch.
    :param world: processes.
    :param workers: processes that make batches ahead; 0: this one.
    :return: yields ``accumulate`` batches for each step that is left.
    """
    indices = range(
        start * phase.accumulate * world + rank, phase.steps * phase.accumulate * world, world
    )
    return DataLoader(
        _Batches(make, phase.streams, seed),
        batch_size=None,
        sampler=indices,
        num_workers=workers,
        prefetch_factor=8 if workers else None,
        worker_init_fn=_begin_worker if workers else None,
    )


def _begin_worker(_: int) -> None:
    torch.set_num_threads(1)
