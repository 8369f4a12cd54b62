"""
Tabletop streams as frozen towers see them, kept on disk: encoded once, learned from often.

Where the towers do not learn, what they make of a stream never changes, and making and encoding
the stream takes as long as the decoder's lesson.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save_file
import torch

from ..model.checkpoint import LoadedRoma
from ..model.processor import UnitFeatures
from ..model.prompts import Protocol
from .batching import collate, make_sample
from .curriculum import Objective
from .data import place_in_round, TrainingBatch, without_alerts
from .drills import drill
from .encoded import encode_units, layout_unit
from .supervision import supervise_tabletop, Supervision, Turn, WatchLabels
from .tabletop.generator import make_stream
from .tabletop.labels import Split

#: Streams in one file.
_CHUNK = 32


@dataclass(frozen=True, eq=False)
class FrozenStreams:
    """
    Encoded streams of one length.

    :param video: float16 ``[streams, units, tokens, C]``.
    :param audio: float16 ``[streams, units, tokens, C]``.
    :param supervisions: what each teaches.
    :param unit: shapes of a unit's features, for the layout.
    """

    video: torch.Tensor
    audio: torch.Tensor
    supervisions: tuple[Supervision, ...]
    unit: UnitFeatures

    def __len__(self) -> int:
        """Return the number of streams."""
        return len(self.supervisions)


def freeze_streams(
    loaded: LoadedRoma,
    folder: Path,
    *,
    split: Split,
    count: int,
    duration_s: int,
    report: Callable[[str], None],
) -> FrozenStreams:
    """
    Make and encode streams, or read those that a folder holds already.

    Training streams get the additional conditions of ``drills``.

    :param loaded: whose towers encode.
    :param folder: of the files; made where it is missing. It belongs to these towers.
    :param split: of the streams; their seeds count from 0.
    :param count: of streams.
    :param duration_s: of each.
    :param report: takes one line of progress.
    :return: all of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    videos, audios, supervisions = [], [], []
    grid: tuple[int, int, int] | None = None
    mel_shape = (0, 0)
    for first in range(0, count, _CHUNK):
        seeds = range(first, min(first + _CHUNK, count))
        file = folder / f'{split}-{duration_s}s-{seeds.start:05d}-{seeds.stop:05d}.safetensors'
        if not file.is_file():
            _write(file, *_encode(loaded, seeds, split=split, duration_s=duration_s))
            report(f'{split} streams encoded: {seeds.stop}/{count}')
        tensors = load_file(file)
        facts = json.loads(file.with_suffix('.json').read_text(encoding='utf-8'))
        videos.append(tensors['video'])
        audios.append(tensors['audio'])
        supervisions += [_from_json(item) for item in facts['supervisions']]
        grid, mel_shape = tuple(facts['grid_thw']), tuple(facts['mel_shape'])
    return FrozenStreams(
        torch.cat(videos), torch.cat(audios), tuple(supervisions), layout_unit(grid, mel_shape)
    )


class FrozenMaker:
    """
    Makes batches of encoded streams.

    :param streams: which.
    :param protocol: token ids of the dialogue.
    :param objective: what they are for.
    :param shuffle: in an order of its own in each round; else in theirs.
    """

    def __init__(
        self, streams: FrozenStreams, protocol: Protocol, *, objective: Objective, shuffle: bool
    ) -> None:
        self._streams = streams
        self._protocol = protocol
        self._objective = objective
        self._shuffle = shuffle

    def __call__(self, seeds: Sequence[int]) -> TrainingBatch:
        """Put the streams together whose turn it is."""
        streams = self._streams
        places = [self._place(seed) for seed in seeds]
        samples = []
        for place in places:
            supervision = streams.supervisions[place]
            if self._objective == 'answers':
                supervision = without_alerts(supervision)
            units = [streams.unit] * supervision.num_units
            samples.append(make_sample(units, supervision, self._protocol))
        return TrainingBatch(
            collate(samples, self._protocol),
            towers=None,
            video=streams.video[places].flatten(0, 2).float(),
            audio=streams.audio[places].flatten(0, 2).float(),
        )

    def _place(self, seed: int) -> int:
        count = len(self._streams)
        return place_in_round(seed, count) if self._shuffle else seed % count


def _encode(
    loaded: LoadedRoma, seeds: Sequence[int], *, split: Split, duration_s: int
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    protocol = Protocol(loaded.tokenizer)
    tensors: dict[str, list[torch.Tensor]] = {'video': [], 'audio': []}
    supervisions = []
    grid, mel_shape = None, (0, 0)
    for seed in seeds:
        stream = make_stream(seed, split=split, duration_s=duration_s)
        features = [loaded.processor(stream.unit(i)) for i in range(duration_s)]
        supervision = supervise_tabletop(stream)
        if split == 'train':
            supervision = drill(stream, supervision, np.random.default_rng([seed, 1]))
        video, audio = encode_units(loaded.model, protocol, features)
        tensors['video'].append(video)
        tensors['audio'].append(audio)
        supervisions.append(asdict(supervision))
        assert features[0].mel is not None
        grid, mel_shape = features[0].grid_thw, features[0].mel.shape
    facts = {'grid_thw': grid, 'mel_shape': mel_shape, 'supervisions': supervisions}
    return {name: torch.stack(parts) for name, parts in tensors.items()}, facts


def _write(file: Path, tensors: dict[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
    """Write both files, the one that says that they are there last, whole or not at all."""
    part = file.with_suffix(f'.{os.getpid()}.part')
    file.with_suffix('.json').write_text(json.dumps(facts), encoding='utf-8')
    save_file(tensors, part)
    os.replace(part, file)


def _from_json(item: Mapping[str, Any]) -> Supervision:
    watches = tuple(
        WatchLabels(w['text'], w['sense'], tuple(w['labels'])) for w in item['watches']
    )
    return Supervision(
        num_units=item['num_units'],
        watches=watches,
        turns={int(unit): Turn(**turn) for unit, turn in item['turns'].items()},
        labels=tuple(item['labels']),
        narrate=item['narrate'],
        narrate_focus=item['narrate_focus'],
    )
