"""Endless batches of streams: what step n reads follows from n alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol
import zlib

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ..model import prompts
from ..model.processor import UnitFeatures, UnitProcessor
from .augmentation import augment
from .batching import Batch, collate, make_sample, mishear, Sample
from .cards import is_deck, make_cards
from .curriculum import Objective, Phase
from .drills import drill
from .streams import (
    ALERT,
    load_units,
    NARRATION,
    QUESTION,
    StreamRecord,
    supervise_record,
)
from .supervision import supervise_tabletop, Supervision
from .tabletop.generator import make_stream
from .tabletop.labels import Split, TabletopStream
from .towers import tower_targets, TowerTargets


@dataclass(frozen=True, eq=False)
class TrainingBatch:
    """
    What one step reads.

    :param batch: the streams as tokens and targets.
    :param towers: exact labels of the tokens; None: nobody knows them.
    :param video: ``[tokens, C]``, what the vision tower made of it; None: not known yet.
    :param audio: ``[tokens, C]``, of the audio tower.
    """

    batch: Batch
    towers: TowerTargets | None
    video: torch.Tensor | None = None
    audio: torch.Tensor | None = None


class MakeBatch(Protocol):
    """Makes the batch of some seeds; may be sent to another process."""

    def __call__(self, seeds: Sequence[int]) -> TrainingBatch:
        """Return the batch."""


class StreamMaker:
    """
    Makes batches of tabletop streams.

    :param processor: units to features.
    :param protocol: token ids of the dialogue.
    :param split: of the streams.
    :param objective: what they are made for.
    :param duration_s: length of the streams.
    :param learn_narration: see ``supervise_tabletop``.
    :param augment: change how each stream looks and sounds.
    :param cards: share of decks of cards among the streams, 0..1.
    :param drill: add conditions and questions; see ``drills``.
    :param word_noise: see ``mishear``.
    """

    def __init__(
        self,
        processor: UnitProcessor,
        protocol: prompts.Protocol,
        *,
        split: Split,
        objective: Objective,
        duration_s: int,
        learn_narration: bool,
        augment: bool = False,
        cards: float = 0.0,
        drill: bool = False,
        word_noise: float = 0.0,
    ) -> None:
        self._processor = processor
        self._protocol = protocol
        self._split: Split = split
        self._objective = objective
        self._duration_s = duration_s
        self._learn_narration = learn_narration
        self._augment = augment
        self._cards = cards
        self._drill = drill
        self._word_noise = word_noise

    def __call__(self, seeds: Sequence[int]) -> TrainingBatch:
        """Make the streams of these seeds, and put them together."""
        samples, towers = [], []
        for seed in seeds:
            make = make_cards if is_deck(seed, self._cards) else make_stream
            stream = make(seed, split=self._split, duration_s=self._duration_s)
            features = [self._processor(stream.unit(i)) for i in range(stream.duration_s)]
            if self._augment:
                features = augment(features, np.random.default_rng(seed))
            sample = self._sample(stream, features, np.random.default_rng([seed, 1]))
            samples.append(sample)
            grid = sample.features[0].grid_thw
            assert grid is not None
            towers.append(tower_targets(stream, (grid[1] // 2, grid[2] // 2)))
        batch = mishear(collate(samples, self._protocol), self._word_noise, seed=seeds[0])
        return TrainingBatch(batch, TowerTargets.join(towers))

    def _sample(
        self,
        stream: TabletopStream,
        features: Sequence[UnitFeatures],
        rng: np.random.Generator,
    ) -> Sample:
        if self._objective == 'towers':
            nothing = Supervision(len(features), labels=(None,) * len(features))
            return make_sample(features, nothing, self._protocol)
        supervision = supervise_tabletop(stream, learn_narration=self._learn_narration)
        if self._drill:
            supervision = drill(stream, supervision, rng)
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


def place_in_round(number: int, count: int) -> int:
    """Return which of ``count`` streams has a number, in an order of each round's own."""
    turn, place = divmod(number, count)
    return int(np.random.default_rng(turn).permutation(count)[place])


class RecordMaker:
    """
    Makes batches of records, in an order of its own in each round.

    :param records: of the released format.
    :param root: folder that their paths are relative to.
    :param processor: units to features.
    :param protocol: token ids of the dialogue.
    :param objective: what they are for; stage 1 reads questions alone.
    :param duration_s: of longer streams a part of this length is read, another in each round.
    :param learn_narration: see ``supervise_record``.
    :raises ValueError: when no record teaches this.
    """

    def __init__(
        self,
        records: Sequence[StreamRecord],
        root: Path,
        processor: UnitProcessor,
        protocol: prompts.Protocol,
        *,
        objective: Objective,
        duration_s: int,
        learn_narration: bool,
    ) -> None:
        wanted = {'speak': (NARRATION, ALERT, QUESTION), 'answers': (QUESTION,)}.get(objective, ())
        if objective == 'answers' and learn_narration:
            wanted = (QUESTION, NARRATION)
        self._records = [record for record in records if record.task in wanted]
        if not self._records:
            raise ValueError(
                f'none of the {len(records)} records teaches {objective!r}, which needs '
                f'{" or ".join(wanted) or "exact labels, as tabletop streams have them"}'
            )
        self._root = root
        self._processor = processor
        self._protocol = protocol
        self._objective = objective
        self._duration_s = duration_s
        self._learn_narration = learn_narration

    def __call__(self, seeds: Sequence[int]) -> TrainingBatch:
        """Read the records whose turn it is."""
        samples = []
        for seed in seeds:
            record = self._records[place_in_round(seed, len(self._records))]
            units = load_units(record, self._root)
            supervision = supervise_record(
                record, len(units), learn_narration=self._learn_narration
            )
            if self._objective == 'answers':
                supervision = without_alerts(supervision)
            first = 0
            if len(units) > self._duration_s:
                first = int(
                    np.random.default_rng(seed).integers(len(units) - self._duration_s + 1)
                )
            part = units[first : first + self._duration_s]
            samples.append(
                make_sample(
                    [self._processor(unit) for unit in part],
                    crop(supervision, first, len(part)),
                    self._protocol,
                )
            )
        return TrainingBatch(collate(samples, self._protocol), None)


def is_held_out(record: StreamRecord) -> bool:
    """Say whether a record is kept for validation: one in ten, by its name alone."""
    return zlib.crc32(record.id.encode()) % 10 == 0


def crop(supervision: Supervision, first: int, count: int) -> Supervision:
    """Return what some units of a stream teach, as if it were these alone."""
    stop = first + count
    return replace(
        supervision,
        num_units=count,
        watches=tuple(replace(w, labels=w.labels[first:stop]) for w in supervision.watches),
        turns={u - first: t for u, t in supervision.turns.items() if first <= u < stop},
        labels=supervision.labels[first:stop],
    )


class _Batches(Dataset[TrainingBatch]):
    def __init__(self, make: MakeBatch, streams: int, seed: int) -> None:
        self._make = make
        self._streams = streams
        self._seed = seed

    def __getitem__(self, index: int) -> TrainingBatch:
        first = self._seed + index * self._streams
        return self._make(range(first, first + self._streams))


def make_loader(
    make: MakeBatch,
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
