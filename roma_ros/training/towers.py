"""
Towers first: eyes and ears learn from exact labels, before anything is asked of them.

The published model starts from trained encoders; one from scratch has none. Linear probes on the
towers' outputs learn which word and which sound each 40 ms audio token holds, which shapes and
colours each video token covers and in which third of the frame it lies, and how many things the
unit shows. The probes are thrown away afterwards.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
import math

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from .supervision import FRAME_OFFSETS_S, unit_of
from .tabletop.labels import TabletopStream
from .tabletop.language import COLORS, PLACES, SHAPES, VERBS, WORDS
from .tabletop.sounds import SOUNDS

#: Teaches nothing here.
IGNORE = -1
#: Share of a cell, or of the thing, from which on the cell shows the thing; and below which not.
SHOWN, NOT_SHOWN = 0.35, 0.1
#: Share of a thing that must not be hidden for it to count.
MIN_VISIBLE = 0.3
#: Most things at once.
MAX_COUNT = 3
#: How much more a positive counts than a negative: about one in twenty is positive.
POSITIVE_WEIGHT = 4.0
#: How much a token without a word counts beside one with a word.
BLANK_WEIGHT = 0.2

_NAMES = (*SHAPES, *COLORS)


@dataclass(frozen=True, eq=False)
class TowerTargets:
    """
    What the tokens of U units hold.

    :param cells: int8 ``[U, cells, frames * (shapes + colors)]``: 1 shown, 0 not, -1 unclear.
    :param counts: int64 ``[U]``, things in view at the unit's last frame.
    :param places: int64 ``[U, cells]``, where each cell is, in PLACES.
    :param words: int64 ``[U, audio tokens]``: 0 none, else the word's place in WORDS plus 1.
    :param sounds: int8 ``[U, audio tokens, sounds]``: 1 heard, 0 not.
    :param events: int8 ``[U, verbs]``: 1 happens in the unit, 0 not; no matter of the towers, but
        of who looks at their tokens.
    """

    cells: torch.Tensor
    counts: torch.Tensor
    places: torch.Tensor
    words: torch.Tensor
    sounds: torch.Tensor
    events: torch.Tensor

    @classmethod
    def join(cls, parts: Sequence['TowerTargets']) -> 'TowerTargets':
        """Put the units of several streams one after another."""
        return cls(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    def __getitem__(self, units: slice) -> 'TowerTargets':
        """Return some of the units."""
        return self._map(lambda labels: labels[units])

    def to(self, device: torch.device) -> 'TowerTargets':
        """Return the same on a device."""
        return self._map(lambda labels: labels.to(device))

    def _map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> 'TowerTargets':
        return TowerTargets(*(change(getattr(self, f.name)) for f in fields(self)))


def tower_targets(
    stream: TabletopStream, grid: tuple[int, int], *, audio_tokens: int = 25
) -> TowerTargets:
    """
    Label every token of a stream.

    :param stream: with its truth.
    :param grid: rows and columns of video tokens.
    :param audio_tokens: of a unit.
    :return: the labels.
    """
    num_units = stream.duration_s
    cells = np.zeros((num_units, len(FRAME_OFFSETS_S), *grid, len(_NAMES)), dtype=np.int8)
    counts = np.zeros(num_units, dtype=np.int64)
    for unit in range(num_units):
        for frame, offset in enumerate(FRAME_OFFSETS_S):
            counts[unit] = 0
            for thing in stream.objects_at(unit + offset):
                counts[unit] += thing.visible >= MIN_VISIBLE
                share = _shares(thing.box, grid)
                shown = (share >= SHOWN) & (thing.visible >= MIN_VISIBLE)
                near = share >= NOT_SHOWN
                for name in filter(None, (thing.shape, thing.color)):
                    column = cells[unit, frame, :, :, _NAMES.index(name)]
                    column[near & ~shown & (column == 0)] = IGNORE
                    column[shown] = 1
                if not thing.color:
                    colors = cells[unit, frame, near, len(SHAPES) :]
                    cells[unit, frame, near, len(SHAPES) :] = np.where(colors, colors, IGNORE)
    step = 1 / audio_tokens
    centers = (np.arange(num_units * audio_tokens) + 0.5) * step
    words = np.zeros(len(centers), dtype=np.int64)
    for speech in stream.speech:
        for word, start, end in speech.words:
            words[(centers >= start) & (centers < end)] = WORDS.index(word) + 1
    sounds = np.zeros((len(centers), len(SOUNDS)), dtype=np.int8)
    for sound in stream.sounds:
        heard = (centers >= sound.start_s) & (centers < sound.end_s)
        sounds[heard, SOUNDS.index(sound.name)] = 1
    events = np.zeros((num_units, len(VERBS)), dtype=np.int8)
    for event in stream.events:
        unit = unit_of(event.time_s)
        if unit < num_units:
            events[unit, VERBS.index(event.verb)] = 1
    return TowerTargets(
        # Cells in rows, as the video tokens; of each cell the first frame, then the second.
        torch.from_numpy(cells.transpose(0, 2, 3, 1, 4).reshape(num_units, grid[0] * grid[1], -1)),
        torch.from_numpy(counts.clip(0, MAX_COUNT)),
        _places(grid).expand(num_units, -1),
        torch.from_numpy(words.reshape(num_units, audio_tokens)),
        torch.from_numpy(sounds.reshape(num_units, audio_tokens, -1)),
        torch.from_numpy(events),
    )


def _places(grid: tuple[int, int]) -> torch.Tensor:
    """Return in which third of the frame the middle of each cell lies: ``[cells]``."""
    rows, columns = grid
    thirds = (2 * torch.arange(columns) + 1) * len(PLACES) // (2 * columns)
    return thirds.repeat(rows)


def _shares(
    box: tuple[float, float, float, float], grid: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Return of each cell how much of it the box covers, or of the box lies in it, if more."""
    rows, columns = grid
    left, top, right, bottom = box

    def covered(begin: float, end: float, count: int) -> npt.NDArray[np.float64]:
        edges = np.arange(count + 1) / count
        return np.maximum(0.0, np.minimum(end, edges[1:]) - np.maximum(begin, edges[:-1]))

    area = covered(top, bottom, rows)[:, None] * covered(left, right, columns)
    smaller = min(1 / (rows * columns), max((right - left) * (bottom - top), 1e-9))
    return area / smaller


class TowerProbes(nn.Module):
    """
    Linear readers of the towers' tokens.

    :param width: C.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cells = nn.Linear(width, len(FRAME_OFFSETS_S) * len(_NAMES))
        self.count = nn.Linear(width, MAX_COUNT + 1)
        self.places = nn.Linear(width, len(PLACES))
        self.words = nn.Linear(width, len(WORDS) + 1)
        self.sounds = nn.Linear(width, len(SOUNDS))
        nn.init.constant_(self.cells.bias, -2.0)
        nn.init.constant_(self.sounds.bias, -2.0)

    def forward(self, video: torch.Tensor, audio: torch.Tensor) -> 'TowerLogits':
        """
        Read the tokens.

        :param video: ``[U, cells, C]``.
        :param audio: ``[U, audio tokens, C]``.
        :return: the logits.
        """
        return TowerLogits(
            self.cells(video).float(),
            self.count(video.mean(dim=1)).float(),
            self.places(video).float(),
            self.words(audio).float(),
            self.sounds(audio).float(),
        )


@dataclass(frozen=True, eq=False)
class TowerLogits:
    """Logits in the shapes of :class:`TowerTargets`, with one more dimension for the classes."""

    cells: torch.Tensor
    counts: torch.Tensor
    places: torch.Tensor
    words: torch.Tensor
    sounds: torch.Tensor


def tower_loss(logits: TowerLogits, targets: TowerTargets) -> dict[str, torch.Tensor]:
    """
    Return the losses of what is seen and what is heard.

    :param logits: of the probes.
    :param targets: the truth.
    :return: ``cells``, ``count``, ``places``, ``words``, ``sounds``; their sum is to shrink.
    """
    blank = torch.ones(logits.words.shape[-1], device=logits.words.device)
    blank[0] = BLANK_WEIGHT
    return {
        # Summed over the classes: most are rare, and a mean would make them faint.
        'cells': _binary(logits.cells, targets.cells) * logits.cells.shape[-1] / 2,
        'count': 0.3 * cross_entropy(logits.counts, targets.counts),
        # Of the rotary position's three parts, the width's turns so slowly that from one column to
        # the next the decoder sees nothing: it is the tokens that have to tell where they are.
        'places': 0.3 * cross_entropy(logits.places.flatten(0, 1), targets.places.flatten()),
        'words': cross_entropy(logits.words.flatten(0, 1), targets.words.flatten(), blank),
        'sounds': _binary(logits.sounds, targets.sounds) * logits.sounds.shape[-1],
    }


def _binary(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    known = targets != IGNORE
    loss = binary_cross_entropy_with_logits(
        logits,
        targets.float(),
        weight=known.float(),
        pos_weight=logits.new_tensor(POSITIVE_WEIGHT),
        reduction='sum',
    )
    return loss / known.sum().clamp(min=1)


class TowerScores:
    """Gathers how much the probes get right."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}

    @torch.no_grad()
    def add(self, logits: TowerLogits, targets: TowerTargets) -> None:
        """Count one batch."""
        words, best = targets.words, logits.words.argmax(dim=-1)
        spoken = words > 0
        self._count('words_right', (best == words)[spoken])
        self._count('words_all', spoken)
        self._count('blank_right', (best == words)[~spoken])
        self._count('blank_all', ~spoken)
        self._count('count_right', logits.counts.argmax(dim=-1) == targets.counts)
        self._count('count_all', torch.ones_like(targets.counts))
        self._count('place_right', logits.places.argmax(dim=-1) == targets.places)
        self._count('place_all', torch.ones_like(targets.places))
        for name in ('cells', 'sounds'):
            target = getattr(targets, name)
            # Where the weighted loss's odds are even.
            said = (getattr(logits, name) > math.log(POSITIVE_WEIGHT)) & (target != IGNORE)
            self._count(f'{name}_hit', said & (target == 1))
            self._count(f'{name}_said', said)
            self._count(f'{name}_true', target == 1)

    def result(self) -> dict[str, float]:
        """Return shares, 0..1."""
        sums = self._sums

        def share(part: str, whole: str) -> float:
            return sums[part] / max(1.0, sums[whole])

        def f1(name: str) -> float:
            said_and_true = sums[f'{name}_said'] + sums[f'{name}_true']
            return 2 * sums[f'{name}_hit'] / max(1.0, said_and_true)

        return {
            'word_accuracy': share('words_right', 'words_all'),
            'silence_accuracy': share('blank_right', 'blank_all'),
            'count_accuracy': share('count_right', 'count_all'),
            'place_accuracy': share('place_right', 'place_all'),
            'cell_f1': f1('cells'),
            'sound_f1': f1('sounds'),
        }

    def _count(self, name: str, what: torch.Tensor) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + float(what.sum())
